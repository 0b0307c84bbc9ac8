"""Figures of trained networks on PCam's official valid and, for the chosen one and what it replaces, once on test:

    python -m gpu.judge DATA RUNS OUT --chosen distilled-20 --shipped p4m-densenet

Runs are compared by the logits on valid that they wrote. Intervals are 95 % percentiles over overlap clusters (a patch
in none is its own), which are too narrow, since slides are not named; differences are paired. Temperature and, beside
it, slope and offset are fitted on valid and held against test.
"""

import argparse
import csv
import io
import json
import sys
import zipfile
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from model.densenet import DenseNet, DenseNetConfig
from model.frozen import freeze
from model.group import get_group
from model.layers import turn
from model.metrics import calibration_error, calibration_slope, fit_temperature, summary
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from model.weights import load_network

Array = np.ndarray[Any, Any]


def read(data: Path, name: str) -> tuple[Array, Array, Array]:
    """Pixels, labels and clusters of one set, in the order of its csv."""
    with (data / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with zipfile.ZipFile(data / f"{name}.zip") as archive:
        members = {PurePath(m).stem: m for m in archive.namelist()}
        pixels = [np.asarray(Image.open(io.BytesIO(archive.read(members[r["id"]]))).convert("RGB")) for r in rows]
    clusters = np.array([r["overlap_cluster"] or f"alone-{i}" for i, r in enumerate(rows)])
    return np.stack(pixels), np.array([int(r["label"]) for r in rows]), clusters


@torch.inference_mode()
def logits_of(network: nn.Module, pixels: Array, batch: int = 32) -> Array:
    parts = [torch.from_numpy(pixels[i : i + batch]).permute(0, 3, 1, 2).float() for i in range(0, len(pixels), batch)]
    return np.concatenate([network(part)[:, 0, 0].numpy() for part in parts])


def resamples(clusters: Array, rounds: int = 2000) -> Array:
    """(rounds, patches): how often each is drawn, whole clusters with replacement; the first round is all, once.

    The same for all that is compared, so differences are paired.
    """
    rng = np.random.default_rng(0)
    index = np.unique(clusters, return_inverse=True)[1]
    count = int(index.max()) + 1
    drawn = [np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(rounds)]
    weights: Array = np.stack([np.ones(count), *drawn])[:, index]
    return weights


def weighted_auc(labels: Array, logits: Array, weights: Array) -> Array:
    """The AUC of each row of weights, ties counting half."""
    order = np.argsort(logits, kind="stable")
    starts = np.flatnonzero(np.diff(logits[order], prepend=-np.inf))
    positive, negative = (
        np.add.reduceat(weights[:, order] * (labels[order] == label), starts, axis=1) for label in (1, 0)
    )
    below = np.cumsum(negative, 1) - 0.5 * negative
    found: Array = (positive * below).sum(1) / (positive.sum(1) * negative.sum(1))
    return found


def measures(labels: Array, logits: Array, weights: Array) -> dict[str, Array]:
    """Each measure for each row of weights."""
    share = weights / weights.sum(1, keepdims=True)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return {
        "auc": weighted_auc(labels, logits, weights),
        "accuracy": share @ ((logits > 0) == (labels > 0)),
        "nll": share @ np.logaddexp(0, np.where(labels > 0, -logits, logits)),
        "brier": share @ (p - labels) ** 2,
    }


def bounded(values: dict[str, Array]) -> dict[str, list[float]]:
    """Value, low and high of each measure."""
    return {name: [float(v[0]), *np.percentile(v[1:], [2.5, 97.5]).tolist()] for name, v in values.items()}


def intervals(labels: Array, logits: Array, draws: Array) -> dict[str, list[float]]:
    return bounded(measures(labels, logits, draws))


def differences(labels: Array, mine: Array, theirs: Array, draws: Array) -> dict[str, list[float]]:
    """Mine less theirs, paired."""
    a, b = measures(labels, mine, draws), measures(labels, theirs, draws)
    return bounded({name: a[name] - b[name] for name in a})


def calibrated(labels: Array, logits: Array) -> dict[str, Any]:
    slope, offset = calibration_slope(labels, logits)
    return {
        **summary(labels, logits),
        "calibration_error": calibration_error(labels, logits),
        "slope": slope,
        "offset": offset,
    }


@torch.inference_mode()
def spread(network: nn.Module, pixels: Array) -> dict[str, float]:
    """How far the eight views of a patch lie apart, at most."""
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    views = torch.stack([network(turn(image, element))[:, 0, 0] for element in get_group("p4m").elements])
    apart = (views.max(0).values - views.min(0).values).max()
    scores = torch.sigmoid(views)
    return {"logits": float(apart), "scores": float((scores.max(0).values - scores.min(0).values).max())}


def network_of(runs: Path, name: str) -> DenseNet:
    recipe = json.loads((runs / f"{name}.json").read_text())["recipe"]
    network = DenseNet(DenseNetConfig(recipe["family"], recipe["n0"], recipe["growth"]))
    network.load_state_dict(load_file(runs / f"{name}.safetensors"))
    return network.eval()


def compare_on_valid(runs: Path, labels: Array, draws: Array, chosen: str) -> dict[str, Any]:
    """Every run's figures, and its difference from the chosen one, from the logits that it wrote."""
    records = {path.stem: json.loads(path.read_text()) for path in sorted(runs.glob("*.json"))}
    logits = {name: np.array(r["valid_logits"]) for name, r in records.items() if "valid_logits" in r}
    return {
        name: {
            "figures": intervals(labels, mine, draws),
            "less_chosen": differences(labels, mine, logits[chosen], draws),
        }
        for name, mine in logits.items()
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gpu.judge")
    for name in ("data", "runs", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--chosen", required=True)
    parser.add_argument("--shipped", default="p4m-densenet")
    options = parser.parse_args(arguments)
    chosen, shipped = network_of(options.runs, options.chosen), load_network(options.shipped)[0]
    pixels, labels, clusters = read(options.data, "pcam_official_valid")
    draws = resamples(clusters)
    result: dict[str, Any] = {"valid": compare_on_valid(options.runs, labels, draws, options.chosen)}
    mine = np.array(json.loads((options.runs / f"{options.chosen}.json").read_text())["valid_logits"], np.float64)
    result["cpu_against_gpu"] = float(np.abs(logits_of(freeze(chosen), pixels[:256]) - mine[:256]).max())
    result["eight_views"] = spread(chosen, pixels[:64])
    theirs = logits_of(freeze(shipped), pixels)
    result["shipped_valid"] = intervals(labels, theirs, draws)
    result["chosen_less_shipped_valid"] = differences(labels, mine, theirs, draws)
    temperature, (slope, offset) = fit_temperature(labels, mine), calibration_slope(labels, mine)
    result["fitted_on_valid"] = {"temperature": temperature, "slope": slope, "offset": offset}
    result["valid_calibration"] = calibrated(labels, mine)
    print(json.dumps({k: v for k, v in result.items() if k != "valid"}), file=sys.stderr, flush=True)
    pixels, labels, clusters = read(options.data, "pcam_official_test")
    draws = resamples(clusters)
    tested = {"chosen": logits_of(freeze(chosen), pixels), "shipped": logits_of(freeze(shipped), pixels)}
    result["test"] = {name: intervals(labels, logits, draws) for name, logits in tested.items()}
    result["test"]["chosen_less_shipped"] = differences(labels, tested["chosen"], tested["shipped"], draws)
    forms = {
        "as trained": tested["chosen"],
        "temperature": tested["chosen"] / temperature,
        "slope and offset": slope * tested["chosen"] + offset,
        "shipped as trained": tested["shipped"],
        "shipped at its temperature": tested["shipped"] / load_network(options.shipped)[1].temperature,
    }
    result["test_calibration"] = {name: calibrated(labels, logits) for name, logits in forms.items()}
    result["test_logits"] = {name: [round(float(x), 4) for x in logits] for name, logits in tested.items()}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k not in ("valid", "test_logits")}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
