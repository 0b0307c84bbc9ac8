"""Familiarity: how unlike a detector's training patches each cell of a region is.

Two networks describe a cell, an autoencoder and the detector itself, and one density (`model.checks.density`) gives the
number of the description: its *strangeness*, 0 for a typical cell. Above the threshold a cell is unfamiliar. The check
is two-sided and label-free. A familiar cell may still be scored wrongly.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.checks.density import Density, Descriptions
from model.inference.dense import Pixels, as_image
from model.networks.autoencoder import Autoencoder

StrangenessMap = NDArray[np.float32]


@dataclass(frozen=True)
class Familiarity:
    """An autoencoder and the density of what it and one detector compute for training patches."""

    autoencoder: Autoencoder
    density: Density
    record: dict[str, Any] = field(default_factory=dict)  # how it was fitted, and how well it detects corruptions
    digest: str = ""  # sha256 of its file

    @property
    def threshold(self) -> float:
        """The strangeness above which a cell is unfamiliar."""
        return self.density.threshold

    @property
    def usual_share(self) -> float:
        """The largest share of unfamiliar cells on a reference slide, one that the density was not fitted to."""
        return float(max(self.record["usual_shares"]))

    def strangeness(self, pixels: Pixels | torch.Tensor, pooled: torch.Tensor) -> StrangenessMap:
        """The strangeness of every cell of a batch of regions.

        Args:
            pixels: (N, H, W, 3) uint8 regions.
            pooled: (N, C, rows, cols), the detector's features before its classifier (`infer_with_features`).

        Returns:
            float32 (N, rows, cols) ≥ 0, in spreads of held-out patches.
        """
        descriptions = describe(self.autoencoder, pixels, pooled)
        n, rows, cols, numbers = descriptions.shape
        return self.density.strangeness(descriptions.reshape(-1, numbers)).reshape(n, rows, cols).astype(np.float32)


@torch.inference_mode()
def describe(autoencoder: Autoencoder, pixels: Pixels | torch.Tensor, pooled: torch.Tensor) -> Descriptions:
    """The descriptions of each cell by both networks, (N, rows, cols, D) float64; arguments as `strangeness`.

    float64, since the density subtracts a mean and squares.
    """
    features = torch.cat([autoencoder.describe(as_image(autoencoder, pixels)), pooled.to(torch.float32)], 1)
    descriptions: Descriptions = features.permute(0, 2, 3, 1).double().cpu().numpy()
    return descriptions
