"""python -m model.evidence.measure DIR: measure the shipped network without training; writes docs/evidence/probes.json.

Speeds are of one thread, all systems one after the other in one run: compare them with each other, not with another
machine's.
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

WHERE = ANSWERS / "probes.json"
TURNED_PATCHES = 96
RIVALS_STEP_DEG = 15


def systems() -> dict[str, dict[str, float]]:
    """Size, work and speed of every system, at full and at half width."""
    found = {}
    for name, system in tqdm(SYSTEMS.items(), unit="system", leave=False):
        full, half = system.build().eval(), DenseNet(system.small()).eval()
        frozen = freeze(full)
        found[name] = {
            "parameters": sum(p.numel() for p in full.parameters()),
            "half_parameters": sum(p.numel() for p in half.parameters()),
            "mflop_per_cell": cost.flops_per_cell(frozen) / 1e6,
            "half_mflop_per_cell": cost.flops_per_cell(freeze(half)) / 1e6,
            "cells_per_second": cost.cells_per_second(frozen),
        }
    return found


def calibrated(split: Split, logits: Logits) -> dict[str, Any]:
    """Figures of calibrated logits, with what they say of calibration."""
    slope, intercept = calibration_slope(split.labels, logits)
    return {
        **figures(split, logits),
        "within_slide_auc": pooled_within_auc(split.labels, logits, split.groups),
        "calibration_error": calibration_error(split.labels, logits),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }


def of_splits(frozen: Frozen, card: Card, splits: dict[str, Split]) -> dict[str, Any]:
    """The shipped network on each split: figures, and reliability before and after its temperature."""
    found: dict[str, Any] = {}
    for name, split in splits.items():
        logits = probes.logits_of(frozen, split.patches)
        found[name] = calibrated(split, logits / np.float32(card.temperature))
        found[name]["reliability"] = {
            "before": probes.reliability(split.labels, logits),
            "after": probes.reliability(split.labels, logits / np.float32(card.temperature)),
        }
        if name == "valid":
            found["temperature"] = probes.temperatures(split.labels, logits, split.groups)
    return found


def rivals(patches: Pixels) -> dict[str, dict[str, float]]:
    """Each network that is shipped for comparison: how turns move its scores, on the grid and between."""
    found = {}
    for name in checkpoint_names():
        network, card = load_network(name)
        if card.purpose != COMPARISON:
            continue
        frozen = freeze(network)
        turned = probes.angles(frozen, patches, RIVALS_STEP_DEG)
        off = [i for i, angle in enumerate(turned["angle"]) if angle % 90]
        found[name] = {
            "eight_views": probes.eight_views(frozen, patches)["score"],
            "quarter_turns": max(
                m for m, angle in zip(turned["moved"], turned["angle"], strict=True) if angle % 90 == 0
            ),
            "between": float(np.mean([turned["moved"][i] for i in off])),
            "there_and_back": float(np.mean([turned["there_and_back"][i] for i in off])),
        }
    return found


def measure(directory: Path, only: list[str], picture: tuple[Path, float] | None) -> dict[str, Any]:
    """Everything, or what is named, JSON-ready. `picture`: of other tissue, and its µm per pixel."""
    splits = {name: read_split(directory, name) for name in ("valid", "test")}
    network, card = load_network()
    frozen, test = freeze(network), splits["test"]
    some = test.patches[:: max(1, len(test) // TURNED_PATCHES)]
    steps = {
        "machine": machine,
        "systems": systems,
        "shipped": lambda: of_splits(frozen, card, splits),
        "eight_views": lambda: probes.eight_views(frozen, test.patches),
        "angles": lambda: probes.angles(frozen, some),
        "rivals": lambda: rivals(some),
        "stability": lambda: probes.stability(frozen, test, card.temperature),
        "controls": lambda: probes.controls(network, test),
    }
    if picture is not None:
        steps["other_tissue"] = lambda: other_tissue(*picture, frozen, card, test)
    chosen = {name: step for name, step in steps.items() if not only or name in only}
    return {"weights": card.digest, **{name: step() for name, step in tqdm(chosen.items(), unit="probe")}}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.measure", description="Measure the shipped network."
    )
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files")
    parser.add_argument("--json", type=Path, default=WHERE, help="where to write (default %(default)s)")
    parser.add_argument("--only", nargs="+", default=[], help="these probes; the others stay as they were found")
    parser.add_argument("--other-tissue", type=Path, metavar="PICTURE", help="the demo slide, or another picture")
    parser.add_argument("--mpp", type=float, default=0.499, help="the picture's µm per pixel (default %(default)s)")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(1)
    try:
        picture = (options.other_tissue, options.mpp) if options.other_tissue else None
        found = measure(options.directory, options.only, picture)
    except (FileNotFoundError, BadData, WeightsRefused) as error:
        print(f"Nothing was measured: {error}.", file=sys.stderr)
        return 2
    before = json.loads(options.json.read_text()) if options.only and options.json.exists() else {}
    if before.get("weights", found["weights"]) != found["weights"]:
        print("Nothing was written: the other probes are of other weights; leave --only out.", file=sys.stderr)
        return 2
    options.json.write_text(json.dumps({**before, **found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
