"""python -m faults.soak: injects faults at random under load, and verifies that nothing was lost.

The seed gives the order of the faults; how they meet the load is the machine's own chance.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from servers import until
from slides import tissue, write_pyramid

from faults import invariants
from faults.injections import Fault, faults_of
from faults.load import Load
from faults.scene import Scene

PAUSE = (0.5, 3.0)


def pictures_in(folder: Path) -> dict[str, Path]:
    """Two small slides, one with more regions than the other."""
    paths = {}
    for number, (height, width) in enumerate(((1100, 1300), (600, 700))):
        name = f"picture{number}.tiff"
        paths[name] = write_pyramid(folder / name, tissue(height, width, [(200, 250, 151)], seed=number), 0.5)
    return paths


def dealt(scene: Scene, rng: Random) -> Iterator[Fault]:
    """Deals the faults at random and equally often: shuffled decks of all of them."""
    while True:
        deck = faults_of(scene)
        rng.shuffle(deck)
        yield from deck


@dataclass(frozen=True)
class Plan:
    """Yields these faults, or dealt ones: `count` of them, or as many as fit into the seconds.

    check_each: after each, people pause, and everything must hold before they go on; otherwise each is followed by the
    next while they work, only the bytes are looked at in between, and everything must hold at the end.
    """

    engine: str
    seed: int
    faults: tuple[Fault, ...] | None = None
    count: int = 10**9
    seconds: float = float("inf")
    check_each: bool = True

    def deal(self, scene: Scene, rng: Random) -> Iterator[Fault]:
        if self.faults is not None:
            yield from self.faults
            return
        end = time.monotonic() + self.seconds
        for fault in itertools.islice(dealt(scene, rng), self.count):
            if time.monotonic() > end:
                return
            yield fault


def run(plan: Plan) -> Counter[str]:
    """Runs the soak; returns how often each fault was injected.

    Raises:
        AssertionError: something that was acknowledged is lost, or something untrue is told.
    """
    rng, done = Random(plan.seed), Counter[str]()
    scene = Scene(plan.engine, Path(tempfile.mkdtemp(prefix="quarterturn-faults-")))
    try:
        pictures = pictures_in(scene.folder)
        references = {name: invariants.reference_of(scene, path) for name, path in pictures.items()}
        load = Load(scene.url, list(pictures.values()), plan.seed)
        load.start()
        for fault in plan.deal(scene, rng):
            time.sleep(rng.uniform(*PAUSE))
            at_work = until(lambda: _under_way(scene))
            done[fault.__name__] += 1
            print(f"{done.total():4d} {fault.__name__} ({at_work} analyses under way)", flush=True)
            fault(scene, rng)
            invariants.check_bytes(scene, load.acknowledged, pictures)
            if plan.check_each:
                with load.paused():
                    invariants.check_all(scene, load.acknowledged, pictures, references)
        load.stop()
        invariants.check_all(scene, load.acknowledged, pictures, references)
        print_summary(done, load)
    except BaseException:
        print(scene.service.logs(), file=sys.stderr)
        raise
    finally:
        scene.close()
    return done


def _under_way(scene: Scene) -> int:
    return len(scene.service.rows("SELECT id FROM analyses WHERE state IN ('queued', 'running')"))


def print_summary(done: Counter[str], load: Load) -> None:
    acknowledged = load.acknowledged
    slides, analyses = len(acknowledged.slides), len(acknowledged.analyses)
    for name, count in sorted(done.items()):
        print(f"{name:28} injected {count:4d} times, lost 0")
    print(f"{done.total()} faults")
    summary = f"{slides} slides, {analyses} analyses ({len(acknowledged.cancelled)} cancelled) acknowledged"
    rest = f"{len(acknowledged.deleted)} slides deleted, {acknowledged.analysis_count} analyses asked for in all"
    print(f"{summary}; {rest}: every byte, every band and every row of the audit is there, heat maps to the bit")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m faults.soak", description=__doc__)
    parser.add_argument("--engine", choices=("embedded", "production"), default="production")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=10**9, help="end after so many")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--check", choices=("each", "end"), default="end", help="everything must hold after each fault")
    options = parser.parse_args()
    print(f"{options.engine}, seed {options.seed}", flush=True)
    seconds, check_each = 60 * options.minutes, options.check == "each"
    run(Plan(options.engine, options.seed, None, options.faults, seconds, check_each))


if __name__ == "__main__":
    main()
