"""A two-sided density of cells' descriptions: how far a cell is from the training patches.

Reconstruction error alone does not measure that: a blurred or blank picture is *easier* to reconstruct than tissue and
has a lower error. So a cell's description (the autoencoder's features and the detector's pooled ones) is compared with
a Gaussian of the training patches, by its Mahalanobis distance

    d² = (x − μ)ᵀ Σ⁻¹ (x − μ)        Σ shrunk towards its diagonal by a fixed share (cf. Ledoit & Wolf 2004)

and strangeness is how far log d² lies from that of patches of held-out slides, on either side, in their own spreads:

    strangeness = |log d² − m| / s        m, s: median and scaled median absolute deviation on held-out slides

A cell is unfamiliar above a threshold that a stated share of held-out patches exceed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Descriptions = NDArray[np.float64]
SHRINKAGE = 0.05
EXCEEDED_BY = 0.02  # share of held-out patches above the threshold, by its definition


@dataclass(frozen=True)
class Density:
    """A Gaussian of descriptions, and the distribution of held-out ones under it."""

    mean: Descriptions  # (D,)
    whitener: Descriptions  # (D, D): rows of Σ^(−½)
    middle: float  # m, in log d²
    spread: float  # s, in log d²
    threshold: float  # of strangeness

    def distance(self, descriptions: Descriptions) -> Descriptions:
        """log d² of (N, D) descriptions, (N,)."""
        white = (descriptions - self.mean) @ self.whitener.T  # (N, D): identity covariance
        logs: Descriptions = np.log(np.square(white).sum(1) + 1e-12)
        return logs

    def strangeness(self, descriptions: Descriptions) -> Descriptions:
        """Spreads from the middle of held-out patches, (N,) ≥ 0, of (N, D) descriptions; NaN stays NaN."""
        return np.abs(self.distance(descriptions) - self.middle) / self.spread


def fit(train: Descriptions, held_out: Descriptions) -> Density:
    """Fits the Gaussian to training patches, and middle, spread and threshold to patches of other slides.

    Args:
        train, held_out: (N, D) descriptions, N at least 4·D in `train`.

    Raises:
        ValueError: `train` has too few patches for a covariance.
    """
    if len(train) < 4 * train.shape[1]:
        raise ValueError(f"{len(train)} patches are too few for a covariance of {train.shape[1]} numbers")
    mean, covariance = train.mean(0), np.cov(train.T)
    # Shrunk: the smallest eigenvalues of a sample covariance are too small, and d² divides by them.
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance) + 1e-9)
    values, vectors = np.linalg.eigh(covariance)  # Σ = V diag(values) Vᵀ, so Σ^(−½) has rows vᵢ/√valueᵢ
    raw = Density(mean, (vectors / np.sqrt(np.maximum(values, 1e-12))).T, 0.0, 1.0, 0.0)
    # Of other slides: distances of the patches that the Gaussian was fitted to are too small.
    logs = raw.distance(held_out)
    middle = float(np.median(logs))
    # 1.4826 times the median absolute deviation is the standard deviation of a Gaussian, robust to outliers.
    spread = float(1.4826 * np.median(np.abs(logs - middle)))
    threshold = float(np.quantile(np.abs(logs - middle) / spread, 1 - EXCEEDED_BY))
    return Density(mean, raw.whitener, middle, spread, threshold)
