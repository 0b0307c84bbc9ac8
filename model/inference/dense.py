"""Dense inference: all cells of a region in one pass, equal to patch-by-patch evaluation to rounding.

The network's convolutions are valid and its total stride is 16, so a region of L px holds (L − 96)/16 + 1 cells a
side. Cell i is the score of the patch that starts at 16·i and has its centre at 48 + 16·i.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.inference.detector import Detector
from model.networks.densenet import PATCH_PX, STRIDE_PX

REGION_PX = 512  # 27×27 cells; larger regions waste less halo and more memory

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]


def cells_a_side(length_px: int) -> int:
    """Cells along one side of a region of `length_px`.

    Raises:
        ValueError: not a multiple of 16, or smaller than a patch.
    """
    if length_px < PATCH_PX or length_px % STRIDE_PX:
        raise ValueError(f"a region side of {length_px} px is not a multiple of {STRIDE_PX} from {PATCH_PX} up")
    return (length_px - PATCH_PX) // STRIDE_PX + 1


@torch.inference_mode()
def infer(network: nn.Module, pixels: Pixels) -> Logits:
    """The logits of every cell of a batch of regions.

    Args:
        network: takes (N, 3, H, W) float in 0..255.
        pixels: (N, H, W, 3) uint8 RGB at 0.972 µm/px; H and W multiples of 16 from 96 up.

    Returns:
        float32 (N, rows, cols).

    Raises:
        ValueError: H or W is not a multiple of 16 from 96 up.
    """
    logits: Logits = network(as_image(network, pixels)).float().cpu().numpy()
    assert logits.shape == (len(pixels), *map(cells_a_side, pixels.shape[1:3]))
    return logits


def as_image(network: nn.Module, pixels: Pixels | torch.Tensor) -> torch.Tensor:
    """Pixels as a network takes them: (N, H, W, 3) uint8 on any device → (N, 3, H, W) in 0..255.

    The result has the network's device and dtype, and is channels last, since the permute moves no bytes.

    Raises:
        ValueError: H or W is not a multiple of 16 from 96 up.
    """
    for side in pixels.shape[1:3]:
        cells_a_side(side)
    like = next(iter(network.state_dict().values()))
    tensor = pixels if isinstance(pixels, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(pixels))
    return tensor.to(like.device).permute(0, 3, 1, 2).to(like.dtype)


def infer_patchwise(network: nn.Module, pixels: Pixels) -> Logits:
    """The map of one region (H, W, 3) uint8, patch by patch: the slow reference of `infer`. float32 (rows, cols)."""
    rows, cols = (cells_a_side(side) for side in pixels.shape[:2])
    step, size = STRIDE_PX, PATCH_PX
    patches = [pixels[step * r : step * r + size, step * c : step * c + size] for r in range(rows) for c in range(cols)]
    chunks = [infer(network, np.stack(patches[i : i + 32])) for i in range(0, len(patches), 32)]
    return np.concatenate(chunks).reshape(rows, cols)


@torch.inference_mode()
def infer_with_features(detector: Detector, pixels: Pixels | torch.Tensor) -> tuple[Logits, torch.Tensor]:
    """`infer`, and the features before the classifier, which familiarity needs too.

    Returns:
        float32 logits (N, rows, cols), bit-identical to those of `infer`, and features (N, C, rows, cols) on the
        detector's device.
    """
    pooled = detector.pooled(as_image(detector, pixels))  # (N, C, rows, cols)
    logits: Logits = detector.classifier(pooled)[:, 0].float().cpu().numpy()
    return logits, pooled
