"""The ratios that later runs are held against, kept by kind of processor: what is fast on one is not on another.

Only ratios: figures with a unit drift with the machine, and have their targets. A run that is kept is several runs, of
each ratio the least favourable, so that what is called fallen is worse than the noise.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from bench.page.tables import Section, Target, shown

FELL = 0.15
Ratios = dict[str, float]  # by claim


def read(path: Path, processor: str) -> Ratios | None:
    """What was kept for this kind of processor, if anything was."""
    kept: dict[str, Ratios] = json.loads(path.read_text()) if path.exists() else {}
    return kept.get(processor)


def write(path: Path, processor: str, runs: Iterable[dict[str, Section]]) -> None:
    """Keep the least favourable of each ratio; other processors' stay, and ratios that were not measured now."""
    kept: dict[str, Ratios] = json.loads(path.read_text()) if path.exists() else {}
    found: dict[str, list[Target]] = {}
    for run in runs:
        for target in ratios(run):
            found.setdefault(target.claim, []).append(target)
    fresh = {claim: _least_favourable(targets) for claim, targets in found.items()}
    kept[processor] = kept.get(processor, {}) | fresh
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def ratios(run: dict[str, Section]) -> list[Target]:
    """Those that were measured."""
    return [one for section in run.values() for one in section.targets if not one.unit and one.reached]


def _least_favourable(targets: list[Target]) -> float:
    reached = [one.reached for one in targets if one.reached]
    return max(reached) if targets[0].at_most else min(reached)


def fallen(run: dict[str, Section], kept: Ratios) -> list[str]:
    """A sentence for each ratio that is worse than what was kept by more than the tolerance."""
    said = []
    for target in ratios(run):
        was, now = kept.get(target.claim), target.reached
        if was and now and (was / now if target.at_most else now / was) < 1 - FELL:
            said.append(f"{target.claim}: {shown(now)}, was {shown(was)}")
    return said
