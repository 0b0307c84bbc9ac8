"""The network that this process serves: frozen, self-tested, with the fingerprint of all that its bits depend on."""

import hashlib
import json
import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from core.geometry import REGION_PX
from core.settings import get_settings
from model import golden
from model.frozen import Frozen, freeze
from model.weights import SHIPPED, Card, load_network

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Served:
    """A network that passed its golden outputs; `worker` names this process."""

    network: Frozen
    card: Card
    provenance: dict[str, Any]
    fingerprint: str
    worker: str


@lru_cache(maxsize=1)
def served() -> Served:
    """The process's network, loaded once.

    Raises:
        WeightsRefused: the weights are not what the card says, or answer the golden pictures otherwise.
    """
    settings = get_settings()
    torch.set_num_threads(settings.network_threads())
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # float32 means float32
    torch.backends.cudnn.deterministic = True
    network, card = load_network(settings.model, settings.weights_dir or SHIPPED)
    frozen = freeze(network).to("cuda" if torch.cuda.is_available() else "cpu")
    difference = golden.check(frozen, card)
    provenance = describe(card, settings.network_threads())
    digest = hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest()
    name = f"{socket.gethostname()[:60]}:{os.getpid()}"
    return Served(frozen, card, {**provenance, "golden_difference": difference}, digest, name)


def code_digest() -> str:
    """One digest of the code that a value passes through, so that two versions never share an analysis."""
    digest = hashlib.sha256()
    for package in ("core", "model", "worker"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def describe(card: Card, threads: int) -> dict[str, Any]:
    """All that a logit's bits depend on."""
    cuda = torch.cuda.is_available()
    return {
        "model": card.name,
        "weights_sha256": card.digest,
        "card_sha256": hashlib.sha256(card.to_json().encode()).hexdigest(),
        "code_sha256": code_digest(),
        "backend": "torch-cuda" if cuda else "torch-cpu",
        "device": torch.cuda.get_device_name() if cuda else torch.backends.cpu.get_cpu_capability(),
        "precision": "float32",
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "opencv": version("opencv-python-headless"),
        "reader": f"openslide {version('openslide-bin')}",
        "region_px": REGION_PX,
        "threads": threads,
    }
