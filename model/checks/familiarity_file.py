"""The file of a detector's familiarity, DETECTOR.familiarity.safetensors beside the detector's weights.

It holds the autoencoder, the density, and in its metadata the digest of the detector whose features the density was
fitted to. With another detector it is refused, since that one's features are other numbers.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from model.checks.density import Density
from model.checks.familiarity import Familiarity
from model.inference.frozen_autoencoder import freeze_autoencoder
from model.networks.autoencoder import WIDTHS, Autoencoder
from model.weights.card import WeightsRefused
from model.weights.checkpoint import SHIPPED, write_atomically

FORMAT = 1


def path_of(detector: str, directory: Path = SHIPPED) -> Path:
    """The path of the file of a detector's familiarity, which may not exist."""
    return directory / f"{detector}.familiarity.safetensors"


def write(familiarity: Familiarity, detector_digest: str, path: Path) -> None:
    """Writes the file whole or not at all. `familiarity.autoencoder` is the trained one, not its frozen form."""
    density = familiarity.density
    tensors = {f"autoencoder.{key}": value.contiguous() for key, value in familiarity.autoencoder.state_dict().items()}
    for name in ("mean", "whitener"):
        tensors[f"density.{name}"] = torch.from_numpy(getattr(density, name)).float().contiguous()
    numbers = {name: getattr(density, name) for name in ("middle", "spread", "threshold")}
    about = {"format": FORMAT, "detector": detector_digest, "density": numbers, "known": familiarity.record}
    write_atomically(path, save(tensors, {"about": json.dumps(about)}))


def read(path: Path, detector_digest: str) -> Familiarity:
    """The familiarity of a detector, frozen for inference.

    Raises:
        WeightsRefused: the file is broken, of another format, or was fitted with another detector.
    """
    try:
        content = path.read_bytes()
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = json.loads(header["__metadata__"]["about"])
        version, detector, record = about["format"], about["detector"], about["known"]
        mean, whitener = (tensors.pop(f"density.{name}").double().numpy() for name in ("mean", "whitener"))
        density = Density(mean, whitener, **about["density"])
        max(record["usual_shares"])  # read while serving: a record without it is refused here
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise WeightsRefused(f"{path.name} cannot be read: {type(error).__name__} {error}") from error
    if version != FORMAT or detector != detector_digest:
        detail = f"{path.name} belongs to another detector, or to another version of this program"
        raise WeightsRefused(f"{detail}: fit it again (python -m model.train.familiarity) or remove it")
    autoencoder = Autoencoder(WIDTHS)
    try:
        autoencoder.load_state_dict({key.removeprefix("autoencoder."): value for key, value in tensors.items()})
    except RuntimeError as error:
        raise WeightsRefused(f"{path.name} does not fit the autoencoder: {error}") from error
    return Familiarity(freeze_autoencoder(autoencoder), density, record, hashlib.sha256(content).hexdigest())
