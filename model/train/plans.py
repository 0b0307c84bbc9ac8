"""Plans: which patches train, tune and judge, and what their meta files must say of slides.

- official: PCam's own splits, for what is shipped. Tune on valid, score test once, with the network that was chosen.
  No cluster of overlapping patches may be in both.
- named: valid and test are slides known by name, for questions about slides, such as folds and figures within one.
"""

import csv
from pathlib import Path
from typing import Literal

import numpy as np

from model.train.pcam import BadData, Split, read_split

PlanName = Literal["official", "named"]
PLANS: tuple[PlanName, ...] = ("official", "named")
MOST_NAMED = 5  # names that an error lists


def read_plan(directory: Path, plan: PlanName | None = None, leaks: Path | None = None) -> dict[str, Split]:
    """The splits train, valid and test of a folder, by name.

    Args:
        plan: what the meta files are checked for; None checks that no named slide is in two splits.
        leaks: a csv whose column `id` lists patches to leave out of train, since they overlap a judging patch.

    Raises:
        FileNotFoundError: a file is missing.
        BadData: a file is not PCam's, a meta file contradicts the plan, or the leak list names ids that train lacks.
    """
    splits = {name: read_split(directory, name) for name in ("train", "valid", "test")}
    if leaks is not None:
        splits["train"] = without(splits["train"], _ids(leaks), leaks.name)
    _require_apart(splits)
    if plan == "official":
        _require_no_shared_cluster(splits)
    if plan == "named":
        for name in ("valid", "test"):
            _require_named(splits[name], name)
    return splits


def without(train: Split, ids: list[str], source: str) -> Split:
    """The split without the patches of these ids.

    Raises:
        BadData: the split has no ids, or lacks some of these.
    """
    if train.ids is None:
        raise BadData(f"train's meta file has no column id, so {source} cannot be applied")
    unknown = sorted(set(ids) - set(train.ids.tolist()))
    if unknown:
        why = "it is another data set's list, or was applied already"
        raise BadData(f"{source} names {_some(unknown)}, which train does not have: {why}")
    return train.take(~np.isin(train.ids, ids))


def _ids(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # with the mark that Excel writes, or without
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path} is no csv: {error}") from error
    if not rows or "id" not in rows[0]:
        raise BadData(f"{path} has no column id")
    ids = [row["id"] for row in rows]
    if not all(ids):
        raise BadData(f"{path} has a row without an id")
    return ids


def _require_apart(splits: dict[str, Split]) -> None:
    """Raises BadData where a named slide is in two splits: its patches would judge what they taught."""
    names = {name: set(split.groups.tolist()) - {""} for name, split in splits.items()}
    for first, second in (("train", "valid"), ("train", "test"), ("valid", "test")):
        both = sorted(names[first] & names[second])
        if both:
            raise BadData(f"the slide groups {_some(both)} are in {first} and in {second}")


def _require_no_shared_cluster(splits: dict[str, Split]) -> None:
    """Raises BadData where valid and test share a cluster. Clusters are named over all splits."""
    valid, test = splits["valid"].clusters, splits["test"].clusters
    if valid is None or test is None:
        return
    both = sorted(set(valid.tolist()) & set(test.tolist()) - {""})
    if both:
        raise BadData(f"the overlap clusters {_some(both)} are in valid and in test")


def _require_named(split: Split, name: str) -> None:
    unnamed = int((split.groups == "").sum())
    if unnamed:
        raise BadData(f"{unnamed} patches of {name} have no slide group: the plan named judges by slide, try official")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more
