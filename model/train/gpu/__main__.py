"""python -m model.train.gpu DIR: trains on a GPU, for some minutes, what is worth most (`model.train.gpu.plan`)."""

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from model.inference.memory import keep_freed_memory
from model.networks.densenet import PATCH_PX
from model.train.gpu import parcels
from model.train.gpu.accelerator import Accelerator, Patches
from model.train.gpu.plan import Pace, Shape, Size, ignore, log, recipes, run_plan
from model.train.gpu.recipe import Recipe
from model.train.pcam import Split
from model.train.plans import read_plan

LEAST_WIDTH = 4  # below it a family's width rounds to no channel
PROCESSES = 2  # that compile at a time, beside the run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    about = "Train on a GPU, for some minutes, what is worth most; official valid alone judges."
    parser = argparse.ArgumentParser(prog="python -m model.train.gpu", description=about)
    add = parser.add_argument
    add("directory", type=Path, help="folder with PCam's HDF5 files by the plan official, or with parcel-*.npz")
    add("--out", type=Path, default=Path("runs/gpu"), help="folder of NAME.json and NAME.safetensors (%(default)s)")
    add("--minutes", type=float, default=10, help="for all of it, from reading to the last run (default %(default)s)")
    add("--device", choices=["cuda", "cpu"], help="cpu is for rehearsals (default: cuda)")
    add("--no-compile", action="store_true", help="do not compile on a GPU; on a CPU nothing is compiled")
    add("--few", type=int, help="only that many patches of each split, to rehearse with")
    add("--batch", type=int, default=128, help="patches a step (default %(default)s)")
    add("--n0", type=int, help="lifting width of the plain network (default: each network's own)")
    add("--growth", type=int, help="growth of the plain network (default: each network's own)")
    add("--compile-for", metavar="NAME", help="only compile what the run NAME needs, for another process")
    return parser.parse_args(arguments)


def device_of(options: argparse.Namespace) -> torch.device:
    """The device that the options name.

    Raises:
        ValueError: it is missing, or an option has a value that cannot be.
    """
    if not (options.minutes > 0 and math.isfinite(options.minutes)):
        raise ValueError(f"--minutes is {options.minutes:g}: it must be above 0")
    for name, least in (("few", 2), ("batch", 2), ("n0", LEAST_WIDTH), ("growth", LEAST_WIDTH)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} is {value}: it must be at least {least}")
    if options.device != "cpu" and not torch.cuda.is_available():
        raise ValueError("PyTorch sees no CUDA device (name --device cpu to rehearse without one)")
    return torch.device(options.device or "cuda")


def read(directory: Path, few: int | None = None) -> tuple[Split, Split]:
    """Train and valid, never test, in random order, so that the first patches are a fair sample.

    The plan is checked with the meta file of test; its patches and labels are dropped.

    Raises:
        FileNotFoundError: PCam's files are missing.
        BadData: files are not PCam's, contradict the plan, or are no parcels.
    """
    packed = any(directory.glob("parcel-*.npz"))
    splits = parcels.read(directory) if packed else read_plan(directory, "official")
    return shuffle(splits["train"], few), shuffle(splits["valid"], few)


def shuffle(split: Split, few: int | None) -> Split:
    """The split in a random order, which is always the same, or the first few patches of it."""
    return split.take(np.random.default_rng(0).permutation(len(split))[:few])


class Compilations:
    """Other processes that compile what later runs need. They leave it in the compiler's cache on disk."""

    def __init__(self, arguments: Sequence[str], pace: Pace) -> None:
        self._command = [sys.executable, "-m", "model.train.gpu", *arguments, "--compile-for"]
        self._pace = pace
        self._processes: dict[Shape, subprocess.Popen[bytes]] = {}

    def prepare(self, runs: Sequence[Recipe]) -> None:
        """Waits for what the next run needs, and starts to compile what the others do."""
        for place, recipe in enumerate(runs):
            shape = (recipe.config, recipe.batch)
            if place == 0 and shape in self._processes:
                self._processes[shape].wait()
            busy = sum(process.poll() is None for process in self._processes.values())
            if place and busy < PROCESSES and shape not in self._processes and shape not in self._pace.measured:
                self._processes[shape] = subprocess.Popen([*self._command, recipe.name])

    def stop(self) -> None:
        """Ends those that still run."""
        for process in self._processes.values():
            process.terminate()
            process.wait()


def compile_for(name: str, plan: Sequence[Recipe], device: torch.device, batch: int, compiled: bool) -> None:
    """Compiles what a run needs, on patches of noise. Without `compiled` it only does the steps.

    Raises:
        ValueError: the plan has no such run.
    """
    chosen = [recipe for recipe in plan if recipe.name == name]
    if not chosen:
        raise ValueError(f"the plan has no run {name!r}")
    pixels = torch.randint(0, 256, (2 * batch, PATCH_PX, PATCH_PX, 3), dtype=torch.uint8, device=device)
    patches = Patches(pixels, torch.arange(2 * batch, device=device).remainder(2).float())
    Pace(Accelerator(patches, patches, batch, compiled)).measure(chosen[0])


def train(options: argparse.Namespace, arguments: Sequence[str], began: float) -> list[str]:
    """Does what the options ask for, and returns the names of the runs that ended.

    Raises:
        FileNotFoundError, BadData: as `read`.
        ValueError: as `device_of` and `compile_for`.
        OSError: the folder of the runs cannot be written.
    """
    device, plan = device_of(options), recipes(Size(options.batch, options.n0, options.growth))
    compiled = device.type == "cuda" and not options.no_compile
    keep_freed_memory()
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # float32 is float32
    if options.compile_for:
        compile_for(options.compile_for, plan, device, options.batch, compiled)
        return [options.compile_for]
    splits = read(options.directory, options.few)
    options.out.mkdir(parents=True, exist_ok=True)
    patches = [Patches.of_split(split, device) for split in splits]
    log(f"{len(patches[0])} patches to train on, {len(patches[1])} to judge by")
    pace = Pace(Accelerator(patches[0], patches[1], options.batch, compiled))
    pace.measure(plan[0])
    compilations = Compilations(arguments, pace)
    try:
        prepare = compilations.prepare if compiled else ignore
        ended = run_plan(pace, plan, began + 60 * options.minutes, options.out, prepare)
    finally:
        compilations.stop()
    others = [recipe.name for recipe in plan if recipe.name not in ended]
    log(f"done: {', '.join(ended)}" + (f"; not done: {', '.join(others)}" if others else ""))
    return ended


def main(arguments: list[str] | None = None) -> int:
    began, options = time.monotonic(), parse(arguments)
    try:
        ended = train(options, sys.argv[1:] if arguments is None else arguments, began)
    except (OSError, ValueError) as error:
        print(f"Not trained: {error}.", file=sys.stderr)
        return 2
    if not ended:
        print("Not trained: in no run did the loss stay finite.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
