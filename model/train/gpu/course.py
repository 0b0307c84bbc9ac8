"""One run on a GPU: a network with its moving average and optimizer, its steps, and the record that it leaves.

The steps are those of `model.train`: nothing waits for the device between them. A run may learn from teachers: the mean
of their logits on fixed augmentations of every patch, computed once; the run then sees exactly those augmentations.
"""

import copy
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from model.networks.densenet import DenseNet
from model.train.gpu.accelerator import VERSIONS_SEED, Accelerator
from model.train.gpu.recipe import Recipe, Schedule, learning_rate
from model.train.metrics import summary
from model.train.recipe import average_decay
from model.train.run import Diverged, parameter_groups
from model.weights.checkpoint import write_atomically

VALIDATED = (0.25, 0.5, 0.75, 0.9)  # shares of a run after which its moving average is validated
STRIDE = 50  # steps between two moments at which the host waits for a GPU
FEW_BATCHES, MANY_BATCHES = 24, 64  # of renewed statistics: during a run, and at its end
FINISH = 4  # validations that take as long as the end of a run: more batches, in float32


class Course:
    """A network in training, its moving average and its optimizer."""

    def __init__(self, accelerator: Accelerator, recipe: Recipe, start: DenseNet | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.accelerator, self.recipe, self.step = accelerator, recipe, 0
        self.network = DenseNet(recipe.config)
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.network.to(accelerator.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.parameters = dict(self.network.named_parameters())
        self.optimizer = self._optimizer()
        self.forward = accelerator.forward(recipe.config, "training")
        self.amounts = recipe.strength.on(accelerator.device)
        self.count = recipe.used(len(accelerator.train))
        self.soft_targets: Tensor | None = None  # (versions, N)
        self._epoch, self._version = -1, 0
        self._losses, self._counted = torch.zeros((), device=accelerator.device), 0

    def _optimizer(self) -> torch.optim.AdamW:
        groups = parameter_groups(self.network, self.recipe.weight_decay)
        return torch.optim.AdamW(groups, lr=self.recipe.lr, fused=self.accelerator.device.type == "cuda")

    def learn_from(self, teachers: Mapping[str, DenseNet]) -> None:
        """Computes the targets that teachers give, by name.

        Raises:
            ValueError: a teacher is equivariant under another group than the network.
        """
        for name, teacher in teachers.items():
            if teacher.group.name != self.network.group.name:
                own = self.network.group.name
                raise ValueError(f"the teacher {name} has the group {teacher.group.name}, {self.recipe.name} has {own}")
        recipe = self.recipe
        self.soft_targets = self.accelerator.soft_targets(list(teachers.values()), recipe.strength, recipe.versions)
        self.accelerator.wait()

    def _begin_epoch(self, epoch: int) -> None:
        seed = self.recipe.seed * 100_003 + epoch
        self._epoch, self._version = epoch, epoch % max(1, self.recipe.versions)
        self._order = self.accelerator.order(seed, self.count)
        draws_seed = seed if self.soft_targets is None else VERSIONS_SEED + self._version
        self._draws = self.accelerator.draws(draws_seed, len(self.accelerator.train))

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Images and targets of this step."""
        recipe, accelerator = self.recipe, self.accelerator
        epoch, place = divmod(self.step, max(1, self.count // recipe.batch))
        if epoch != self._epoch:
            self._begin_epoch(epoch)
        rows = self._order[place * recipe.batch : (place + 1) * recipe.batch]
        with torch.no_grad():
            images = accelerator.augment(accelerator.train.pixels[rows], self._draws[rows], self.amounts)
        targets = accelerator.train.labels[rows] * (1 - recipe.smoothing) + recipe.smoothing / 2
        if self.soft_targets is not None:
            targets = torch.lerp(targets, self.soft_targets[self._version][rows], recipe.soft)
        return images, targets

    def advance(self, rate: float) -> None:
        """Takes one optimizer step. Nothing waits for the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        images, targets = self._batch()
        logits, _ = self.forward(self.parameters, images, None)
        loss = F.binary_cross_entropy_with_logits(logits, targets)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimizer.step()
        decay = average_decay(self.recipe.ema, self.step)
        with torch.no_grad():
            mine, theirs = list[Tensor](self.average.parameters()), list[Tensor](self.parameters.values())
            torch._foreach_lerp_(mine, theirs, 1 - decay)
        self._losses += loss.detach()
        self.step += 1

    def mean_loss(self) -> float:
        """The mean loss of the steps since the last call.

        Raises:
            Diverged: it is NaN or infinite.
        """
        mean = float(self._losses) / max(1, self.step - self._counted)
        if not math.isfinite(mean):
            raise Diverged(f"{self.recipe.name}: the loss is {mean} at step {self.step}")
        self._losses.zero_()
        self._counted = self.step
        return mean

    def _renew(self, batches: int, dtype: torch.dtype) -> None:
        recipe = self.recipe
        self.accelerator.renew_statistics(self.average, recipe.strength, recipe.seed, self.count, batches, dtype)

    def figures(self) -> dict[str, float]:
        """Figures of the moving average on valid, in the device's own dtype."""
        self._renew(FEW_BATCHES, self.accelerator.dtype)
        logits = self.accelerator.predict_valid(self.average).cpu().numpy()
        return summary(self.accelerator.valid.labels.cpu().numpy(), logits)

    @torch.no_grad()
    def finish(self) -> tuple[dict[str, float], list[float]]:
        """Renews the average's statistics in float32; its figures and logits on valid by the plain forward pass."""
        self._renew(MANY_BATCHES, torch.float32)
        network, valid = self.average.eval(), self.accelerator.valid
        parts = valid.pixels.split(self.accelerator.batch)
        logits = torch.cat([network(part.permute(0, 3, 1, 2).float())[:, 0, 0] for part in parts]).cpu().numpy()
        return summary(valid.labels.cpu().numpy(), logits), [round(float(x), 4) for x in logits]


def run_steps(course: Course, schedule: Schedule, validated: tuple[float, ...]) -> list[dict[str, float]]:
    """Takes all steps of a schedule and returns the figures over time, after the shares `validated` of the run.

    An entry has `step`, `seconds` since the run began, `loss` since the last entry, `validation_s`, and the figures.

    Raises:
        Diverged: the loss is NaN or infinite.
    """
    began, history, ahead = time.monotonic(), list[dict[str, float]](), list(validated)
    stride = STRIDE if course.accelerator.device.type == "cuda" else 1
    while course.step < schedule.steps:
        course.advance(learning_rate(course.recipe, course.step, schedule.steps))
        if course.step % stride == 0:
            course.accelerator.wait()
            schedule.measure(course.step, time.monotonic())
        if ahead and course.step >= ahead[0] * schedule.steps:
            ahead.pop(0)
            loss, paused = course.mean_loss(), time.monotonic()
            figures, validation_s = course.figures(), time.monotonic() - paused
            schedule.validated(validation_s)
            entry = {"step": course.step, "seconds": paused - began, "loss": loss, "validation_s": validation_s}
            history.append({**entry, **figures})
    course.accelerator.wait()
    course.mean_loss()
    return history


def write_run(out: Path, course: Course, record: dict[str, Any]) -> None:
    """Writes NAME.safetensors, then NAME.json, each whole or not at all."""
    weights = {key: value.contiguous().cpu() for key, value in course.average.state_dict().items()}
    write_atomically(out / f"{course.recipe.name}.safetensors", save(weights))
    write_atomically(out / f"{course.recipe.name}.json", (json.dumps(record) + "\n").encode())


def train(
    accelerator: Accelerator,
    recipe: Recipe,
    networks: Mapping[str, DenseNet],
    out: Path,
    until: float | None = None,
    validation_s: float = 0.0,
) -> tuple[DenseNet, dict[str, Any]]:
    """Does a whole run and writes its files under `out`; returns the averaged network and the record.

    Args:
        networks: those of earlier runs by name, for `teachers` and `begin_from`.
        until: seconds of `time.monotonic` by which the run ends, shortened if need be; None: it is not shortened.
        validation_s: what a validation takes; they are left out where they would take a fifth of the time.

    Raises:
        Diverged: the loss is NaN or infinite; nothing is written.
        ValueError: a teacher has another group.
    """
    began, course = time.monotonic(), Course(accelerator, recipe, networks.get(recipe.begin_from))
    if recipe.teachers:
        course.learn_from({name: networks[name] for name in recipe.teachers})
    first = time.monotonic()
    validated = () if until is not None and 5 * len(VALIDATED) * validation_s > until - first else VALIDATED
    planned, end_s = recipe.steps(len(accelerator.train)), FINISH * validation_s
    schedule = Schedule(planned, until, validation_s, len(validated), end_s)
    history = run_steps(course, schedule, validated)
    last = time.monotonic()
    figures, logits = course.finish()
    record = {
        "recipe": asdict(recipe),
        "seed": recipe.seed,
        "patches": {"train": course.count, "valid": len(accelerator.valid)},
        "steps": course.step,
        "planned_steps": planned,
        "patches_per_second": course.step * recipe.batch / (last - first),
        "seconds": {"teachers": first - began, "training": last - first, "all": time.monotonic() - began},
        "history": history,
        "valid": figures,
        "valid_logits": logits,
    }
    write_run(out, course, record)
    return course.average, record
