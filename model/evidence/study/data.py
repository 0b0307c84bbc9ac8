"""The data of a job: folds, shares, masks. All choices depend on seeds alone, so every rival sees the same patches."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evidence.study.jobs import FOLDS, Job
from model.train.pcam import Split, join, read_split


def folds_of(groups: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """The fold of each patch, (N,) in 0..4.

    Slide groups stay whole. They are assigned largest first, each to the fold with the fewest patches of its kind
    (positives for groups that have any).
    """
    names, counts = np.unique(groups, return_counts=True)
    positives = np.array([int(labels[groups == name].sum()) for name in names])
    load, place = np.zeros((FOLDS, 2), int), {}
    for i in sorted(range(len(names)), key=lambda i: (-positives[i], -counts[i], names[i])):
        fold = min(range(FOLDS), key=lambda f: (load[f][0], load[f][1]) if positives[i] else (load[f][1], load[f][0]))
        load[fold] += (positives[i], counts[i])
        place[names[i]] = fold
    return np.array([place[name] for name in groups])


def part_of(split: Split, fraction: float, by: str, seed: int) -> Split:
    """A share of the patches, or of the slide groups: the same share of those with positives and of those without."""
    rng = np.random.default_rng(seed)
    if by == "patch":
        return split.take(np.sort(rng.permutation(len(split))[: max(32, round(fraction * len(split)))]))
    names = np.unique(split.groups)
    has_positives = np.array([split.labels[split.groups == name].any() for name in names])
    selected: list[str] = []
    for kind in (names[has_positives], names[~has_positives]):
        selected += list(rng.permutation(kind)[: max(1, round(fraction * len(kind)))])
    return split.take(np.isin(split.groups, selected))


def mask_centre(split: Split) -> Split:
    """Paints the 32×32 px that the label refers to in the mean colour of their surroundings, which excludes them."""
    patches, centre = split.patches.copy(), split.patches[:, 32:64, 32:64]
    around = patches.sum((1, 2), dtype=np.int64) - centre.sum((1, 2), dtype=np.int64)
    pixels = patches.shape[1] * patches.shape[2] - centre.shape[1] * centre.shape[2]
    patches[:, 32:64, 32:64] = (around // pixels).astype(np.uint8)[:, None, None]
    return Split(patches, split.labels, split.groups)


class Data:
    """PCam's splits, read once, and the patches of each job.

    Raises:
        FileNotFoundError, BadData: the files are missing or not PCam's.
    """

    def __init__(self, directory: Path) -> None:
        self._all = read_split(directory, "train")
        self.valid, self.test = read_split(directory, "valid"), read_split(directory, "test")
        self._pool = join(self._all.with_known_slides(), self.valid)
        self._folds = folds_of(self._pool.groups, self._pool.labels)

    @property
    def is_named(self) -> bool:
        """Whether valid's slides are all known by name, as in the plan named."""
        return self.valid.slide_groups() is not None

    def for_job(self, job: Job) -> tuple[Split, dict[str, Split]]:
        """The patches that a job trains on, and those that it answers, by part. Folds never see test."""
        if job.data == "fold":
            return self._pool.take(self._folds != job.fold), {"fold": self._pool.take(self._folds == job.fold)}
        split = self._all if job.data in ("all", "official") else self._all.with_known_slides()
        split = part_of(split, job.fraction, job.by, job.seed) if job.fraction < 1 else split
        held_out = {"valid": self.valid} if job.data == "official" else {"valid": self.valid, "test": self.test}
        if job.shuffled:
            labels = np.random.default_rng(job.seed).permutation(split.labels)
            split = Split(split.patches, labels, split.groups)
        if job.masked:
            return mask_centre(split), {name: mask_centre(part) for name, part in held_out.items()}
        return split, held_out
