"""How unlike its training patches each cell of a region is: what an autoencoder and a detector see, under one density.

A detector DETECTOR may have a file DETECTOR.familiarity.safetensors beside it: the autoencoder, the density of training
patches (model.checks.density), and in its metadata the digest of the detector whose features it was fitted with. With
another detector it is refused, for their features would not be the same numbers.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.checks.density import Density, Descriptions
from model.inference.dense import Pixels, as_image
from model.networks.autoencoder import Autoencoder

Strange = NDArray[np.float32]


@dataclass(frozen=True)
class Familiarity:
    """`record`: how it was made and measured. `digest`: the file's sha256."""

    autoencoder: Autoencoder
    density: Density
    record: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def threshold(self) -> float:
        """Above it a cell is unfamiliar."""
        return self.density.threshold

    @property
    def usual_share(self) -> float:
        """The largest share of unfamiliar cells that any held-out slide had."""
        return float(max(self.record["usual_shares"]))

    def strangeness(self, pixels: Pixels | torch.Tensor, pooled: torch.Tensor) -> Strange:
        """The strangeness of every cell.

        Args:
            pixels: (N, H, W, 3) uint8 regions.
            pooled: (N, C, rows, cols), the detector's features before its classifier.

        Returns:
            float32 (N, rows, cols), in spreads of held-out patches.
        """
        described = describe(self.autoencoder, pixels, pooled)
        n, rows, cols, numbers = described.shape
        return self.density.strangeness(described.reshape(-1, numbers)).reshape(n, rows, cols).astype(np.float32)


@torch.inference_mode()
def describe(autoencoder: Autoencoder, pixels: Pixels | torch.Tensor, pooled: torch.Tensor) -> Descriptions:
    """What both networks see of each cell: (N, rows, cols, D) float64."""
    seen = torch.cat([autoencoder.describe(as_image(autoencoder, pixels)), pooled.to(torch.float32)], 1)
    described: Descriptions = seen.permute(0, 2, 3, 1).double().cpu().numpy()
    return described
