"""The ratios that later runs are compared with, stored by kind of processor, since their speeds differ in kind.

Only ratios are stored: figures with a unit vary with the machine and have targets. The stored value of a ratio is the
least favourable of several runs, so that a ratio which is reported as fallen is worse than the noise.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from bench.page.tables import Section, Target, three_figures

FELL = 0.15  # tolerance, as a share of the stored ratio
Ratios = dict[str, float]  # by claim


def read(path: Path, processor: str) -> Ratios | None:
    """The stored ratios of a kind of processor, or None."""
    stored: dict[str, Ratios] = json.loads(path.read_text()) if path.exists() else {}
    return stored.get(processor)


def write(path: Path, processor: str, runs: Iterable[dict[str, Section]]) -> None:
    """Stores the least favourable value of each ratio; those of other processors and unmeasured ones stay."""
    stored: dict[str, Ratios] = json.loads(path.read_text()) if path.exists() else {}
    by_claim: dict[str, list[Target]] = {}
    for run in runs:
        for target in ratios(run):
            by_claim.setdefault(target.claim, []).append(target)
    fresh = {claim: _least_favourable(targets) for claim, targets in by_claim.items()}
    stored[processor] = stored.get(processor, {}) | fresh
    path.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


def ratios(run: dict[str, Section]) -> list[Target]:
    """The targets of a run that are ratios and were measured."""
    return [one for section in run.values() for one in section.targets if not one.unit and one.reached]


def _least_favourable(targets: list[Target]) -> float:
    reached = [one.reached for one in targets if one.reached]
    return max(reached) if targets[0].at_most else min(reached)


def fallen(run: dict[str, Section], stored: Ratios) -> list[str]:
    """A phrase for each ratio that is worse than the stored one by more than the tolerance."""
    phrases = []
    for target in ratios(run):
        was, now = stored.get(target.claim), target.reached
        if was and now and (was / now if target.at_most else now / was) < 1 - FELL:
            phrases.append(f"{target.claim}: {three_figures(now)}, was {three_figures(was)}")
    return phrases
