"""One training run on a GPU: what `model.training` does, with all patches and all arithmetic on the device.

AdamW with decay on filters only, a warm-up and half a cosine, gradients clipped at norm 1, an exponential moving
average of the parameters, whose batch-norm statistics are computed anew before it is used. A run may learn from
teachers: the mean of their logits on `versions` fixed sets of changes of every patch, computed once; it then sees
exactly those changes.
"""

import copy
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from gpu.changes import DRAWS, Changes, Strength
from gpu.fast import Logits, logits_of, norms_in_order, statistics_of
from gpu.parcels import Patches
from model.densenet import DenseNet, DenseNetConfig
from model.metrics import summary
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from model.families import FamilyName


@dataclass(frozen=True)
class Recipe:
    """What a run does. `passes`: visits as multiples of the whole training set, also where `share` is smaller."""

    name: str
    family: FamilyName = "p4m"
    n0: int = 32
    growth: int = 24
    passes: float = 30
    batch: int = 128
    lr: float = 4e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    ema: float = 0.998
    seed: int = 0
    share: float = 1.0
    smoothing: float = 0.0
    strength: Strength = field(default_factory=Strength)
    teachers: tuple[str, ...] = ()
    soft: float = 0.0
    versions: int = 0
    begin_from: str = ""

    @property
    def config(self) -> DenseNetConfig:
        return DenseNetConfig(self.family, self.n0, self.growth)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Bench:
    """The device, the patches on it, and the compiled functions that all runs share."""

    def __init__(self, device: torch.device, kind: torch.dtype, compiled: bool, batch: int, whole: int) -> None:
        self.device, self.kind, self.compiled, self.batch, self.whole = device, kind, compiled, batch, whole
        self.train = self.valid = Patches(torch.empty(0), torch.empty(0))
        self.changes = Changes(DenseNetConfig().mean, DenseNetConfig().std, kind).to(device)
        self.changed = self._made(self.changes)
        self._fast: dict[tuple[DenseNetConfig, str], Logits] = {}

    def _made(self, function: Any) -> Any:
        return torch.compile(function, dynamic=False) if self.compiled else function

    def forward(self, config: DenseNetConfig, use: str) -> Logits:
        """The forward pass of an architecture, compiled once for each use ("training", "inference")."""
        key = (config, use)
        if key not in self._fast:
            self._fast[key] = self._made(logits_of(config, self.device, self.kind))
        return self._fast[key]

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def draws(self, seed: int, count: int) -> Tensor:
        """Uniform numbers for the changes of every patch."""
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.rand(count, DRAWS, generator=generator, device=self.device)

    def batches(self, count: int) -> list[Tensor]:
        """Places 0..count in whole batches, the last one filled up from the beginning."""
        places = torch.arange(-(-count // self.batch) * self.batch, device=self.device) % count
        return list(places.split(self.batch))

    @torch.no_grad()
    def predict(self, network: DenseNet, ready: Callable[[Tensor], Tensor], count: int) -> Tensor:
        """Logits of a network in eval mode on `count` pictures, which `ready` makes from their places."""
        forward = self.forward(network.config, "inference")
        parameters, known = dict(network.named_parameters()), statistics_of(network)
        return torch.cat([forward(parameters, ready(which), known)[0] for which in self.batches(count)])[:count]

    def predict_valid(self, network: DenseNet) -> Tensor:
        valid = self.valid.pixels
        return self.predict(network, lambda which: self.changes.plain(valid[which]), len(valid)).float()

    @torch.no_grad()
    def renew(self, network: DenseNet, recipe: Recipe, batches: int, kind: torch.dtype) -> None:
        """Batch-norm statistics of exactly these parameters: the mean over some changed batches."""
        forward, parameters = logits_of(network.config, self.device, kind), dict(network.named_parameters())
        count = min(len(self.train), math.ceil(recipe.share * self.whole))
        order = torch.randperm(count, generator=torch.Generator().manual_seed(7_000_003 + recipe.seed)).to(self.device)
        draws, strength = self.draws(7_000_003 + recipe.seed, count), recipe.strength.on(self.device)
        found = []
        for i in range(min(batches, max(2, 2 * count // self.batch))):
            which = order[torch.arange(i * self.batch, (i + 1) * self.batch, device=self.device) % count]
            pixels = self.changed(self.train.pixels[which], draws[which], strength)
            found.append(forward(parameters, pixels.to(kind), None)[1])
        for place, norm in enumerate(norms_in_order(network)):
            norm.running_mean.copy_(torch.stack([f[place][0] for f in found]).mean(0))
            norm.running_var.copy_(torch.stack([f[place][1] for f in found]).mean(0))

    @torch.no_grad()
    def taught(self, teachers: Sequence[DenseNet], recipe: Recipe) -> Tensor:
        """(versions, patches): what the teachers together hold each changed patch to be, 0 to 1."""
        strength, rows = recipe.strength.on(self.device), []
        for version in range(recipe.versions):
            draws = self.draws(version_seed(version), len(self.train))

            def ready(which: Tensor, draws: Tensor = draws) -> Tensor:
                changed: Tensor = self.changed(self.train.pixels[which], draws[which], strength)
                return changed

            logits = [self.predict(teacher, ready, len(self.train)) for teacher in teachers]
            rows.append(torch.sigmoid(torch.stack(logits).float().mean(0)))
        return torch.stack(rows)


def version_seed(version: int) -> int:
    return 5_000_011 + version


class Course:
    """A network in training, its moving average and optimizer."""

    def __init__(self, bench: Bench, recipe: Recipe, begin: DenseNet | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.bench, self.recipe = bench, recipe
        self.network = DenseNet(recipe.config)
        if begin is not None:
            self.network.load_state_dict(begin.state_dict())
        self.network.to(bench.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.parameters = dict(self.network.named_parameters())
        filters = [p for p in self.parameters.values() if p.ndim > 1]
        others = [p for p in self.parameters.values() if p.ndim <= 1]
        groups = [{"params": filters, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.lr, fused=True)
        self.forward = bench.forward(recipe.config, "training")
        self.strength = recipe.strength.on(bench.device)
        self.count = min(len(bench.train), math.ceil(recipe.share * bench.whole))
        self.step, self.losses = 0, torch.zeros((), device=bench.device)
        self.table: Tensor | None = None
        self._epoch = -1

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Pixels and targets of this step."""
        recipe, bench = self.recipe, self.bench
        epoch, place = divmod(self.step, max(1, self.count // recipe.batch))
        if epoch != self._epoch:
            seed = recipe.seed * 100_003 + epoch
            self._order = torch.randperm(self.count, generator=torch.Generator().manual_seed(seed)).to(bench.device)
            version = epoch % recipe.versions if recipe.versions else None
            self._draws = bench.draws(seed if version is None else version_seed(version), len(bench.train))
            self._epoch, self._version = epoch, version
        which = self._order[place * recipe.batch : (place + 1) * recipe.batch]
        with torch.no_grad():
            pixels = bench.changed(bench.train.pixels[which], self._draws[which], self.strength)
        targets = bench.train.labels[which] * (1 - recipe.smoothing) + recipe.smoothing / 2
        if self.table is not None:
            targets = torch.lerp(targets, self.table[self._version][which], recipe.soft)
        return pixels, targets

    def advance(self, rate: float) -> None:
        """One optimizer step. Nothing waits for the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        pixels, targets = self._batch()
        logits, _ = self.forward(self.parameters, pixels, None)
        loss = F.binary_cross_entropy_with_logits(logits, targets)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimizer.step()
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            mine, theirs = list[Tensor](self.average.parameters()), list[Tensor](self.parameters.values())
            torch._foreach_lerp_(mine, theirs, 1 - decay)
        self.losses += loss.detach()
        self.step += 1

    def figures(self, batches: int = 24) -> dict[str, Any]:
        """The moving average on valid."""
        self.bench.renew(self.average, self.recipe, batches, self.bench.kind)
        logits = self.bench.predict_valid(self.average).cpu().numpy()
        return summary(self.bench.valid.labels.cpu().numpy(), logits)


def rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to zero."""
    warm = max(1, round(recipe.warm_up * steps))
    if step < warm:
        return recipe.lr * (step + 1) / warm
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))


def steps_of(recipe: Recipe, whole: int) -> int:
    return max(1, round(recipe.passes * whole / recipe.batch))


VALIDATED = (0.25, 0.5, 0.75, 0.9)


def never() -> bool:
    return False


def train(
    bench: Bench,
    recipe: Recipe,
    until: float,
    known: dict[str, DenseNet],
    out: Path,
    given_up: Callable[[], bool] = never,
) -> DenseNet | None:
    """A whole run; writes NAME.json and NAME.safetensors. It shortens itself to end by `until` (Unix seconds).

    None where the loss is no number, or the run is given up.
    """
    course = Course(bench, recipe, known.get(recipe.begin_from))
    started, steps = time.time(), steps_of(recipe, bench.whole)
    if recipe.teachers:
        course.table = bench.taught([known[name] for name in recipe.teachers], recipe)
        bench.wait()
    taught, history, last = time.time(), list[dict[str, Any]](), 0
    planned, last_losses = steps, 0.0
    while course.step < steps:
        course.advance(rate_at(recipe, course.step, steps))
        if course.step % 50 == 0:
            bench.wait()
            if given_up():
                say(f"{recipe.name}: given up at step {course.step}")
                return None
            if course.step == 50:
                settled = time.time()  # what is compiled late is compiled by now
            else:
                pace = (time.time() - settled) / (course.step - 50)
                steps = min(planned, course.step + max(1, int((until - time.time() - 2) / pace)))
        if last < len(VALIDATED) and course.step >= VALIDATED[last] * steps:
            last += 1
            losses = float(course.losses)
            if not math.isfinite(losses):
                say(f"{recipe.name}: the loss is no number at step {course.step}")
                return None
            passed = history[-1]["step"] if history else 0
            mean = (losses - last_losses) / max(1, course.step - passed)
            history.append({"step": course.step, "loss": mean, "seconds": time.time() - started, **course.figures()})
            last_losses = losses
    bench.wait()
    trained = time.time()
    network, figures, logits = finished(bench, course)
    pace, total = course.step * recipe.batch / (trained - taught), time.time() - started
    record = {
        "recipe": asdict(recipe),
        "steps": course.step,
        "planned_steps": planned,
        "patches_per_second": pace,
        "seconds": {"teachers": taught - started, "training": trained - taught, "all": total},
        "history": history,
        "valid": figures,
        "valid_logits": [round(x, 4) for x in logits],
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous().cpu() for k, v in network.state_dict().items()}, out / f"{recipe.name}.safetensors")
    (out / f"{recipe.name}.json").write_text(json.dumps(record) + "\n")
    curve = " ".join(f"{h['auc']:.4f}" for h in history)
    judged = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
    say(f"{recipe.name}: {course.step} of {planned} steps, {pace:.0f} patches/s, {total:.0f} s; {curve} → {judged}")
    return network


@torch.no_grad()
def finished(bench: Bench, course: Course) -> tuple[DenseNet, dict[str, float], list[float]]:
    """The average with its statistics in float32, judged on valid as the service would run it."""
    network = course.average
    bench.renew(network, course.recipe, 64, torch.float32)
    network.eval()
    parts = [network(p.permute(0, 3, 1, 2).float())[:, 0, 0] for p in bench.valid.pixels.split(bench.batch)]
    logits = torch.cat(parts).cpu().numpy()
    return network, summary(bench.valid.labels.cpu().numpy(), logits), logits.tolist()


def pace_of(bench: Bench, recipe: Recipe, steps: int = 40) -> float:
    """Training steps a second of this architecture, after compiling."""
    course = Course(bench, recipe)
    for _ in range(8):
        course.advance(1e-4)
    bench.wait()
    started = time.time()
    for _ in range(steps):
        course.advance(1e-4)
    bench.wait()
    return steps / (time.time() - started)


def shorter(recipes: list[Recipe], scale: float) -> list[Recipe]:
    return [replace(recipe, passes=recipe.passes * scale) for recipe in recipes]
