"""A training run: network, moving average, optimizer and step, with checkpoints that survive a kill."""

import copy
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.inference.frozen import Frozen, freeze
from model.networks.densenet import DenseNet, DenseNetConfig
from model.train.recipe import Recipe, average_decay, learning_rate
from model.weights.checkpoint import load_trained_network

Forward = Callable[[Tensor], Tensor]


class Diverged(ArithmeticError):
    """The loss is NaN or infinite. The last checkpoint stays as it is."""


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The optimizer's groups: decay for filters only. Norms and biases have one dimension."""
    filters = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": filters, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


class Run:
    """A network in training with its moving average, optimizer and step: all that a checkpoint stores."""

    def __init__(self, config: DenseNetConfig, recipe: Recipe, steps: int, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.steps, self.device, self.step = recipe, steps, device, 0
        self.network = DenseNet(config).to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.network, recipe.weight_decay), lr=recipe.lr)
        self.teachers: list[Frozen] = []
        self.teacher_digests: list[str] = []

    def state(self) -> dict[str, Any]:
        """The content of checkpoint.pt: tensors and plain values, so that it loads with `weights_only`."""
        return {
            "config": self.network.config.to_dict(),
            "recipe": asdict(self.recipe),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "teachers": self.teacher_digests,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a checkpoint's state.

        Raises:
            ValueError: it belongs to another architecture or recipe, or to other teachers.
        """
        mine = self.state()
        recipe = {**asdict(Recipe()), **state["recipe"]}  # fields that an earlier version did not have
        if state["config"] != mine["config"] or recipe != mine["recipe"]:
            raise ValueError("the checkpoint belongs to another architecture or recipe: choose another --out")
        if state.get("teachers", []) != mine["teachers"]:
            raise ValueError("the checkpoint belongs to other teachers: name the same, or choose another --out")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def learn_from(self, teachers: Sequence[Path]) -> None:
        """Adds teachers: checkpoints of training, or shipped weights.

        A teacher of another group would give different targets for the views that the network cannot tell apart, or
        the same for views that it should.

        Raises:
            WeightsRefused: a file is no checkpoint.
            ValueError: a teacher is equivariant under another group than the network.
        """
        for path in teachers:
            network = load_trained_network(path)[0]
            if network.group.name != self.network.group.name:
                own = self.network.group.name
                raise ValueError(f"the teacher {path.name} has the group {network.group.name}, the network {own}")
            self.teachers.append(freeze(network).to(self.device))
            self.teacher_digests.append(hashlib.sha256(path.read_bytes()).hexdigest())

    @torch.no_grad()
    def _targets(self, images: Tensor, labels: Tensor) -> Tensor:
        """(B,): the labels, mixed with the probability of the mean of the teachers' logits."""
        if not self.teachers:
            return labels
        logits = torch.stack([teacher(images)[:, 0, 0].float() for teacher in self.teachers]).mean(0)
        return torch.lerp(labels, torch.sigmoid(logits), self.recipe.soft)

    def begin_from(self, checkpoint: Path) -> None:
        """Starts from another run's averaged weights, or from shipped ones (NAME.safetensors beside its card).

        Raises:
            WeightsRefused: the file is neither.
        """
        weights = load_trained_network(checkpoint)[0].state_dict()
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def advance(self, forward: Forward, images: Tensor, labels: Tensor, bf16: bool) -> float:
        """Takes one optimizer step and returns the loss.

        Args:
            forward: the network, or its compiled form.
            images: (B, 3, 96, 96) float in 0..255, on the run's device.
            labels: (B,) float 0 or 1, on the run's device.
            bf16: whether the forward pass computes in bfloat16; the loss is float32 in any case.

        Raises:
            Diverged: the loss is NaN or infinite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step, self.steps)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            logits = forward(images)[:, 0, 0]  # (B,): a patch has one cell
        loss = F.binary_cross_entropy_with_logits(logits.float(), self._targets(images, labels))
        if not torch.isfinite(loss):
            raise Diverged(f"the loss is {loss.item()} at step {self.step}: choose a smaller --lr or --no-bf16")
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        """average ← decay · average + (1 − decay) · network, with a faster decay in the first steps."""
        decay = average_decay(self.recipe.ema, self.step)
        for mine, theirs in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint whole or not at all: a kill leaves the last one."""
    fresh = path.with_suffix(".part")
    torch.save(state, fresh)
    os.replace(fresh, path)
