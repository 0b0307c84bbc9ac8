"""Everything worth training in the minutes that a GPU is at hand, in order of value: python -m gpu.plan PARCELS OUT

1. the shipped size with several seeds;
2. the same at twice the width, which teaches, and can be offered beside it;
3. one network of the shipped size that all of them teach;
4. the learning curve, and what each part of the recipe is worth, in short runs.

How long each may take follows from the measured pace and the minutes given. With --go the work begins before all data
is there: short runs on what there is, until the file appears; it names the end and what the recipe is to be. Every run
is judged on valid alone, and written when it ends.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu.parcels import joined, read
from gpu.run import Bench, Recipe, pace_of, say, steps_of, train
from model.densenet import DenseNet
from model.metrics import summary

WHOLE = 30_551
BASE = Recipe("base")
SEEDS = (0, 1, 2)
FIXED_SECONDS = 4.0  # of a run beside its steps: validations, the last statistics, the last judgement


def widened(base: Recipe, times: int = 2) -> Recipe:
    return replace(base, n0=times * base.n0, growth=times * base.growth)


def while_waiting(base: Recipe, passes: float) -> list[Recipe]:
    """Short runs for as long as the rest of the data is on its way; the recipe is chosen by them."""
    strength = base.strength
    runs = {
        "base": base,
        "half": replace(base, strength=strength.times(0.5)),
        "strong": replace(base, strength=strength.times(1.5)),
        "no-jpeg": replace(base, strength=replace(strength, jpeg=0.0)),
        "fast": replace(base, lr=2 * base.lr),
        "slow": replace(base, lr=0.5 * base.lr),
        "smooth": replace(base, smoothing=0.1),
        "base-b": replace(base, seed=101),
        "still": replace(base, strength=replace(strength, moved=0.0)),
        "far": replace(base, strength=replace(strength, shift_px=8.0)),
        "curve-10": replace(base, share=0.1),
        "curve-25": replace(base, share=0.25),
    }
    return [replace(recipe, name=f"early-{name}", passes=passes) for name, recipe in runs.items()]


def main_plan(base: Recipe) -> list[Recipe]:
    """What the minutes are for; `passes` say how the time is shared."""
    seeds = [replace(base, name=f"p4m-{seed}", seed=seed, passes=30) for seed in SEEDS]
    wide = replace(widened(base), name="wide-10", seed=10, passes=24, lr=0.75 * base.lr)
    teachers = tuple(recipe.name for recipe in [*seeds, wide])
    taught = replace(base, name="distilled-20", seed=20, passes=36, teachers=teachers, soft=0.7, versions=12)
    return [*seeds, wide, taught]


def afterwards(base: Recipe) -> list[Recipe]:
    """The learning curve, then parts of the recipe, each as long as the other; as many as there is time for."""
    strength = base.strength
    runs = {
        "curve-10": replace(base, share=0.1),
        "curve-100": base,
        "curve-25": replace(base, share=0.25),
        "curve-50": replace(base, share=0.5),
        "no-jpeg": replace(base, strength=replace(strength, jpeg=0.0)),
        "half": replace(base, strength=strength.times(0.5)),
        "strong": replace(base, strength=strength.times(1.5)),
        "smooth": replace(base, smoothing=0.1),
        "far": replace(base, strength=replace(strength, shift_px=8.0)),
        "curve-100-b": replace(base, seed=201),
        "still": replace(base, strength=replace(strength, moved=0.0)),
        "slow": replace(base, lr=0.5 * base.lr),
        "fast": replace(base, lr=2 * base.lr),
    }
    return [replace(recipe, name=f"late-{name}", passes=6) for name, recipe in runs.items()]


class Pace:
    """Training steps a second, by architecture, measured when first asked for."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self._known = bench, dict[Any, float]()

    def of(self, recipe: Recipe) -> float:
        if recipe.config not in self._known:
            pace = self._known[recipe.config] = pace_of(self.bench, recipe)
            say(f"{recipe.family} {recipe.n0}/{recipe.growth}: {pace * recipe.batch:.0f} patches/s")
        return self._known[recipe.config]

    def seconds(self, recipe: Recipe, all_runs: dict[str, Recipe]) -> tuple[float, float]:
        """(that grow with `passes`, that do not)."""
        growing = steps_of(recipe, self.bench.whole) / self.of(recipe)
        visits = recipe.versions * self.bench.whole
        taught = sum(visits / (3.5 * recipe.batch * self.of(all_runs[name])) for name in recipe.teachers)
        return growing, taught + FIXED_SECONDS


def scaled(plan: list[Recipe], pace: Pace, seconds: float) -> list[Recipe]:
    """The plan, longer or shorter as the time allows."""
    costs = [pace.seconds(recipe, {r.name: r for r in plan}) for recipe in plan]
    growing, fixed = (sum(cost[i] for cost in costs) for i in (0, 1))
    scale = min(2.5, max(0.02, (seconds - fixed) / growing))
    say(f"{seconds:.0f} s for {growing:.0f} + {fixed:.0f} s: {scale:.2f} times as long")
    return [replace(recipe, passes=recipe.passes * scale) for recipe in plan]


def profiled(bench: Bench, recipe: Recipe) -> None:
    """Where a step's time goes, by kernel."""
    from gpu.run import Course
    from torch.profiler import ProfilerActivity, profile

    course = Course(bench, recipe)
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        for _ in range(4):
            course.advance(1e-4)
        bench.wait()
    say(seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=22, max_name_column_width=70))


def ensemble(bench: Bench, networks: dict[str, DenseNet], out: Path, name: str, members: list[str]) -> None:
    """Figures of the mean of their logits on valid."""
    logits = torch.stack([bench.predict_valid(networks[m]) for m in members]).mean(0).cpu().numpy()
    figures = summary(bench.valid.labels.cpu().numpy(), logits)
    (out / f"{name}.json").write_text(json.dumps({"members": members, "valid": figures}) + "\n")
    say(f"{name} of {', '.join(members)}: {figures}")


def run_plan(bench: Bench, pace: Pace, base: Recipe, until: float, spare: float, out: Path) -> None:
    """The main plan until `until` less `spare` seconds, then what there is still time for."""
    networks: dict[str, DenseNet] = {}
    plan = scaled(main_plan(base), pace, until - spare - time.time())
    for place, recipe in enumerate(plan):
        costs = [sum(pace.seconds(r, {r.name: r for r in plan})) for r in plan[place + 1 :]]
        if recipe.teachers:
            recipe = replace(recipe, teachers=tuple(t for t in recipe.teachers if t in networks))
            best = max((p for p in networks if p.startswith("p4m-")), key=lambda p: _valid(out, p), default="")
            recipe = replace(recipe, begin_from=best)
            ensemble(bench, networks, out, "ensemble-of-teachers", list(recipe.teachers))
        network = train(bench, recipe, until - spare - 0.97 * sum(costs), networks, out)
        if network is not None:
            networks[recipe.name] = network
        if place == len(SEEDS) - 1 and len(networks) > 1:
            ensemble(bench, networks, out, "ensemble-of-seeds", list(networks))
    (out / "main-done").write_text("")
    for recipe in afterwards(base):
        if until - time.time() > 1.1 * sum(pace.seconds(recipe, {})):
            train(bench, recipe, until, networks, out)


def _valid(out: Path, name: str) -> float:
    return float(json.loads((out / f"{name}.json").read_text())["valid"]["auc"])


def going(options: argparse.Namespace) -> dict[str, Any] | None:
    """What the go file says, once it is there."""
    try:
        return dict(json.loads(options.go.read_text()))
    except (OSError, ValueError):
        return None


def changed_base(base: Recipe, go: dict[str, Any]) -> Recipe:
    """The recipe as the go file wants it: `recipe` (fields), `strength` (fields), `times` (of the strength)."""
    strength = replace(base.strength.times(go.get("times", 1.0)), **go.get("strength", {}))
    return replace(base, strength=strength, **go.get("recipe", {}))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m gpu.plan", description="Train all that a GPU's minutes allow.")
    add = parser.add_argument
    add("parcels", type=Path, help="folder with parcel-1.npz and parcel-2.npz")
    add("out", type=Path)
    add("--minutes", type=float, default=10)
    add("--spare", type=float, default=60, help="seconds of them for the curve and the parts of the recipe")
    add("--go", type=Path, help="a file to wait for; until it is there, short runs on the first parcel")
    add("--early-passes", type=float, default=8.0, help="length of those runs")
    add("--n0", type=int, default=32)
    add("--growth", type=int, default=24)
    add("--batch", type=int, default=128)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--whole", type=int, default=WHOLE, help="how many training patches there are")
    add("--no-compile", action="store_true")
    add("--warm", choices=["changes", "wide"], help="only compile that, for another process to find it compiled")
    return parser.parse_args(arguments)


def compile_forward(bench: Bench, recipe: Recipe) -> None:
    """Compile an architecture's two graphs, for training and for inference."""
    network = DenseNet(recipe.config).to(bench.device)
    pixels = bench.changes.plain(bench.valid.pixels[: bench.batch])
    logits, _ = bench.forward(recipe.config, "training")(dict(network.named_parameters()), pixels, None)
    logits.sum().backward()
    network.requires_grad_(False)
    bench.predict(network, lambda which: bench.changes.plain(bench.valid.pixels[which]), bench.batch)
    bench.wait()


def compile_changes(bench: Bench, recipe: Recipe) -> None:
    """Compile the augmentation."""
    with torch.no_grad():
        draws = bench.draws(0, bench.batch)
        bench.changed(bench.valid.pixels[: bench.batch], draws, recipe.strength.on(bench.device))
    bench.wait()


def beside(what: str) -> "subprocess.Popen[bytes]":
    """This program again, only to compile: the compiler's cache on disk hands it on."""
    return subprocess.Popen([sys.executable, "-m", "gpu.plan", *sys.argv[1:], "--warm", what])


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device = torch.device(options.device)
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    base = replace(BASE, n0=options.n0, growth=options.growth, batch=options.batch)
    bench = Bench(device, kind, not options.no_compile, options.batch, options.whole)
    first, second = options.parcels / "parcel-1.npz", options.parcels / "parcel-2.npz"
    bench.valid = read([first], 1, device)
    if options.warm:
        compile_changes(bench, base) if options.warm == "changes" else compile_forward(bench, widened(base))
        say(f"compiled: {options.warm}")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    others = {what: beside(what) for what in ("changes", "wide")} if bench.compiled else {}
    bench.train = read([first], 0, device)
    say(f"{len(bench.train)} patches to train on, {len(bench.valid)} to judge by")
    compile_forward(bench, base)
    say("compiled: forward and backward")
    if others:
        others["changes"].wait()
    pace = Pace(bench)
    pace.of(base)
    if device.type == "cuda":
        profiled(bench, base)
    go: dict[str, Any] = {"until": time.time() + 60 * options.minutes, "spare": options.spare}
    if options.go:
        for recipe in while_waiting(base, options.early_passes):
            if going(options) is not None:
                break
            if others and others["wide"].poll() is not None:
                pace.of(widened(base))
            train(bench, recipe, time.time() + 60, {}, options.out, lambda: going(options) is not None)
        while (found := going(options)) is None:
            time.sleep(0.2)
        go |= found
    bench.train = joined(bench.train, read([second], 0, device))
    say(f"{len(bench.train)} patches to train on; {go}")
    if others:
        others["wide"].wait()
    run_plan(bench, pace, changed_base(base, go), go["until"], go["spare"], options.out)
    (options.out / "done").write_text("")
    say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
