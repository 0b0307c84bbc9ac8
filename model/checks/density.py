"""How like the training patches a cell is: a density of its description, told from both sides.

Plain reconstruction error is no measure of strangeness: a blurred or blank picture is *easier* to paint than tissue,
and gets a lower error. So a cell's description (the autoencoder's latents and the detector's pooled features) is held
against a Gaussian of the training patches, by its Mahalanobis distance

    d² = (x − μ)ᵀ Σ⁻¹ (x − μ)        Σ shrunk towards its diagonal (Ledoit & Wolf 2004 in spirit: one fixed share)

and the score is how far log d² lies from what patches of held-out slides have, on either side, in their own spreads:

    strangeness = |log d² − m| / s        m, s: median and scaled median absolute deviation on held-out slides

A cell is unfamiliar above a threshold that a stated share of held-out patches exceed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Descriptions = NDArray[np.float64]
SHRINKAGE = 0.05
EXCEEDED_BY = 0.02  # of held-out patches, by definition of the threshold


@dataclass(frozen=True)
class Density:
    """A Gaussian of descriptions, and what held-out ones look like under it."""

    mean: Descriptions
    whitener: Descriptions  # (D, D): rows of Σ^(−½)
    middle: float
    spread: float
    threshold: float

    def distance(self, descriptions: Descriptions) -> Descriptions:
        """log d² of (N, D) descriptions, (N,)."""
        white = (descriptions - self.mean) @ self.whitener.T
        logs: Descriptions = np.log(np.square(white).sum(1) + 1e-12)
        return logs

    def strangeness(self, descriptions: Descriptions) -> Descriptions:
        """How many spreads from the middle of held-out patches, (N,); NaN stays NaN."""
        return np.abs(self.distance(descriptions) - self.middle) / self.spread


def fit(train: Descriptions, held_out: Descriptions) -> Density:
    """From training patches, and patches of slides that are not among them.

    Args:
        train, held_out: (N, D) descriptions, N well above D.

    Raises:
        ValueError: too few patches for a covariance.
    """
    if len(train) < 4 * train.shape[1]:
        raise ValueError(f"{len(train)} patches are too few for a covariance of {train.shape[1]} numbers")
    mean, covariance = train.mean(0), np.cov(train.T)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance) + 1e-9)
    values, vectors = np.linalg.eigh(covariance)
    raw = Density(mean, (vectors / np.sqrt(np.maximum(values, 1e-12))).T, 0.0, 1.0, 0.0)
    logs = raw.distance(held_out)
    middle = float(np.median(logs))
    spread = float(1.4826 * np.median(np.abs(logs - middle)))
    threshold = float(np.quantile(np.abs(logs - middle) / spread, 1 - EXCEEDED_BY))
    return Density(mean, raw.whitener, middle, spread, threshold)
