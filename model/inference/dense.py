"""Dense inference: all cells of a region at once, equal to patch-by-patch evaluation to rounding.

The network's convolutions are valid and its total stride is 16, so a region of L px holds (L − 96)/16 + 1 cells a
side; cell i speaks of the patch that starts at 16·i, with its centre at 48 + 16·i.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.inference.detector import Detector
from model.networks.densenet import PATCH_PX, STRIDE_PX

REGION_PX = 512
HALO_PX = PATCH_PX // 2

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]


def cells_a_side(length_px: int) -> int:
    """How many cells a region of `length_px` holds along one side.

    Raises:
        ValueError: not a multiple of 16, or smaller than a patch.
    """
    if length_px < PATCH_PX or length_px % STRIDE_PX:
        raise ValueError(f"a region side of {length_px} px is not a multiple of {STRIDE_PX} from {PATCH_PX} up")
    return (length_px - PATCH_PX) // STRIDE_PX + 1


@torch.inference_mode()
def infer(network: nn.Module, pixels: Pixels) -> Logits:
    """Logits of every cell of a batch of regions.

    Args:
        network: takes (N, 3, H, W) float in 0..255.
        pixels: (N, H, W, 3) uint8 RGB at 0.972 µm/px; H and W multiples of 16 from 96 up.

    Returns:
        float32 (N, rows, cols).
    """
    logits: Logits = network(as_image(network, pixels)).float().cpu().numpy()
    assert logits.shape == (len(pixels), *map(cells_a_side, pixels.shape[1:3]))
    return logits


def as_image(network: nn.Module, pixels: Pixels | torch.Tensor) -> torch.Tensor:
    """(N, H, W, 3) uint8, on whatever device → (N, 3, H, W) in 0..255, of the network's device and type.

    Raises:
        ValueError: H or W is not a multiple of 16 from 96 up.
    """
    for side in pixels.shape[1:3]:
        cells_a_side(side)
    like = next(iter(network.state_dict().values()))
    plain = pixels if isinstance(pixels, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(pixels))
    return plain.to(like.device).permute(0, 3, 1, 2).to(like.dtype)


def infer_patchwise(network: nn.Module, pixels: Pixels) -> Logits:
    """The same map of one region (H, W, 3), patch by patch: the slow reference. float32 (rows, cols)."""
    rows, cols = (cells_a_side(side) for side in pixels.shape[:2])
    step, size = STRIDE_PX, PATCH_PX
    patches = [pixels[step * r : step * r + size, step * c : step * c + size] for r in range(rows) for c in range(cols)]
    chunks = [infer(network, np.stack(patches[i : i + 32])) for i in range(0, len(patches), 32)]
    return np.concatenate(chunks).reshape(rows, cols)


@torch.inference_mode()
def infer_with_features(detector: Detector, pixels: Pixels | torch.Tensor) -> tuple[Logits, torch.Tensor]:
    """Logits (N, rows, cols), bit for bit those of `infer`, and the features that they were made from."""
    pooled = detector.pooled(as_image(detector, pixels))
    logits: Logits = detector.classifier(pooled)[:, 0].float().cpu().numpy()
    return logits, pooled
