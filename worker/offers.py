"""The networks that this process offers: frozen, self-tested, each with its fingerprint.

The default network is loaded and tested when the process starts, the others at their first request. A network whose
weights are refused is no longer offered.
"""

import hashlib
import json
import logging
import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from core.settings import get_settings
from model.checks import drift, familiarity_file, golden
from model.checks.familiarity import Familiarity
from model.families.family import get_family
from model.inference.detector import Detector
from model.inference.engines import Engine
from model.inference.frozen import freeze
from model.inference.memory import keep_freed_memory
from model.weights.card import COMPARISON, Card, WeightsRefused
from model.weights.checkpoint import SHIPPED, checkpoint_names, load_network, read_card
from worker.fingerprint import describe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offer:
    """A network that this process can run, loaded or not."""

    card: Card
    provenance: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class Served:
    """A network that passed its golden outputs. `reference`: the same in torch's float32, often the same object."""

    network: Detector
    reference: Detector
    card: Card
    provenance: dict[str, Any]
    familiarity: Familiarity | None = None

    @property
    def checked(self) -> Detector:
        """The detector that the rotation check runs: in bfloat16 the reference, since rounding would hide a fault."""
        return self.network if self.provenance["precision"] == "float32" else self.reference

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        tensor: torch.Tensor = next(iter(self.reference.state_dict().values()))
        return tensor.device


def process_name(pid: int) -> str:
    """The name of a pool process of this machine in the rows that it claims."""
    return f"{socket.gethostname()[:60]}:{pid}"


class Serving:
    """The networks of a folder of weights. `worker` names the process.

    Raises:
        WeightsRefused: the default network's weights are refused.
    """

    def __init__(self, directory: Path, default: str, engine: Engine, rivals: bool = True) -> None:
        self.worker = process_name(os.getpid())
        self._directory, self._default, self._engine = directory, default, engine
        self._loaded: dict[str, Served] = {}
        self._refused: set[str] = set()
        self.offers = {default: self._offer(default)}
        for name in (name for name in checkpoint_names(directory) if name != default):
            try:
                offer = self._offer(name)
            except WeightsRefused as error:
                log.warning("network not offered", extra={"fields": {"network": name, "reason": str(error)}})
            else:
                if rivals or offer.card.purpose != COMPARISON:
                    self.offers[name] = offer
        self.network(default)

    def fingerprints(self) -> dict[str, str]:
        """By model. Refused ones are included, so that work which waits for them fails with the reason."""
        return {name: offer.fingerprint for name, offer in self.offers.items()}

    def good_offers(self) -> list[Offer]:
        """The offers that new work may request."""
        return [offer for name, offer in self.offers.items() if name not in self._refused]

    def network(self, name: str | None) -> Served:
        """A network by name, or the default. It is loaded and tested once.

        Raises:
            WeightsRefused: the weights are not those of the card, or answer the golden pictures otherwise.
        """
        name = name or self._default
        if name not in self._loaded:
            try:
                self._loaded[name] = self._load(name)
            except WeightsRefused:
                self._refused.add(name)
                raise
        return self._loaded[name]

    def _offer(self, name: str) -> Offer:
        card = read_card(name, self._directory)
        provenance = describe(card, familiarity_file.path_of(name, self._directory), self._engine)
        return Offer(card, provenance, hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest())

    def _load(self, name: str) -> Served:
        network, card = load_network(name, self._directory)
        path = familiarity_file.path_of(name, self._directory)
        # The fingerprint was computed at the start. Files changed since would compute other bits under its name.
        if describe(card, path, self._engine) != self.offers[name].provenance:
            raise WeightsRefused(f"the files of {name} changed after this worker started: restart it")
        frozen = freeze(network).to(self._engine.device(get_family(card.config.family)))
        difference = golden.check(frozen, card)
        detector = self._engine.prepare(frozen)
        tests = {"golden_difference": difference, "drift": drift.check(detector, frozen, self._engine.precision)}
        familiarity = familiarity_file.read(path, card.digest) if path.exists() else None
        if familiarity is not None:
            familiarity.autoencoder.to(next(frozen.buffers()).device)
        return Served(detector, frozen, card, {**self.offers[name].provenance, **tests}, familiarity)


@lru_cache(maxsize=1)
def serving() -> Serving:
    """The networks that this process offers, by its settings.

    Raises:
        WeightsRefused: the default network's weights are refused.
    """
    settings = get_settings()
    keep_freed_memory()
    # Threads and arithmetic are part of the fingerprint, so they are set before anything computes.
    torch.set_num_threads(settings.network_threads())
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # float32 means float32
    torch.backends.cudnn.deterministic = True  # else cuDNN chooses its kernels by timing, and bits vary between runs
    directory = settings.weights_dir or SHIPPED
    engine = Engine(settings.backend, settings.precision, settings.network_threads())
    return Serving(directory, settings.model, engine, settings.offer_rivals)
