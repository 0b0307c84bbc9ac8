"""python -m bench: run all sections in one go, print the ratios, write docs/benchmarks.json and docs/benchmarks.md.

Speeds drift with the machine, ratios of one run less so: they are what is compared with the baseline that is kept, of a
quick run with that of a quick one (`--quick --keep` writes it). A ratio that fell by more than a share is said, and
nothing fails: a benchmark on a busy machine is no test.
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

from bench import crowd, gpu, growth, inference, reading, small, tiles, uploads, whole_slide
from bench.figures import draw_growth
from bench.machine import described
from bench.tables import Section, page, shown

DOCS = Path(__file__).resolve().parent.parent / "docs"
FELL = 0.15
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


def fallen(found: dict[str, Section], before: dict[str, Any]) -> list[str]:
    """Ratios that are worse than the baseline's by more than the tolerance, and those that are measured no more."""
    kept = {name: section for name, section in before.get("sections", {}).items() if name in found}
    known = {t["claim"]: t["reached"] for section in kept.values() for t in section["targets"]}
    now = {target.claim: target for section in found.values() for target in section.targets}
    said = [f"{claim}: measured no more" for claim, was in known.items() if was and claim not in now]
    for claim, target in now.items():
        was = known.get(claim)
        if was and target.reached:
            change = (was / target.reached if target.at_most else target.reached / was) - 1
            if change < -FELL:
                said.append(f"{claim}: {shown(target.reached)}, was {shown(was)}")
    return said


def by_itself(measure: Callable[[bool], Section], quick: bool) -> Section:
    """A section in a process of its own: no section's settings, threads or memory are another's."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, quick).result()


def kept(path: Path, found: dict[str, Section]) -> dict[str, Any]:
    """Write a baseline; the machine that it was measured on."""
    machine = described()
    content = {"machine": machine, "sections": {name: asdict(section) for name, section in found.items()}}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return machine


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
    parser.add_argument("--keep", action="store_true", help="of a quick run: write what later ones are compared with")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections; prints, writes nothing")
    options = parser.parse_args(arguments)
    found = measured(options.only, options.quick)
    baseline = DOCS / ("benchmarks-quick.json" if options.quick else "benchmarks.json")
    before = json.loads(baseline.read_text()) if baseline.exists() else {}
    for sentence in fallen(found, before):
        print(f"Fell by more than {FELL:.0%}, or was lost: {sentence}.", flush=True)
    if options.only or (options.quick and not options.keep):
        return 0
    machine = kept(baseline, found)
    if options.quick:
        return 0
    (DOCS / "benchmarks.md").write_text(whole_page(found, machine))
    for section in found.values():
        if section.picture:
            draw_growth(DOCS / section.picture, section.series)
    return 0


if __name__ == "__main__":
    sys.exit(main())
