"""The results of a section, and their Markdown."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One way to do the work, its `figure` in `unit`, and a note."""

    name: str
    figure: float
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Target:
    """A target: a ratio, or a figure in `unit`."""

    claim: str
    target: float
    reached: float | None  # None where it was not measured
    at_most: bool = False  # whether less is better
    why: str = ""  # the reason, where it is missed
    absent: str = "what it needs is not here"  # the reason, where it was not measured
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.reached is not None and (
            self.reached <= self.target if self.at_most else self.reached >= self.target
        )


@dataclass
class Section:
    """The results of one stage: rows, targets, and how they were measured.

    `missing`: peers that were not measured, with the reason. `series`: (size, cost) pairs by name, drawn into
    `picture`, a file beside the page.
    """

    name: str
    about: str
    rows: list[Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    picture: str = ""

    def add(self, name: str, figure: float, unit: str, note: str = "") -> float:
        """Adds a row and returns its figure."""
        self.rows.append(Row(name, figure, unit, note))
        return figure


def least_seconds(work: Callable[[], Any], rounds: int, clock: Callable[[], float] = time.process_time) -> float:
    """The least seconds over some rounds after a warm-up, by a clock (by default this process's CPU time)."""
    work()
    seconds = []
    for _ in range(rounds):
        began = clock()
        work()
        seconds.append(clock() - began)
    return min(seconds)


def three_figures(value: float) -> str:
    """A number with three significant figures and no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"


def _target(target: Target) -> str:
    unit = f" {target.unit}" if target.unit else ""
    aim = f"{'≤' if target.at_most else '≥'} {target.target:g}{unit}"
    if target.reached is None:
        return f"| {target.claim} | {aim} | not measured: {target.absent} |"
    reached = f"{three_figures(target.reached)}{unit}"
    return f"| {target.claim} | {aim} | {f'**{reached}**' if target.met else f'{reached} (missed){target.why}'} |"


def page(section: Section) -> str:
    """A section as Markdown."""
    lines = [f"## {section.name}", "", section.about]
    lines += ["", "| what | figure | unit | |", "| --- | --- | --- | --- |"] if section.rows else []
    lines += [f"| {row.name} | {three_figures(row.figure)} | {row.unit} | {row.note} |" for row in section.rows]
    if section.targets:
        lines += ["", "| ratio | target | reached |", "| --- | --- | --- |", *map(_target, section.targets)]
    if section.picture:
        lines += ["", f"![{section.name}]({section.picture})"]
    if section.missing:
        lines += ["", "Not measured: " + "; ".join(section.missing) + "."]
    return "\n".join(lines)
