"""Reads PatchCamelyon's HDF5 layout: camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5.

x: (N, 96, 96, 3) uint8 RGB at 0.972 µm/px; y: (N, 1, 1, 1) uint8, 1 where the centre 32×32 px contain tumour. A
`…_meta.csv` beside them may name each patch's slide group (column `slide_group`, or `wsi` in the official files).
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


class BadData(ValueError):
    """Files that are not in PatchCamelyon's layout; the message says what was read and what was expected."""


@dataclass(frozen=True)
class Split:
    """Patches (N, 96, 96, 3) uint8, labels (N,) uint8 0 or 1, and slide groups (N,) str, "" where unknown."""

    patches: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    groups: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def slide_groups(self) -> NDArray[Any] | None:
        """The slide group of each patch, (N,), or None where any is unknown."""
        return self.groups if len(self) and (self.groups != "").all() else None

    def take(self, index: NDArray[Any]) -> "Split":
        """The patches of an index array or a boolean mask, in order."""
        return Split(self.patches[index], self.labels[index], self.groups[index])

    def with_known_slides(self) -> "Split":
        """The patches whose slide group is known."""
        return self.take(self.groups != "")


def join(first: Split, second: Split) -> Split:
    """Two splits, one after the other."""
    pairs = ((first.patches, second.patches), (first.labels, second.labels), (first.groups, second.groups))
    return Split(*(np.concatenate(pair) for pair in pairs))


def read_split(directory: Path, split: str) -> Split:
    """Reads one split into memory.

    Raises:
        FileNotFoundError: the directory lacks the split's x or y file.
        BadData: shapes, dtypes or labels are not PCam's.
    """
    stem = directory / f"camelyonpatch_level_2_split_{split}"
    patches, labels = _dataset(Path(f"{stem}_x.h5"), "x"), _dataset(Path(f"{stem}_y.h5"), "y").reshape(-1)
    if patches.shape[1:] != (96, 96, 3) or len(patches) != len(labels):
        shapes = f"{stem}_x.h5 has shape {patches.shape}, _y.h5 {len(labels)} labels"
        raise BadData(f"{shapes}: expected (N, 96, 96, 3) and N labels")
    if not np.isin(labels, (0, 1)).all():
        raise BadData(f"{stem}_y.h5 holds labels other than 0 and 1: {np.unique(labels)[:5].tolist()}")
    return Split(patches, labels, _groups(Path(f"{stem}_meta.csv"), len(labels)))


def _dataset(path: Path, key: str) -> NDArray[np.uint8]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: the directory must hold PCam's HDF5 files")
    try:
        with h5py.File(path, "r") as file:
            content = file[key]
            if content.dtype != np.uint8:
                raise BadData(f"{path} holds {content.dtype}: expected uint8")
            return np.asarray(content[:])
    except (OSError, KeyError) as error:
        raise BadData(f"{path} is no HDF5 file with a dataset {key!r}: {error}") from error


def _groups(path: Path, count: int) -> NDArray[Any]:
    """The slide groups of a csv, (count,); all unknown where it is missing.

    Raises:
        BadData: the csv has another number of rows.
    """
    unknown = np.full(count, "", dtype="U64")
    if not path.exists():
        return unknown
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != count:
        raise BadData(f"{path} has {len(rows)} rows for {count} patches")
    column = next((name for name in GROUP_COLUMNS if rows and name in rows[0]), None)
    return unknown if column is None else np.array([row[column] or "" for row in rows], dtype="U64")
