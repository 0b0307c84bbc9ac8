"""How unlike its training patches each cell of a region is: what an autoencoder and a detector see, under one density.

A detector DETECTOR may have a file DETECTOR.familiarity.safetensors beside it: the autoencoder, the density of training
patches (model.checks.density), and in its metadata the digest of the detector whose features it was fitted with. With
another detector it is refused, for their features would not be the same numbers.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from model.checks.density import Descriptions, Familiarity
from model.inference.dense import Logits, Pixels, as_image
from model.inference.frozen import Affine, Detector, expand_banks, plain_conv, replaced
from model.networks.autoencoder import WIDTHS, Autoencoder, Stage
from model.weights.card import WeightsRefused
from model.weights.checkpoint import SHIPPED, write_whole

FORMAT = 1
Strange = NDArray[np.float32]


def path_of(detector: str, directory: Path = SHIPPED) -> Path:
    """Where the file of a detector's familiarity lies."""
    return directory / f"{detector}.familiarity.safetensors"


@dataclass(frozen=True)
class Strangeness:
    """`known`: how it was made and measured. `digest`: the file's sha256."""

    autoencoder: Autoencoder
    density: Familiarity
    known: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def threshold(self) -> float:
        """Above it a cell is unfamiliar."""
        return self.density.threshold

    @property
    def usual_share(self) -> float:
        """The largest share of unfamiliar cells that any held-out slide had."""
        return float(max(self.known["usual_shares"]))

    def of(self, pixels: Pixels | torch.Tensor, pooled: torch.Tensor) -> Strange:
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


@torch.inference_mode()
def look(detector: Detector, pixels: Pixels | torch.Tensor) -> tuple[Logits, torch.Tensor]:
    """Logits (N, rows, cols), bit for bit those of `infer`, and the features that they were made from."""
    pooled = detector.pooled(as_image(detector, pixels))
    logits: Logits = detector.classifier(pooled)[:, 0].float().cpu().numpy()
    return logits, pooled


class FrozenStage(nn.Module):
    """relu(conv f), the norm folded into the convolution: they meet with no ReLU between."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.conv = plain_conv(stage.conv.bank().detach(), Affine.of(stage.norm), padding=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu_(self.conv(features))


def prepared(autoencoder: Autoencoder) -> Autoencoder:
    """Its form for inference: banks expanded once, norms folded in, channels last."""
    plain = expand_banks(replaced(autoencoder, Stage, FrozenStage)).requires_grad_(False).eval()
    return plain.to(memory_format=torch.channels_last)  # type: ignore[no-any-return,call-overload] # torch's stubs


def write(strangeness: Strangeness, detector_digest: str, path: Path) -> None:
    """Whole or not at all. `strangeness.autoencoder` must be the trained one, not its prepared form."""
    density = strangeness.density
    tensors = {f"autoencoder.{key}": value.contiguous() for key, value in strangeness.autoencoder.state_dict().items()}
    for name in ("mean", "whitener"):
        tensors[f"density.{name}"] = torch.from_numpy(getattr(density, name)).float().contiguous()
    numbers = {name: getattr(density, name) for name in ("middle", "spread", "threshold")}
    about = {"format": FORMAT, "detector": detector_digest, "density": numbers, "known": strangeness.known}
    write_whole(path, save(tensors, {"about": json.dumps(about)}))


def read(path: Path, detector_digest: str) -> Strangeness:
    """The familiarity of a detector, prepared for inference.

    Raises:
        WeightsRefused: the file is broken, of another format, or was fitted with another detector.
    """
    try:
        content = path.read_bytes()
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = json.loads(header["__metadata__"]["about"])
        version, detector, known = about["format"], about["detector"], about["known"]
        mean, whitener = (tensors.pop(f"density.{name}").double().numpy() for name in ("mean", "whitener"))
        density = Familiarity(mean, whitener, **about["density"])
        max(known["usual_shares"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise WeightsRefused(f"{path.name} cannot be read: {type(error).__name__} {error}") from error
    if version != FORMAT or detector != detector_digest:
        detail = f"{path.name} belongs to another detector, or to another version of this program"
        raise WeightsRefused(f"{detail}: make it anew (python -m model.train.familiarity) or take it away")
    autoencoder = Autoencoder(WIDTHS)
    try:
        autoencoder.load_state_dict({key.removeprefix("autoencoder."): value for key, value in tensors.items()})
    except RuntimeError as error:
        raise WeightsRefused(f"{path.name} does not fit the autoencoder: {error}") from error
    return Strangeness(prepared(autoencoder), density, known, hashlib.sha256(content).hexdigest())
