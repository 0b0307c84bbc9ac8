"""Probes of a trained network that need no further training: angles, shifts, stains, calibration, broken parts.

Each takes a frozen network and patches (N, 96, 96, 3) uint8 and returns JSON-ready figures. Differences are in logits
unless a name says score, since scores saturate.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from model.checks import rotation_check
from model.groups.group import transform
from model.inference.dense import Logits, Pixels, infer
from model.inference.frozen import Frozen, freeze
from model.networks.densenet import PATCH_PX, DenseNet, DenseNetConfig
from model.train import augment
from model.train.metrics import auc, bootstrap, fit_calibration
from model.train.pcam import Split
from model.weights.card import Card

STEP_DEG = 5
MOST_AT_ONCE = 32
RANDOM_DRAWS = 6
Change = Callable[[Tensor, torch.Generator], Tensor]


def logits_of(network: nn.Module, patches: Pixels) -> Logits:
    """A network's logits of patches, (N, 96, 96, 3) uint8 → (N,) float32."""
    parts = [infer(network, patches[i : i + MOST_AT_ONCE])[:, 0, 0] for i in range(0, len(patches), MOST_AT_ONCE)]
    return np.concatenate(parts)


def _as_images(patches: Pixels) -> Tensor:
    """(N, 96, 96, 3) uint8 → (N, 3, 96, 96) float in 0..255."""
    return torch.from_numpy(np.ascontiguousarray(patches)).permute(0, 3, 1, 2).float()


def _as_patches(images: Tensor) -> Pixels:
    patches: Pixels = images.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return patches


def eight_views(network: nn.Module, patches: Pixels) -> dict[str, float]:
    """The largest differences of score and of logit between the eight views of any patch."""
    views = [
        logits_of(network, np.stack([transform(p, element) for p in patches]))
        for element in rotation_check.P4M.elements
    ]
    logits = np.stack(views).astype(np.float64)  # (8, N)
    return {"score": float(np.ptp(1 / (1 + np.exp(-logits)), axis=0).max()), "logit": float(np.ptp(logits, 0).max())}


def turned(images: Tensor, angle_deg: float) -> Tensor:
    """Images turned about their centre, bilinear, edges reflected; counter-clockwise. A turn by 0° changes nothing."""
    angle = np.deg2rad(angle_deg)
    matrix = torch.tensor([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0]])
    grid = F.affine_grid(matrix.float().expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def angles(network: nn.Module, patches: Pixels, step_deg: int = STEP_DEG) -> dict[str, list[float]]:
    """How a turn by each angle moves the score, and how much resampling alone does.

    `there_and_back` turns a patch by the angle and back: its content is where it was, blurred twice.
    """
    plain, images = _scores(network, patches), _as_images(patches)
    curves: dict[str, list[float]] = {name: [] for name in ("angle", "mean", "moved", "spread", "there_and_back")}
    for angle in range(0, 360, step_deg):
        forth = turned(images, angle)
        scores = _scores(network, _as_patches(forth))
        again = _scores(network, _as_patches(turned(forth, -angle)))
        curves["angle"].append(angle)
        curves["mean"].append(float(scores.mean()))
        curves["moved"].append(float(np.abs(scores - plain).mean()))
        curves["spread"].append(float((scores - plain).std()))
        curves["there_and_back"].append(float(np.abs(again - plain).mean()))
    return curves


def _scores(network: nn.Module, patches: Pixels) -> NDArray[np.float64]:
    logits = logits_of(network, patches).astype(np.float64)
    scores: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return scores


def shifted(images: Tensor, rng: torch.Generator, by_px: int = 8) -> Tensor:
    """Images shifted in one of the four directions; 8 px is half a stride, the farthest from any cell's place."""
    padded = F.pad(images, (by_px,) * 4, mode="reflect")
    y, x = ((0, by_px), (2 * by_px, by_px), (by_px, 0), (by_px, 2 * by_px))[
        int(torch.randint(0, 4, (1,), generator=rng))
    ]
    return padded[:, :, y : y + PATCH_PX, x : x + PATCH_PX]


def scaled(images: Tensor, factor: float) -> Tensor:
    """Images scaled as if the scan's µm per pixel were wrong by a factor; edges are reflected."""
    matrix = torch.tensor([[factor, 0.0, 0.0], [0.0, factor, 0.0]]).expand(len(images), 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


CHANGES: dict[str, Change] = {
    "shifted by 8 px": shifted,
    "µm per pixel 10 % larger": lambda images, _: scaled(images, 1.1),
    "µm per pixel 10 % smaller": lambda images, _: scaled(images, 1 / 1.1),
    "JPEG 50 to 95": lambda images, rng: augment.jpeg(images, rng, share=1.0),
    "stain jitter ± 20 %": augment.stain_jitter,
    "light jitter ± 20 %": augment.light_jitter,
    "defocus, σ up to 0.9 px": lambda images, rng: augment.blur(images, rng, share=1.0),
}


def stability(network: nn.Module, split: Split, card: Card) -> dict[str, dict[str, float]]:
    """For each change: the mean movement in calibrated logits, the share that crosses a score of 0.5, and the AUC."""
    plain, figures = card.calibrate(logits_of(network, split.patches)), {}
    for number, (name, change) in enumerate(CHANGES.items()):
        images = change(_as_images(split.patches), torch.Generator().manual_seed(number))
        logits = card.calibrate(logits_of(network, _as_patches(images)))
        figures[name] = {
            "moved_logits": float(np.abs(logits - plain).mean()),
            "changed_sides": float(((logits > 0) != (plain > 0)).mean()),
            "auc": auc(split.labels, logits),
        }
    return figures


def reliability(labels: NDArray[Any], logits: Logits, bins: int = 10) -> list[tuple[float, float, int]]:
    """The reliability diagram in bins of equal mass: (mean score, share of positives, patches) of each."""
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    parts = np.array_split(np.argsort(scores, kind="stable"), bins)
    return [(float(scores[part].mean()), float(labels[part].mean()), len(part)) for part in parts]


def calibrations(split: Split, logits: Logits) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the temperature and of the bias that a split would give (`fit_calibration`)."""

    def fitted(labels: NDArray[Any], some: NDArray[Any]) -> dict[str, float]:
        temperature, bias = fit_calibration(labels, some)
        return {"temperature": temperature, "bias": bias}

    return bootstrap(split.labels, logits, split.units()[0], fitted, rounds=500)


def broken_plane(network: DenseNet) -> Frozen:
    """The frozen network with one plane of the lifting bank unturned: a fault that the rotation check must find."""
    frozen = copy.deepcopy(freeze(network))
    assert isinstance(frozen.lifting, nn.Conv2d)
    with torch.no_grad():
        frozen.lifting.weight[1] = frozen.lifting.weight[0]
    return frozen


def random_networks(config: DenseNetConfig) -> list[Frozen]:
    """Untrained networks, frozen."""
    drawn = []
    for seed in range(RANDOM_DRAWS):
        torch.manual_seed(seed)
        drawn.append(freeze(DenseNet(config).eval()))
    return drawn


def controls(network: DenseNet, split: Split) -> dict[str, dict[str, Any]]:
    """Residual and AUC of the network as shipped, of one with a broken plane, and of some with random weights."""
    kinds = {
        "as shipped": [freeze(network)],
        "one plane unturned": [broken_plane(network)],
        "random weights": random_networks(network.config),
    }
    region = np.concatenate(np.concatenate(split.patches[:16].reshape(4, 4, PATCH_PX, PATCH_PX, 3), 1), 1)
    every = list(range(1, len(network.group)))
    return {
        name: {
            "residual_logits": max(rotation_check.residual(frozen, region, every) for frozen in networks),
            "tolerance_logits": rotation_check.TOLERANCE,
            "auc": [auc(split.labels, logits_of(frozen, split.patches)) for frozen in networks],
        }
        for name, networks in kinds.items()
    }
