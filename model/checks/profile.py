"""Score against angle at one cell: what a turn by any angle does to it.

Quarter turns are exact by construction. Between them the picture is resampled, so a difference there is of blur and
rotation together; it is measured and shown, not promised.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from model.inference.dense import Logits, Pixels, infer
from model.networks.densenet import PATCH_PX

WINDOW_PX = 160  # holds the 96 px patch at every angle: 96·√2 = 136


def turned_patches(window: Pixels, angles_deg: NDArray[Any]) -> Pixels:
    """The patch at the centre of a window, turned by each angle (degrees, counter-clockwise, bilinear).

    Args:
        window: (160, 160, 3) uint8.

    Returns:
        (len(angles), 96, 96, 3) uint8; quarter turns are exact.

    Raises:
        ValueError: the window has another size.
    """
    if window.shape != (WINDOW_PX, WINDOW_PX, 3):
        raise ValueError(f"a window of {WINDOW_PX}×{WINDOW_PX} px is needed, got {window.shape}")
    planes = torch.from_numpy(window.copy()).permute(2, 0, 1).double()[None]
    steps = torch.arange(PATCH_PX, dtype=torch.float64) - (PATCH_PX - 1) / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    patches = []
    for angle in np.deg2rad(angles_deg):
        cos, sin = math.cos(angle), math.sin(angle)
        grid = torch.stack([cos * x - sin * y, sin * x + cos * y], -1)[None] * 2 / WINDOW_PX  # where each pixel is from
        patch = F.grid_sample(planes, grid, mode="bilinear", align_corners=False)[0]
        patches.append(patch.round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
    return np.stack(patches)


def angle_profile(network: nn.Module, window: Pixels, step_deg: int = 15) -> tuple[list[int], Logits]:
    """Angles 0, step, … below 360 and the logit at each."""
    angles = list(range(0, 360, step_deg))
    patches = turned_patches(window, np.array(angles))
    logits = [infer(network, patches[i : i + 24])[:, 0, 0] for i in range(0, len(patches), 24)]
    return angles, np.concatenate(logits)
