"""What a section of the benchmark found, and how it is written down."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One way to do the work: `figure` in `unit`, and what is to be known of it."""

    what: str
    figure: float
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Target:
    """What was aimed at: a ratio, or a figure in `unit`. `why`: it was missed. `absent`: it was not measured (`reached`
    is None)."""

    claim: str
    wanted: float
    reached: float | None
    at_most: bool = False
    why: str = ""
    absent: str = "what it needs is not here"
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.reached is not None and (
            self.reached <= self.wanted if self.at_most else self.reached >= self.wanted
        )


@dataclass
class Section:
    """Rows of one stage, its targets, and sentences on how it was measured.

    `series`: what grew, (size, cost) by name, drawn into `picture`, a file beside the page.
    """

    name: str
    about: str
    rows: list[Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    picture: str = ""

    def add(self, what: str, figure: float, unit: str, note: str = "") -> float:
        self.rows.append(Row(what, figure, unit, note))
        return figure


def least_seconds(work: Callable[[], Any], rounds: int, clock: Callable[[], float] = time.process_time) -> float:
    """The least seconds by a clock (of this process's CPU unless said), over some rounds after one to warm up."""
    work()
    found = []
    for _ in range(rounds):
        began = clock()
        work()
        found.append(clock() - began)
    return min(found)


def shown(value: float) -> str:
    """Three figures, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"


def _target(target: Target) -> str:
    unit = f" {target.unit}" if target.unit else ""
    wanted = f"{'≤' if target.at_most else '≥'} {target.wanted:g}{unit}"
    if target.reached is None:
        return f"| {target.claim} | {wanted} | not measured: {target.absent} |"
    reached = f"{shown(target.reached)}{unit}"
    return f"| {target.claim} | {wanted} | {f'**{reached}**' if target.met else f'{reached} (missed){target.why}'} |"


def page(section: Section) -> str:
    """Markdown."""
    lines = [f"## {section.name}", "", section.about]
    lines += ["", "| what | figure | unit | |", "| --- | --- | --- | --- |"] if section.rows else []
    lines += [f"| {row.what} | {shown(row.figure)} | {row.unit} | {row.note} |" for row in section.rows]
    if section.targets:
        lines += ["", "| ratio | target | reached |", "| --- | --- | --- |", *map(_target, section.targets)]
    if section.picture:
        lines += ["", f"![{section.name}]({section.picture})"]
    if section.missing:
        lines += ["", "Not here, so not beside us: " + "; ".join(section.missing) + "."]
    return "\n".join(lines)
