"""Drift: how far an engine's logits are from those of torch in float32, the reference."""

import numpy as np

from model.checks import golden
from model.inference.dense import Pixels, infer
from model.inference.detector import Detector, Precision
from model.inference.frozen import Frozen
from model.weights.card import WeightsRefused

TOLERANCE: dict[Precision, float] = {"float32": golden.TOLERANCE, "bfloat16": 0.5}  # logits


def drift(detector: Detector, reference: Detector, pixels: Pixels) -> float:
    """The largest difference between two detectors' logits of regions (N, H, W, 3) uint8; infinite where one is NaN."""
    if detector is reference:
        return 0.0
    worst = float(np.abs(infer(detector, pixels) - infer(reference, pixels)).max())
    return worst if np.isfinite(worst) else float("inf")


def check(detector: Detector, reference: Frozen, precision: Precision) -> float:
    """The drift on the golden pictures and on a region made of them, in logits.

    Raises:
        WeightsRefused: it is larger than rounding at that precision explains.
    """
    pictures = golden.pictures()
    region = np.concatenate(np.concatenate(pictures.reshape(2, 4, *pictures.shape[1:]), 1), 1)  # 2 × 4 pictures
    worst = max(drift(detector, reference, pixels) for pixels in (pictures, region[None]))
    if not worst <= TOLERANCE[precision]:
        most = TOLERANCE[precision]
        raise WeightsRefused(
            f"answers are {worst:.3g} logits off torch's in float32 (tolerance {most:g}): choose torch"
        )
    return worst
