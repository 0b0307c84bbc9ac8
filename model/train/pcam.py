"""Reads PatchCamelyon's HDF5 layout: camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5.

x: (N, 96, 96, 3) uint8 RGB at 0.972 µm/px; y: (N, 1, 1, 1) uint8, 1 where the centre 32×32 px contain tumour. A
`…_meta.csv` beside them may name each patch's slide group (column `slide_group`, or `wsi` in the official files), the
cluster of patches that overlap each other (`overlap_cluster`), and its `id`. Veeling et al. 2018,
https://github.com/basveeling/pcam.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

GROUP_COLUMNS = ("slide_group", "wsi")
COLUMNS = (*GROUP_COLUMNS, "overlap_cluster", "id")
Names = NDArray[Any]  # (N,) str, "" where a patch has none
Unit = Literal["slide group", "overlap cluster", "patch"]


class BadData(ValueError):
    """Files that are not in PatchCamelyon's layout; the message says what was read and what was expected."""


@dataclass(frozen=True)
class Split:
    """Patches (N, 96, 96, 3) uint8, labels (N,) uint8 0 or 1, and names of slide groups, "" where unknown.

    `clusters` and `ids` are None where the meta file has no such column.
    """

    patches: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    groups: Names
    clusters: Names | None = None
    ids: Names | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def slide_groups(self) -> Names | None:
        """The slide group of each patch, (N,), or None where any is unknown."""
        return self.groups if len(self) and (self.groups != "").all() else None

    def units(self) -> tuple[Names | None, Unit]:
        """What an interval resamples: the unit of each patch, (N,) or None for single patches, and its kind.

        Patches of one slide are alike, and overlapping ones more so. Clusters of overlap are a poor stand-in for
        slides: intervals by them are too narrow.
        """
        groups = self.slide_groups()
        if groups is not None:
            return groups, "slide group"
        if self.clusters is None or not (self.clusters != "").any():
            return None, "patch"
        alone = np.array([f"alone {i}" for i in range(len(self))])
        return np.where(self.clusters != "", self.clusters, alone), "overlap cluster"

    def take(self, index: NDArray[Any]) -> "Split":
        """The patches of an index array or a boolean mask, in order."""
        clusters, ids = (None if names is None else names[index] for names in (self.clusters, self.ids))
        return Split(self.patches[index], self.labels[index], self.groups[index], clusters, ids)

    def with_known_slides(self) -> "Split":
        """The patches whose slide group is known."""
        return self.take(self.groups != "")


def join(first: Split, second: Split) -> Split:
    """Two splits, one after the other, without clusters and ids."""
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
    columns = _meta(Path(f"{stem}_meta.csv"), len(labels))
    groups = next((columns[name] for name in GROUP_COLUMNS if name in columns), np.full(len(labels), ""))
    return Split(patches, labels, groups, columns.get("overlap_cluster"), columns.get("id"))


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


def _meta(path: Path, count: int) -> dict[str, Names]:
    """The columns of a meta csv that this module knows, each (count,); none where it is missing.

    Raises:
        BadData: the csv has another number of rows.
    """
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != count:
        raise BadData(f"{path} has {len(rows)} rows for {count} patches")
    named = [name for name in COLUMNS if rows and name in rows[0]]
    return {name: np.array([row.get(name) or "" for row in rows]) for name in named}
