"""python -m bench: run all sections in one go, print the ratios, write docs/benchmarks.json and docs/benchmarks.md.

A quick run writes nothing. It says which ratios fell since those of this kind of processor were kept (`--keep`), and
does not fail for them: a benchmark on a busy machine is no test.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.page import baseline
from bench.page.figures import draw_growth
from bench.page.tables import Section, page
from bench.rig.machine import described
from bench.sections import crowd, gpu, growth, inference, reading, small, tiles, uploads, whole_slide

DOCS = Path(__file__).resolve().parent.parent / "docs"
KEPT = DOCS / "benchmarks-quick.json"
SECTIONS: dict[str, Callable[[bool], Section]] = {
    "inference": inference.measure,
    "gpu": gpu.measure,
    "reading": reading.measure,
    "tiles": tiles.measure,
    "uploads": uploads.measure,
    "small": small.measure,
    "whole-slide": whole_slide.measure,
    "growth": growth.measure,
    "crowd": crowd.measure,
}


def whole_page(found: dict[str, Section], machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    head = f"""# Benchmarks

*Made by `make bench`, in one run: every way beside every other on the same work. Compare ratios, not figures:
machines differ, and this one drifts.* Measured on {machine["processor"]}, {machine["cores"]} cores,
{machine["capability"]}; torch
{machine["torch"]}, {packages}.
Targets that were met are bold."""
    return "\n\n".join([head, *map(page, found.values())]) + "\n"


def by_itself(measure: Callable[[bool], Section], quick: bool) -> Section:
    """A section in a process of its own: no section's settings, threads or memory are another's."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, quick).result()


def said(found: dict[str, Section], kept: baseline.Ratios | None, processor: str) -> list[str]:
    """How a quick run stands beside what was kept."""
    if kept is None:
        return [f"No ratios are kept of {processor}: python -m bench --quick --keep keeps them."]
    fell = baseline.fallen(found, kept)
    return [f"Fell by more than {baseline.FELL:.0%}: {one}." for one in fell] or [
        f"No ratio fell by more than {baseline.FELL:.0%}."
    ]


def measured(only: list[str] | None, quick: bool) -> dict[str, Section]:
    """Each section in turn, printed when it is there."""
    found = {}
    for name, measure in SECTIONS.items():
        if not only or name in only:
            print(f"{name} …", file=sys.stderr, flush=True)
            began = time.monotonic()
            found[name] = by_itself(measure, quick)
            print(f"{page(found[name])}\n", flush=True)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, beside peers.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and less work; prints, writes nothing")
    parser.add_argument(
        "--keep", action="store_true", help="thrice quick: keep the ratios for later ones to be held by"
    )
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections; prints, writes nothing")
    options = parser.parse_args(arguments)
    machine = described()
    if options.keep:
        baseline.write(KEPT, machine["processor"], [measured(options.only, quick=True) for _ in range(3)])
        return 0
    found = measured(options.only, options.quick)
    if options.quick:
        print("\n".join(said(found, baseline.read(KEPT, machine["processor"]), machine["processor"])), flush=True)
    elif not options.only:
        written(found, machine)
    return 0


def written(found: dict[str, Section], machine: dict[str, Any]) -> None:
    """The page, its pictures and its figures for other programs."""
    content = {"machine": machine, "sections": {name: asdict(section) for name, section in found.items()}}
    (DOCS / "benchmarks.json").write_text(json.dumps(content, indent=1) + "\n")
    (DOCS / "benchmarks.md").write_text(whole_page(found, machine))
    for section in found.values():
        if section.picture:
            draw_growth(DOCS / section.picture, section.series)


if __name__ == "__main__":
    sys.exit(main())
