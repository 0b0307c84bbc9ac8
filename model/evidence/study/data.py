"""Data of the study."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evidence.study.jobs import FOLDS, Job
from model.train.pcam import Split, join, read_split


def folds_of(groups: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """A fold for each patch: whole slide groups, the largest first, each to the fold with the fewest of its kind."""
    names, counts = np.unique(groups, return_counts=True)
    positives = np.array([int(labels[groups == name].sum()) for name in names])
    load, place = np.zeros((FOLDS, 2), int), {}
    for i in sorted(range(len(names)), key=lambda i: (-positives[i], -counts[i], names[i])):
        fold = min(range(FOLDS), key=lambda f: (load[f][0], load[f][1]) if positives[i] else (load[f][1], load[f][0]))
        load[fold] += (positives[i], counts[i])
        place[names[i]] = fold
    return np.array([place[name] for name in groups])


def part_of(split: Split, fraction: float, by: str, seed: int) -> Split:
    """A share of the patches, or of the slide groups with and without positives alike; the same for every system."""
    rng = np.random.default_rng(seed)
    if by == "patch":
        return split.take(np.sort(rng.permutation(len(split))[: max(32, round(fraction * len(split)))]))
    names = np.unique(split.groups)
    has = np.array([split.labels[split.groups == name].any() for name in names])
    kept: list[str] = []
    for kind in (names[has], names[~has]):
        kept += list(rng.permutation(kind)[: max(1, round(fraction * len(kind)))])
    return split.take(np.isin(split.groups, kept))


def mask_centre(split: Split) -> Split:
    """The 32×32 px that the label speaks of, painted in the mean colour of what surrounds them, and of that alone."""
    patches, centre = split.patches.copy(), split.patches[:, 32:64, 32:64]
    around = patches.sum((1, 2), dtype=np.int64) - centre.sum((1, 2), dtype=np.int64)
    pixels = patches.shape[1] * patches.shape[2] - centre.shape[1] * centre.shape[2]
    patches[:, 32:64, 32:64] = (around // pixels).astype(np.uint8)[:, None, None]
    return Split(patches, split.labels, split.groups)


class Data:
    """PCam's splits, read once, and what a job trains and is measured on."""

    def __init__(self, directory: Path) -> None:
        self._all = read_split(directory, "train")
        self.valid, self.test = read_split(directory, "valid"), read_split(directory, "test")
        self._pool = join(self._all.with_known_slides(), self.valid)
        self._folds = folds_of(self._pool.groups, self._pool.labels)

    def for_job(self, job: Job) -> tuple[Split, dict[str, Split]]:
        """Training patches, and those to answer. Folds never see test."""
        if job.data == "fold":
            return self._pool.take(self._folds != job.fold), {"fold": self._pool.take(self._folds == job.fold)}
        split = self._all if job.data == "all" else self._all.with_known_slides()
        split = part_of(split, job.fraction, job.by, job.seed) if job.fraction < 1 else split
        asked = {"valid": self.valid, "test": self.test}
        if job.shuffled:
            labels = np.random.default_rng(job.seed).permutation(split.labels)
            split = Split(split.patches, labels, split.groups)
        if job.masked:
            return mask_centre(split), {name: mask_centre(part) for name, part in asked.items()}
        return split, asked
