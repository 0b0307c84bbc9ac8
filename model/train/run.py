"""Training on PCam patches, with checkpoints that survive a kill.

Step s of a run is a pure function of (seed, s): batch order and augmentation are drawn from generators seeded by
them, so a run that is killed and started again goes on where its last checkpoint stands, with the same steps.

Recipe: AdamW with decay on filters only, 5 % warm-up then cosine, gradients clipped at norm 1, an exponential moving
average of the parameters whose batch-norm statistics are computed anew before it is used.
"""

import copy
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from model.groups.layers import GroupBatchNorm2d
from model.inference.memory import keep_freed_memory
from model.networks.densenet import DenseNet, DenseNetConfig
from model.train.augment import augment
from model.train.metrics import bootstrap_auc, summary
from model.train.pcam import Split
from model.weights.checkpoint import load_network, state_of

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """What a run does; kept in its checkpoint, which refuses to go on under another."""

    epochs: float = 7
    batch: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    ema: float = 0.995
    seed: int = 0
    dihedral: bool = False
    strength: float = 1.0


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to zero."""
    warm = max(1, round(recipe.warm_up * steps))
    if step < warm:
        return recipe.lr * (step + 1) / warm
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def batch_at(split: Split, recipe: Recipe, step: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """The augmented batch of one step: (B, 3, 96, 96) float 0..255, (B,) float labels, on a device (default: the CPU).

    Patches travel there as bytes, and are augmented there.
    """
    per_epoch = max(1, len(split) // recipe.batch)
    epoch, place = divmod(step, per_epoch)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(recipe.seed * 100_003 + epoch))
    chosen = order[place * recipe.batch : (place + 1) * recipe.batch].numpy()
    images = torch.from_numpy(split.patches[chosen]).to(device).permute(0, 3, 1, 2).float()
    rng = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    labels = torch.from_numpy(split.labels[chosen]).to(device).float()
    return augment(images, rng, recipe.dihedral, recipe.strength), labels


class Diverged(ArithmeticError):
    """The loss is no number. The last checkpoint stays as it is."""


class Run:
    """A network in training, its moving average, optimizer and step count."""

    def __init__(self, config: DenseNetConfig, recipe: Recipe, steps: int, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.steps, self.device, self.step = recipe, steps, device, 0
        self.network = DenseNet(config).to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self._parameter_groups(), lr=recipe.lr)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        filters = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        return [{"params": filters, "weight_decay": self.recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]

    def state(self) -> dict[str, Any]:
        return {
            "config": self.network.config.to_dict(),
            "recipe": asdict(self.recipe),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: it was made by another architecture or recipe.
        """
        mine = self.state()
        if state["config"] != mine["config"] or state["recipe"] != mine["recipe"]:
            raise ValueError("the checkpoint is of another architecture or recipe: choose another --out")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def begin_from(self, checkpoint: Path) -> None:
        """Start at another run's averaged weights, or at shipped ones (NAME.safetensors beside its card).

        Raises:
            WeightsRefused: the file is neither.
        """
        shipped = checkpoint.suffix == ".safetensors"
        network = load_network(checkpoint.stem, checkpoint.parent)[0] if shipped else state_of(checkpoint)
        found = network.state_dict()
        self.network.load_state_dict(found)
        self.average.load_state_dict(found)

    def advance(self, forward: Forward, images: Tensor, labels: Tensor, bf16: bool) -> float:
        """One optimizer step on images and labels of the run's device; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step, self.steps)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            logits = forward(images)[:, 0, 0]
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
        if not torch.isfinite(loss):
            raise Diverged(f"the loss is {loss.item()} at step {self.step}: choose a smaller --lr or --no-bf16")
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self._follow()
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        for mine, theirs in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)


@torch.no_grad()
def renew_statistics(network: DenseNet, split: Split, recipe: Recipe, batches: int = 24) -> None:
    """Batch-norm statistics of exactly these parameters: the plain mean over some augmented batches."""
    norms = [m for m in network.modules() if isinstance(m, GroupBatchNorm2d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.train()
    for i in range(batches):
        for norm in norms:
            norm.momentum = 1 / (i + 1)
        network(batch_at(split, recipe, 10_000_000 + i, next(network.parameters()).device)[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


@torch.no_grad()
def predict(network: nn.Module, split: Split, batch: int = 64) -> Tensor:
    """Logits (N,) of a split's patches, float32."""
    device, out = next(network.parameters()).device, []
    for i in range(0, len(split), batch):
        images = torch.from_numpy(split.patches[i : i + batch]).permute(0, 3, 1, 2).float()
        out.append(network(images.to(device))[:, 0, 0].float().cpu())
    return torch.cat(out)


def validate(run: Run, train: Split, valid: Split) -> dict[str, Any]:
    """Figures of the moving average on the validation split."""
    network = copy.deepcopy(run.average)
    renew_statistics(network, train, run.recipe)
    logits = predict(network, valid).numpy()
    interval = bootstrap_auc(valid.labels, logits, valid.slide_groups())
    run.average.load_state_dict(network.state_dict())
    return {**summary(valid.labels, logits), "auc_interval": interval}


def save(path: Path, state: dict[str, Any]) -> None:
    """Whole or not at all: a kill leaves the last checkpoint."""
    fresh = path.with_suffix(".part")
    torch.save(state, fresh)
    os.replace(fresh, path)


@dataclass(frozen=True)
class Pauses:
    """Steps between checkpoints, and between validations."""

    checkpoint: int
    validation: int


def train(run: Run, data: tuple[Split, Split], out: Path, bf16: bool, compiled: bool, pauses: Pauses) -> dict[str, Any]:
    """Run to the end; writes checkpoint.pt and metrics.json under `out`, returns the metrics."""
    split, valid = data
    keep_freed_memory()
    forward: Forward = torch.compile(run.network) if compiled else run.network
    run.network.train()
    history: list[dict[str, Any]] = _history(out)
    losses, started = [], time.monotonic()
    with tqdm(total=run.steps, initial=run.step, unit="step", file=sys.stderr, mininterval=5) as bar:
        while run.step < run.steps:
            losses.append(run.advance(forward, *batch_at(split, run.recipe, run.step, run.device), bf16))
            bar.update()
            pace = run.recipe.batch * len(losses) / (time.monotonic() - started)
            recent = sum(losses[-50:]) / len(losses[-50:])
            bar.set_postfix_str(f"{pace:.0f} patches/s, loss {recent:.3f}", refresh=False)
            if run.step % pauses.validation == 0 or run.step == run.steps:
                figures = validate(run, split, valid)
                recent = sum(losses[-pauses.validation :]) / len(losses[-pauses.validation :])
                history.append({"step": run.step, "train_loss": recent, "valid": figures})
                _write_metrics(out, run, history, time.monotonic() - started)
                bar.write(f"step {run.step}: train loss {recent:.3f}, valid AUC {figures['auc']:.3f}", sys.stderr)
                save(out / "checkpoint.pt", run.state())
            elif run.step % pauses.checkpoint == 0:
                save(out / "checkpoint.pt", run.state())
    return history[-1] if history else {}


def _history(out: Path) -> list[dict[str, Any]]:
    path = out / "metrics.json"
    return list(json.loads(path.read_text())["history"]) if path.exists() else []


def _write_metrics(out: Path, run: Run, history: list[dict[str, Any]], seconds: float) -> None:
    content = {"recipe": asdict(run.recipe), "config": run.network.config.to_dict(), "seconds": seconds}
    (out / "metrics.json").write_text(json.dumps({**content, "history": history}, indent=1) + "\n")
