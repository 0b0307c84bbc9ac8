"""A checkpoint on disk: NAME.safetensors, and NAME.card.json beside it (`model.weights.card`).

The card names its weights by sha256. Weights with another digest, and cards of an unknown format, are refused.
"""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from model.networks.densenet import DenseNet, DenseNetConfig
from model.weights.card import FORMAT, Card, WeightsRefused, config_of

SHIPPED = Path(__file__).resolve().parents[1] / "shipped"
DEFAULT_NAME = "p4m-densenet"


def checkpoint_paths(name: str, directory: Path = SHIPPED) -> tuple[Path, Path]:
    """The paths of a checkpoint's safetensors file and card."""
    return directory / f"{name}.safetensors", directory / f"{name}.card.json"


def checkpoint_names(directory: Path = SHIPPED) -> list[str]:
    """The names of a directory's checkpoints, sorted."""
    return sorted(path.name.removesuffix(".card.json") for path in directory.glob("*.card.json"))


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all: under another name first, then renamed over the old one."""
    fresh = path.with_name(path.name + ".part")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def save_network(network: DenseNet, name: str, directory: Path, **fields: Any) -> Card:
    """Writes weights and card, each whole or not at all. The card comes last, since it vouches for the weights.

    `fields` are those of the card beside name, digest and architecture.
    """
    directory.mkdir(parents=True, exist_ok=True)
    content = save({key: value.contiguous() for key, value in network.state_dict().items()})
    architecture = json.loads(json.dumps(network.config.to_dict()))
    card = Card(name, hashlib.sha256(content).hexdigest(), architecture, **fields)
    for path, data in zip(checkpoint_paths(name, directory), (content, card.to_json().encode()), strict=True):
        write_atomically(path, data)
    return card


def write_card(card: Card, directory: Path = SHIPPED) -> None:
    """Writes the card of weights that are there, whole or not at all.

    Raises:
        WeightsRefused: the weights are missing, or not those that the card names.
    """
    card.check()
    digest = hashlib.sha256(checkpoint_paths(card.name, directory)[0].read_bytes()).hexdigest()
    if digest != card.digest:
        raise WeightsRefused(f"the card of {card.name} names other weights than those beside it")
    write_atomically(checkpoint_paths(card.name, directory)[1], card.to_json().encode())


def read_card(name: str = DEFAULT_NAME, directory: Path = SHIPPED) -> Card:
    """The card of a checkpoint.

    Raises:
        WeightsRefused: it is missing, not JSON, of another format or name, or of an unsupported architecture.
    """
    path = checkpoint_paths(name, directory)[1]
    try:
        content = json.loads(path.read_text())
        card = Card(**content)
    except (OSError, ValueError, TypeError) as error:
        raise WeightsRefused(f"the card {path.name} cannot be read: {error}") from error
    if card.format != FORMAT:
        raise WeightsRefused(f"{path.name} has format {card.format}; this version reads {FORMAT}")
    if card.name != name:
        raise WeightsRefused(f"{path.name} is the card of {card.name!r}")
    card.check()  # refuses an unsupported architecture before the weights are read
    return card


def load_network(name: str = DEFAULT_NAME, directory: Path = SHIPPED) -> tuple[DenseNet, Card]:
    """The network in eval mode, and its card.

    Raises:
        WeightsRefused: as `read_card`, or the weights are missing, altered or of another architecture.
    """
    card, path = read_card(name, directory), checkpoint_paths(name, directory)[0]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsRefused(f"the weights {path.name} cannot be read: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.digest:
        raise WeightsRefused(f"{path.name} has sha256 {digest[:12]}…, its card says {card.digest[:12]}…")
    network = DenseNet(card.config)
    try:
        network.load_state_dict(load(content))
    except RuntimeError as error:
        raise WeightsRefused(f"{path.name} does not fit the card's architecture: {error}") from error
    return network.eval(), card


def load_averaged_network(checkpoint: Path) -> DenseNet:
    """The network with the averaged weights of a training checkpoint (checkpoint.pt), in eval mode.

    Raises:
        WeightsRefused: the file is no such checkpoint.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        network = DenseNet(config_of(state["config"]))
        network.load_state_dict(state["average"])
    except (OSError, EOFError, KeyError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        raise WeightsRefused(f"{checkpoint} is not a training checkpoint: {error}") from error
    return network.eval()


def load_bare_network(path: Path, config: DenseNetConfig) -> DenseNet:
    """The network of a safetensors file without a card, in eval mode. `config`: its architecture.

    Raises:
        WeightsRefused: the file is missing or no safetensors file, or its tensors are of another architecture.
    """
    network = DenseNet(config)
    try:
        network.load_state_dict(load(path.read_bytes()))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise WeightsRefused(f"{path.name} is no file of weights of this architecture: {error}") from error
    return network.eval()


def load_trained_network(path: Path, config: DenseNetConfig | None = None) -> tuple[DenseNet, Card | None]:
    """The network of checkpoint.pt or of NAME.safetensors, in eval mode, and the card beside the latter.

    Args:
        config: the architecture of a safetensors file without a card; None refuses such a file.

    Raises:
        WeightsRefused: the file is neither, altered, without the card that it needs, or of another architecture.
    """
    if path.suffix != ".safetensors":
        return load_averaged_network(path), None
    if config is None or checkpoint_paths(path.stem, path.parent)[1].exists():
        return load_network(path.stem, path.parent)
    return load_bare_network(path, config), None
