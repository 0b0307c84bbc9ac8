"""Corruptions of patches as they occur on slides: (N, 96, 96, 3) uint8 → the same, random by a generator alone."""

import io
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATCH_PX = 96
Patches = NDArray[np.uint8]
Corruption = Callable[[Patches, np.random.Generator], Patches]


def blur(patches: Patches, rng: np.random.Generator) -> Patches:
    """Out of focus: a Gaussian of σ 2.5 to 4 px."""
    return np.stack([cv2.GaussianBlur(patch, (0, 0), rng.uniform(2.5, 4)) for patch in patches])


def pen(patches: Patches, rng: np.random.Generator) -> Patches:
    """Marker ink over half of the patch or more: blue, green or black, slightly transparent."""
    inks = np.array([(30, 50, 160), (20, 120, 60), (25, 25, 30)], float)
    drawn = []
    for patch in patches:
        mask = np.zeros(patch.shape[:2], np.uint8)
        ends = rng.integers(0, 96, (3, 2, 2))
        for a, b in ends:
            cv2.line(mask, a.tolist(), b.tolist(), 1, int(rng.integers(28, 44)))
        alpha = 0.85 * cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)[..., None]
        drawn.append((1 - alpha) * patch + alpha * inks[rng.integers(len(inks))])
    inked: Patches = np.clip(np.stack(drawn), 0, 255).astype(np.uint8)
    return inked


def fold(patches: Patches, rng: np.random.Generator) -> Patches:
    """Tissue folded over itself: a band with the stain of two places at once."""
    folded = []
    for patch in patches:
        other = np.roll(patch, tuple(rng.integers(20, 70, 2)), (0, 1)).astype(float)
        double = patch * other * other / 255.0**2 * 1.15
        angle = rng.uniform(0, np.pi)
        y, x = np.mgrid[:96, :96] - 47.5
        band = np.abs(x * np.cos(angle) + y * np.sin(angle)) < rng.uniform(26, 48)
        folded.append(np.where(cv2.blur(band.astype(np.float32), (5, 5))[..., None] > 0.5, double, patch))
    doubled: Patches = np.clip(np.stack(folded), 0, 255).astype(np.uint8)
    return doubled


def jpeg10(patches: Patches, _: np.random.Generator) -> Patches:
    """Compressed at quality 10."""
    out = []
    for patch in patches:
        buffer = io.BytesIO()
        Image.fromarray(patch).save(buffer, "JPEG", quality=10)
        out.append(np.asarray(Image.open(buffer)))
    return np.stack(out)


def colour_cast(patches: Patches, rng: np.random.Generator) -> Patches:
    """A wrong white balance: each channel's light scaled by 0.85 to 1.15, one of them by 0.6 to 0.75."""
    gains = rng.uniform(0.85, 1.15, (len(patches), 1, 1, 3))
    weakest = rng.integers(0, 3, len(patches))
    gains[np.arange(len(patches)), 0, 0, weakest] = rng.uniform(0.6, 0.75, len(patches))
    return np.clip(patches * gains, 0, 255).astype(np.uint8)


def glass(patches: Patches, rng: np.random.Generator) -> Patches:
    """No tissue: the scanner's white with some shading and noise."""
    level = rng.uniform(232, 246, (len(patches), 1, 1, 3))
    noise = rng.normal(0, 1.5, patches.shape)
    return np.clip(level + noise, 0, 255).astype(np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    "blur": blur,
    "pen": pen,
    "fold": fold,
    "JPEG 10": jpeg10,
    "colour cast": colour_cast,
    "blank glass": glass,
}
