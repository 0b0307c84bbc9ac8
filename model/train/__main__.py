"""python -m model.train DIR: trains a network of the registry on PCam's HDF5 files; an interrupted run continues."""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from model.networks.registry import SYSTEMS, get_system
from model.train.loop import Pauses, computes_bfloat16, train
from model.train.pcam import BadData, Split, read_split
from model.train.plans import PLANS, read_plan
from model.train.recipe import Recipe
from model.train.run import Diverged, Run
from model.weights.card import WeightsRefused

RECIPE_HELP = {
    "epochs": "passes over the training patches (default %(default)s)",
    "batch": "patches a step (default %(default)s)",
    "lr": "peak learning rate (default %(default)s)",
    "weight_decay": "decay of filters (default %(default)s)",
    "warm_up": "share of steps over which the learning rate rises (default %(default)s)",
    "ema": "decay of the moving average of the weights (default %(default)s)",
    "seed": "of initial weights, batches and augmentation (default %(default)s)",
    "strength": "of augmentation, 0 to 1 (default %(default)s)",
    "soft": "share of the target that --teachers give, 0 to 1 (default %(default)s)",
}
TRAINABLE = [system.name for system in SYSTEMS.values() if system.weights_of is None]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    about = "Train a network on PCam's HDF5 files. The same command continues an interrupted run."
    parser = argparse.ArgumentParser(prog="python -m model.train", description=about)
    add = parser.add_argument
    add("directory", type=Path, help="folder with camelyonpatch_level_2_split_*_{x,y}.h5")
    add("--out", type=Path, default=Path("runs/p4m"), help="folder of checkpoint and metrics (default %(default)s)")
    add("--network", choices=TRAINABLE, default=TRAINABLE[0], help="a name of the registry (default %(default)s)")
    add("--n0", type=int, help="lifting width of the plain network (default: the network's own)")
    add("--growth", type=int, help="growth of the plain network (default: the network's own)")
    add("--plan", choices=PLANS, help="check that the meta files fit this plan (docs/training.md)")
    add("--leaks", type=Path, help="csv whose column id lists patches to leave out of training")
    add("--slides", choices=["all", "known"], default="all", help="known: only patches whose slide group is known")
    for field, value in asdict(Recipe()).items():
        if field != "dihedral":
            add(f"--{field.replace('_', '-')}", type=type(value), default=value, help=RECIPE_HELP[field])
    add(
        "--no-dihedral",
        action="store_true",
        help="train a network without symmetry on unturned patches",
    )
    add(
        "--teachers",
        type=Path,
        nargs="+",
        default=[],
        help="checkpoint.pt or NAME.safetensors with its card: learn from the mean of their logits, too",
    )
    add("--init", type=Path, help="start from the weights of a checkpoint.pt or NAME.safetensors")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda (default %(default)s)")
    add("--threads", type=int, default=0, help="CPU threads (default: all)")
    add("--no-bf16", action="store_true", help="compute in float32 throughout, as on a CPU without bfloat16")
    add("--no-compile", action="store_true", help="do not compile the network on a GPU; on a CPU it never is")
    add("--every", type=int, default=50, help="steps between checkpoints")
    add("--validate", type=int, help="steps between validations (default: one epoch)")
    return parser.parse_args(arguments)


def read(options: argparse.Namespace) -> tuple[Split, Split]:
    """Training and validation patches.

    Raises:
        FileNotFoundError: PCam's files are missing.
        BadData: the files are not PCam's, contradict the plan, or name no slide group where only known ones are used.
    """
    if options.plan or options.leaks:
        splits = read_plan(options.directory, options.plan, options.leaks)
        split, valid = splits["train"], splits["valid"]
    else:
        split, valid = read_split(options.directory, "train"), read_split(options.directory, "valid")
    usable = split.with_known_slides() if options.slides == "known" else split
    if not len(usable):
        raise BadData(f"{options.directory} names no slide group: leave out --slides known")
    return usable, valid


def run_of(options: argparse.Namespace, patches: int) -> tuple[Run, Pauses]:
    """The run that the options describe, at its start or at its checkpoint, and its pauses.

    Raises:
        ValueError: the checkpoint belongs to another architecture or recipe, or a teacher has another group.
        WeightsRefused: --init or a teacher is no checkpoint.
    """
    system = get_system(options.network)
    config = replace(system.config, **{k: v for k in ("n0", "growth") if (v := getattr(options, k)) is not None})
    dihedral = system.dihedral and not options.no_dihedral
    recipe = Recipe(**{f: getattr(options, f) for f in asdict(Recipe()) if f != "dihedral"}, dihedral=dihedral)
    if bool(recipe.soft) != bool(options.teachers) or not 0 <= recipe.soft <= 1:
        raise ValueError("--teachers and --soft go together: name both, with a share above 0 and at most 1")
    per_epoch = max(1, patches // recipe.batch)
    run = Run(config, recipe, max(1, round(recipe.epochs * per_epoch)), torch.device(options.device))
    if options.teachers:
        run.learn_from(options.teachers)
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        run.restore(torch.load(checkpoint, map_location=run.device, weights_only=True))
        print(f"continuing at step {run.step} of {run.steps}", file=sys.stderr)
    elif options.init:
        run.begin_from(options.init)
    return run, Pauses(options.every, options.validate or per_epoch)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        split, valid = read(options)
        run, pauses = run_of(options, len(split))
        options.out.mkdir(parents=True, exist_ok=True)
        compiled = run.device.type == "cuda" and not options.no_compile
        bf16 = not options.no_bf16 and computes_bfloat16(run.device)
        result = train(run, (split, valid), options.out, bf16, compiled, pauses)
    except (FileNotFoundError, ValueError, WeightsRefused, Diverged) as error:
        print(f"Not trained: {error}.", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
