"""Assembles docs/detector.md and draws its figures, from the answers and probes in docs/evidence.

Every figure comes from a file that a command of this package wrote, or from the card. Sections whose runs are missing
say so.
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
from model.evidence.report.measured import angles, distance, exactness, familiar, introduction, shipped, stability
from model.evidence.report.official import official
from model.evidence.report.rivals import on_splits, rivals
from model.evidence.report.slides import draw, read_slides, slide_level
from model.evidence.study.data import Data
from model.evidence.study.runs import ANSWERS
from model.train.pcam import read_split
from model.weights.card import WeightsRefused
from model.weights.checkpoint import DEFAULT_NAME, read_card

PAGE = ANSWERS.parent / "detector.md"


def read_probes() -> dict[str, Any]:
    """The probes that `model.evidence.measure` wrote.

    Raises:
        FileNotFoundError: there are none yet.
        WeightsRefused: they are of other weights than the shipped ones.
    """
    if not PROBES.exists():
        raise FileNotFoundError(f"{PROBES} is missing: run python -m model.evidence.measure first")
    content: dict[str, Any] = json.loads(PROBES.read_text())
    if content["weights"] != read_card(DEFAULT_NAME).digest:
        raise WeightsRefused(f"{PROBES} was measured with other weights: run python -m model.evidence.measure again")
    return content


def page(directory: Path, official_plan: Path | None) -> str:
    """The page as Markdown; draws its figures.

    Args:
        directory: PCam's files by the plan named, which judged the study.
        official_plan: those by the plan official, which judged its runs on official train.
    """
    probes, answers, data = read_probes(), read_answers(ANSWERS), Data(directory)
    draw_reliability(PAGE.parent / "detector-reliability.png", probes["shipped"])
    draw_angles(PAGE.parent / "detector-angles.png", probes["angles"])
    slides = read_slides(probes["weights"])
    if slides is not None:
        draw(slides, PAGE.parent)
    parts: list[Callable[[], str]] = [
        lambda: introduction(probes),
        lambda: shipped(probes),
        lambda: distance(probes),
        lambda: slide_level(slides),
        lambda: rivals(answers, data, probes, PAGE.parent),
        lambda: on_splits(answers, data),
        lambda: official(answers, None if official_plan is None else read_split(official_plan, "valid")),
        lambda: fractions(answers, data, PAGE.parent),
        lambda: repeated(answers, data),
        lambda: exactness(probes),
        lambda: trained_controls(answers, data),
        lambda: angles(probes),
        lambda: stability(probes),
        lambda: familiar(probes),
        lambda: left_out(answers),
    ]
    return "\n\n".join(part() for part in parts) + "\n"
