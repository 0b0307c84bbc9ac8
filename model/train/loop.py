"""The training loop: steps, validations, checkpoints; and prediction with what was trained."""

import copy
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from model.groups.batch_norm import GroupBatchNorm2d
from model.inference.memory import keep_freed_memory
from model.networks.densenet import DenseNet
from model.train.metrics import bootstrap_auc, summary
from model.train.pcam import Split
from model.train.recipe import Recipe, batch_at
from model.train.run import Forward, Run, save


@torch.no_grad()
def renew_statistics(network: DenseNet, split: Split, recipe: Recipe, batches: int = 24) -> None:
    """Recomputes batch-norm statistics as the plain mean over `batches` augmented batches, in eval mode afterwards.

    The averaged parameters never ran in training, so the running statistics beside them are of other parameters
    (the same problem and remedy as in Izmailov et al. 2018).
    """
    norms = [m for m in network.modules() if isinstance(m, GroupBatchNorm2d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.train()
    for i in range(batches):
        for norm in norms:
            norm.momentum = 1 / (i + 1)  # a plain mean over batches 0 … i
        # Steps that training never reaches, so that no batch is one that it saw.
        network(batch_at(split, recipe, 10_000_000 + i, next(network.parameters()).device)[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


@torch.no_grad()
def predict(network: nn.Module, split: Split, batch: int = 64) -> Tensor:
    """The logits of a split's patches, (N,) float32, on the CPU."""
    device, parts = next(network.parameters()).device, []
    for i in range(0, len(split), batch):
        images = torch.from_numpy(split.patches[i : i + batch]).permute(0, 3, 1, 2).float()
        parts.append(network(images.to(device))[:, 0, 0].float().cpu())
    return torch.cat(parts)


def validate(run: Run, train: Split, valid: Split) -> dict[str, Any]:
    """Figures of the moving average on the validation split; its batch-norm statistics are renewed."""
    network = copy.deepcopy(run.average)
    renew_statistics(network, train, run.recipe)
    logits = predict(network, valid).numpy()
    interval = bootstrap_auc(valid.labels, logits, valid.units()[0])
    run.average.load_state_dict(network.state_dict())
    return {**summary(valid.labels, logits), "auc_interval": interval}


@dataclass(frozen=True)
class Pauses:
    """Intervals in steps."""

    checkpoint: int
    validation: int


def computes_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 saves time: on a GPU, and on a CPU with instructions for it. Others emulate it, far slower."""
    return device.type != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def train(run: Run, data: tuple[Split, Split], out: Path, bf16: bool, compiled: bool, pauses: Pauses) -> dict[str, Any]:
    """Runs to the last step, writes checkpoint.pt and metrics.json under `out`, and returns the last metrics.

    `data`: training and validation split. `compiled`: torch.compile the network (worth it on a GPU).

    Raises:
        Diverged: the loss is NaN or infinite.
    """
    split, valid = data
    keep_freed_memory()
    forward: Forward = torch.compile(run.network) if compiled else run.network
    run.network.train()
    # A kill between metrics and checkpoint leaves an entry of a step that will be taken again.
    history = [entry for entry in _history(out) if entry["step"] <= run.step]
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
