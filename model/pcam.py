"""PatchCamelyon's own HDF5 layout: camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5.

x: (N, 96, 96, 3) uint8 RGB at 0.972 µm/px; y: (N, 1, 1, 1) uint8, 1 when the centre 32×32 px hold tumour. A
`…_meta.csv` beside them may name each patch's slide group (column `slide_group`; wsi in the official files).
Veeling et al. 2018, https://github.com/basveeling/pcam.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

GROUP_COLUMNS = ("slide_group", "wsi")


@dataclass(frozen=True)
class Split:
    """Patches (N, 96, 96, 3) uint8, labels (N,) uint8 and slide groups (N,) str, or None where unknown."""

    patches: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    groups: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.labels)


def read_split(directory: Path, split: str) -> Split:
    """One split, whole, in memory.

    Raises:
        FileNotFoundError: the directory lacks the split's x or y file.
        ValueError: shapes are not PCam's.
    """
    stem = directory / f"camelyonpatch_level_2_split_{split}"
    patches = _dataset(Path(f"{stem}_x.h5"), "x")
    labels = _dataset(Path(f"{stem}_y.h5"), "y").reshape(-1)
    if patches.shape[1:] != (96, 96, 3) or len(patches) != len(labels):
        raise ValueError(
            f"{stem}_x.h5 holds {patches.shape}, _y.h5 {labels.shape}: expected (N, 96, 96, 3) and N labels"
        )
    return Split(patches, labels, _groups(Path(f"{stem}_meta.csv"), len(labels)))


def _dataset(path: Path, key: str) -> NDArray[np.uint8]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: the directory must hold PCam's HDF5 files")
    with h5py.File(path, "r") as file:
        return np.asarray(file[key][:], dtype=np.uint8)


def _groups(path: Path, count: int) -> NDArray[Any] | None:
    if not path.exists():
        return None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    column = next((name for name in GROUP_COLUMNS if rows and name in rows[0]), None)
    if column is None or len(rows) != count or not all(row[column] for row in rows):
        return None
    return np.array([row[column] for row in rows])
