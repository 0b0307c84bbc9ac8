"""The fingerprint: everything that a cell's bits depend on."""

import hashlib
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.pixels.frame import REGION_PX
from core.settings import get_settings
from model.families.family import get_family
from model.inference.engines import Engine
from model.weights.card import Card

ROOT = Path(__file__).resolve().parent.parent


@lru_cache(maxsize=1)
def code_digest() -> str:
    """One digest of the code that a value passes through, so that two versions never share an analysis."""
    digest = hashlib.sha256()
    for package in ("core", "model", "worker"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def describe(card: Card, beside: Path, engine: Engine) -> dict[str, Any]:
    """All that a cell's bits depend on. `beside`: the file of the network's familiarity, which it may lack."""
    return {
        "model": card.name,
        "weights_sha256": card.digest,
        "card_sha256": hashlib.sha256(card.to_json().encode()).hexdigest(),
        "familiarity_sha256": hashlib.sha256(beside.read_bytes()).hexdigest() if beside.exists() else None,
        "code_sha256": code_digest(),
        **engine.describe(get_family(card.config.family)),
        "numpy": version("numpy"),
        "opencv": version("opencv-python-headless"),
        "reader": f"openslide {version('openslide-bin')}, simplejpeg {version('simplejpeg')}",
        "reading": get_settings().reading,
        "region_px": REGION_PX,
    }
