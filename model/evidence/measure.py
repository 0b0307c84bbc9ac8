"""python -m model.evidence.measure DIR: measures the default network without training, into docs/evidence/probes.json.

Speeds are of one thread, all networks one after the other in one run. Compare them with each other, not with those of
another machine.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from model.evidence import cost, probes
from model.evidence.evaluate import figures
from model.evidence.machine import machine
from model.evidence.other_tissue import other_tissue
from model.evidence.study.runs import ANSWERS
from model.inference.dense import Logits, Pixels
from model.inference.frozen import Frozen, freeze
from model.inference.memory import keep_freed_memory
from model.networks.densenet import DenseNet
from model.networks.registry import SYSTEMS
from model.train.metrics import calibration_error, calibration_slope, pooled_within_auc
from model.train.pcam import BadData, Split, read_split
from model.weights.card import COMPARISON, Card, WeightsRefused
from model.weights.checkpoint import checkpoint_names, load_network

PROBES = ANSWERS / "probes.json"
TURNED_PATCHES = 96
RIVALS_STEP_DEG = 15


def systems() -> dict[str, dict[str, float]]:
    """Size, work and speed of every network of the registry, at full and at half width."""
    figures_by_name = {}
    for name, system in tqdm(SYSTEMS.items(), unit="system", leave=False):
        full, half = system.build().eval(), DenseNet(system.small()).eval()
        frozen = freeze(full)
        figures_by_name[name] = {
            "parameters": sum(p.numel() for p in full.parameters()),
            "half_parameters": sum(p.numel() for p in half.parameters()),
            "mflop_per_cell": cost.flops_per_cell(frozen) / 1e6,
            "half_mflop_per_cell": cost.flops_per_cell(freeze(half)) / 1e6,
            "cells_per_second": cost.cells_per_second(frozen),
        }
    return figures_by_name


def calibrated(split: Split, logits: Logits) -> dict[str, Any]:
    """Figures of calibrated logits (N,), calibration error and slope among them."""
    slope, intercept = calibration_slope(split.labels, logits)
    return {
        **figures(split, logits),
        "within_slide_auc": pooled_within_auc(split.labels, logits, split.groups),
        "calibration_error": calibration_error(split.labels, logits),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }


def measure_splits(frozen: Frozen, card: Card, splits: dict[str, Split]) -> dict[str, Any]:
    """Figures of the default network on each split, with reliability before and after its temperature."""
    by_split: dict[str, Any] = {}
    for name, split in splits.items():
        logits = probes.logits_of(frozen, split.patches)
        by_split[name] = calibrated(split, logits / np.float32(card.temperature))
        by_split[name]["reliability"] = {
            "before": probes.reliability(split.labels, logits),
            "after": probes.reliability(split.labels, logits / np.float32(card.temperature)),
        }
        if name == "valid":
            by_split["temperature"] = probes.temperatures(split.labels, logits, split.groups)
    return by_split


def rivals(patches: Pixels) -> dict[str, dict[str, float]]:
    """How turns move the scores of each network that is shipped for comparison, at quarter turns and between."""
    by_name = {}
    for name in checkpoint_names():
        network, card = load_network(name)
        if card.purpose != COMPARISON:
            continue
        frozen = freeze(network)
        turned = probes.angles(frozen, patches, RIVALS_STEP_DEG)
        off = [i for i, angle in enumerate(turned["angle"]) if angle % 90]
        by_name[name] = {
            "eight_views": probes.eight_views(frozen, patches)["score"],
            "quarter_turns": max(
                m for m, angle in zip(turned["moved"], turned["angle"], strict=True) if angle % 90 == 0
            ),
            "between": float(np.mean([turned["moved"][i] for i in off])),
            "there_and_back": float(np.mean([turned["there_and_back"][i] for i in off])),
        }
    return by_name


def measure(directory: Path, only: list[str], picture: tuple[Path, float] | None) -> dict[str, Any]:
    """All probes, or those named in `only`, JSON-ready. `picture`: other tissue, and its µm per pixel.

    Raises:
        FileNotFoundError, BadData: PCam's files are missing or not in its layout.
        WeightsRefused: the default network is missing or altered.
    """
    splits = {name: read_split(directory, name) for name in ("valid", "test")}
    network, card = load_network()
    frozen, test = freeze(network), splits["test"]
    some = test.patches[:: max(1, len(test) // TURNED_PATCHES)]
    steps = {
        "machine": machine,
        "systems": systems,
        "shipped": lambda: measure_splits(frozen, card, splits),
        "eight_views": lambda: probes.eight_views(frozen, test.patches),
        "angles": lambda: probes.angles(frozen, some),
        "rivals": lambda: rivals(some),
        "stability": lambda: probes.stability(frozen, test, card.temperature),
        "controls": lambda: probes.controls(network, test),
    }
    if picture is not None:
        steps["other_tissue"] = lambda: other_tissue(*picture, frozen, card, test)
    selected = {name: step for name, step in steps.items() if not only or name in only}
    return {"weights": card.digest, **{name: step() for name, step in tqdm(selected.items(), unit="probe")}}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.measure", description="Measure the default network without training."
    )
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files")
    parser.add_argument("--json", type=Path, default=PROBES, help="file to write (default %(default)s)")
    parser.add_argument("--only", nargs="+", default=[], help="these probes; the file keeps the others")
    parser.add_argument("--other-tissue", type=Path, metavar="PICTURE", help="the demo slide, or other tissue")
    parser.add_argument("--mpp", type=float, default=0.499, help="the picture's µm per pixel (default %(default)s)")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(1)
    try:
        picture = (options.other_tissue, options.mpp) if options.other_tissue else None
        results = measure(options.directory, options.only, picture)
    except (FileNotFoundError, BadData, WeightsRefused) as error:
        print(f"Not measured: {error}.", file=sys.stderr)
        return 2
    before = json.loads(options.json.read_text()) if options.only and options.json.exists() else {}
    if before.get("weights", results["weights"]) != results["weights"]:
        print("Not written: the other probes in the file are of other weights; leave out --only.", file=sys.stderr)
        return 2
    options.json.write_text(json.dumps({**before, **results}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
