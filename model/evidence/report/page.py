"""docs/detector.md and its figures, from the answers and probes in docs/evidence.

Every number of a measurement is of a file that a command of this package wrote, or quoted from the card. Sections whose
runs are not there say so.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.evidence.measure import PROBES
from model.evidence.report.comparison import read_answers
from model.evidence.report.controls import left_out, trained_controls
from model.evidence.report.figures import draw_angles, draw_reliability
from model.evidence.report.learning import fractions, repeated
from model.evidence.report.measured import angles, exactness, familiar, introduction, shipped, stability
from model.evidence.report.rivals import on_splits, rivals
from model.evidence.study.data import Data
from model.evidence.study.runs import ANSWERS
from model.weights.card import WeightsRefused
from model.weights.checkpoint import DEFAULT_NAME, read_card

PAGE = ANSWERS.parent / "detector.md"


def probed() -> dict[str, Any]:
    """What `model.evidence.measure` found. Raises FileNotFoundError with what to run."""
    if not PROBES.exists():
        raise FileNotFoundError(f"{PROBES} is missing: run python -m model.evidence.measure first")
    content: dict[str, Any] = json.loads(PROBES.read_text())
    if content["weights"] != read_card(DEFAULT_NAME).digest:
        raise WeightsRefused(f"{PROBES} was measured with other weights: run python -m model.evidence.measure again")
    return content


def page(directory: Path) -> str:
    """The whole page; figures are drawn on the way."""
    found, answers, data = probed(), read_answers(ANSWERS), Data(directory)
    draw_reliability(PAGE.parent / "detector-reliability.png", found["shipped"])
    draw_angles(PAGE.parent / "detector-angles.png", found["angles"])
    parts: list[Callable[[], str]] = [
        lambda: introduction(found),
        lambda: shipped(found),
        lambda: rivals(answers, data, found, PAGE.parent),
        lambda: on_splits(answers, data),
        lambda: fractions(answers, data, PAGE.parent),
        lambda: repeated(answers, data),
        lambda: exactness(found),
        lambda: trained_controls(answers, data),
        lambda: angles(found),
        lambda: stability(found),
        lambda: familiar(found),
        lambda: left_out(answers),
    ]
    return "\n\n".join(part() for part in parts) + "\n"
