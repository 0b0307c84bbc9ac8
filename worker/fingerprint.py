"""The fingerprint: everything that a cell's bits depend on.

An analysis is pinned to one fingerprint at its first claim, and only workers with the same one may compute its parts.
What is left out could mix the values of two programs in one heat map; what is in it without need restarts running
analyses at every upgrade. So the code is hashed by name: the files that a value passes through, and no others.
"""

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

# The code that computes a value, from the slide file to the row of its band. A folder stands for every Python file
# below it, so new files are hashed without a change here. tests/worker/test_fingerprint.py follows the imports from
# these files and fails for a module that is neither hashed nor listed as an exception with its reason.
VALUE_PATH = (
    "core/analyses/mask.py",  # which cells are scored
    "core/reader",  # the child that decodes regions, and its client
    "core/formats",  # parsers of the tags that say how pixels are stored
    "core/pixels",  # frame, levels, resampling, tiles: which pixels a cell sees
    "core/heatmap/grid.py",  # how the grid is cut into regions
    "core/heatmap/planes.py",  # how values are packed
    "model/groups",
    "model/families",
    "model/networks",
    "model/weights",
    "model/inference",
    "model/checks",  # strangeness is a plane of its own; checks and golden outputs are part of the answer
    "worker/__init__.py",  # threads of the linear algebra
    "worker/compute/bands.py",
    "worker/compute/region_loader.py",
    "worker/compute/region_retry.py",
    "worker/kinds/band.py",
    "worker/kinds/check.py",
    "worker/offers.py",  # how a network is loaded and which arithmetic torch may use
    "worker/fingerprint.py",
)


@lru_cache(maxsize=4)
def code_digest(root: Path = ROOT) -> str:
    """sha256 over names and contents of the files of `VALUE_PATH` under a source tree.

    Raises:
        FileNotFoundError: an entry of `VALUE_PATH` names no Python file.
    """
    digest = hashlib.sha256()
    for path in value_files(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def value_files(root: Path = ROOT) -> list[Path]:
    """The files that `code_digest` hashes, in its order."""
    files = list[Path]()
    for name in VALUE_PATH:
        entry = root / name
        below = sorted(entry.rglob("*.py")) if entry.is_dir() else [entry]
        if not below or not all(path.is_file() for path in below):
            raise FileNotFoundError(f"{name} holds no code: VALUE_PATH is out of date")
        files += below
    return files


def describe(card: Card, familiarity_file: Path, engine: Engine) -> dict[str, Any]:
    """All that a cell's bits depend on. A network may lack the file of its familiarity."""
    return {
        "model": card.name,
        "weights_sha256": card.digest,
        "card_sha256": hashlib.sha256(card.to_json().encode()).hexdigest(),
        "familiarity_sha256": _sha256(familiarity_file) if familiarity_file.exists() else None,
        "code_sha256": code_digest(),
        **engine.describe(get_family(card.config.family)),  # backend, device, precision, threads, their versions
        "numpy": version("numpy"),
        "opencv": version("opencv-python-headless"),
        "reader": f"openslide {version('openslide-bin')}, simplejpeg {version('simplejpeg')}",
        "pillow": version("pillow"),  # lays transparent pixels over white
        "reading": get_settings().reading,
        "region_px": REGION_PX,
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
