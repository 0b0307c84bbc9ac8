"""The angle profile: the score of one cell against the angle by which its surroundings are turned.

Quarter turns are exact by construction. Between them the picture is resampled, so a difference there has two causes,
rotation and blur. It is shown as information; nothing is guaranteed.
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
    """The patch at the centre of a window, turned by each angle, bilinear.

    Args:
        window: (160, 160, 3) uint8.
        angles_deg: (A,) degrees, counter-clockwise.

    Returns:
        (A, 96, 96, 3) uint8; quarter turns are exact.

    Raises:
        ValueError: the window has another size.
    """
    if window.shape != (WINDOW_PX, WINDOW_PX, 3):
        raise ValueError(f"a window of {WINDOW_PX}×{WINDOW_PX} px is needed, got {window.shape}")
    # In float64, so that the sampling points of a quarter turn fall on pixel centres after rounding to 8 bits.
    planes = torch.from_numpy(window.copy()).permute(2, 0, 1).double()[None]  # (1, 3, 160, 160)
    steps = torch.arange(PATCH_PX, dtype=torch.float64) - (PATCH_PX - 1) / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    patches = []
    for angle in np.deg2rad(angles_deg):
        cos, sin = math.cos(angle), math.sin(angle)
        grid = torch.stack([cos * x - sin * y, sin * x + cos * y], -1)[None] * 2 / WINDOW_PX  # source of each pixel
        patch = F.grid_sample(planes, grid, mode="bilinear", align_corners=False)[0]
        patches.append(patch.round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
    return np.stack(patches)


def angle_profile(network: nn.Module, window: Pixels, step_deg: int = 15) -> tuple[list[int], Logits]:
    """The angles 0, step, … below 360° and the logit at each, float32. `window`: (160, 160, 3) uint8."""
    angles = list(range(0, 360, step_deg))
    patches = turned_patches(window, np.array(angles))
    logits = [infer(network, patches[i : i + 24])[:, 0, 0] for i in range(0, len(patches), 24)]
    return angles, np.concatenate(logits)
