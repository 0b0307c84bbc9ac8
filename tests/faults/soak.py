"""python -m faults.soak: hurt a service at random while people use it, and prove that nothing was lost.

The seed gives the order of the faults; how they meet the load is the machine's own chance.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
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
    """Small slides, one of some regions and one of few."""
    made = {}
    for number, (height, width) in enumerate(((1100, 1300), (600, 700))):
        name = f"picture{number}.tiff"
        made[name] = write_pyramid(folder / name, tissue(height, width, [(200, 250, 151)], seed=number), 0.5)
    return made


def dealt(scene: Scene, rng: Random) -> Iterator[Fault]:
    """At random, each as often as any other: decks of all of them, each shuffled anew."""
    while True:
        deck = faults_of(scene)
        rng.shuffle(deck)
        yield from deck


def run(engine: str, seed: int, faults: list[Fault] | None, count: int, seconds: float) -> Counter[str]:
    """These faults, or `count` random ones, or as many as fit into the seconds; then the invariants. What was done.

    Raises:
        AssertionError: something that was acknowledged is lost, or something untrue is told.
    """
    rng, done = Random(seed), Counter[str]()
    folder = Path(tempfile.mkdtemp(prefix="quarterturn-faults-"))
    scene = Scene(engine, folder)
    try:
        pictures = pictures_in(folder)
        references = {name: invariants.reference_of(scene, path) for name, path in pictures.items()}
        load = Load(scene.url, list(pictures.values()), seed)
        load.start()
        until(lambda: load.known.analyses, 60)
        end = time.monotonic() + seconds
        planned = iter(faults) if faults is not None else dealt(scene, rng)
        for fault in planned:
            if faults is None and (sum(done.values()) >= count or time.monotonic() > end):
                break
            fault(scene, rng)
            done[fault.__name__] += 1
            print(f"{sum(done.values()):4d} {fault.__name__}", flush=True)
            invariants.check_bytes(scene, load.known, pictures)
            time.sleep(rng.uniform(*PAUSE))
        scene.heal()
        load.stop()
        invariants.wait_until_calm(scene, load.known)
        invariants.check(scene, load.known, pictures, references)
        _tell(done, load)
    except BaseException:
        print(scene.service.logs(), file=sys.stderr)
        raise
    finally:
        scene.close()
    return done


def _tell(done: Counter[str], load: Load) -> None:
    known = load.known
    for name, count in sorted(done.items()):
        print(f"{name:28} injected {count:4d} times, lost 0")
    print(f"{sum(done.values())} faults")
    kept = f"{len(known.slides)} slides, {len(known.analyses)} analyses ({len(known.cancelled)} cancelled) acknowledged"
    gone = f"{len(known.deleted)} slides deleted, {known.asked} analyses asked for in all"
    print(f"{kept}; {gone}: every byte, every band and every row of the audit is there, heat maps to the bit")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m faults.soak", description=__doc__)
    parser.add_argument("--engine", choices=("embedded", "production"), default="production")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=10**9, help="end after so many")
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    print(f"{options.engine}, seed {options.seed}", flush=True)
    run(options.engine, options.seed, None, options.faults, 60 * options.minutes)


if __name__ == "__main__":
    main()
