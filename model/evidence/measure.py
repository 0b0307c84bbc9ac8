"""python -m model.evidence.measure DIR: measures the default network without training, into docs/evidence/probes.json.

DIR holds PCam's files by the plan official. `--named` names a folder with those of the plan named, whose lossless
patches tell what compression costs the former weights; the shipped ones were trained on them.

Speeds are of one thread, all networks one after the other in one run. Compare them with each other, not with those of
another machine.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from model.evidence import cost, probes
from model.evidence.compression import loss_by_compression
from model.evidence.evaluate import figures
from model.evidence.machine import machine
from model.evidence.other_tissue import other_tissue
from model.evidence.study.runs import ANSWERS
from model.inference.dense import Logits, Pixels
from model.inference.frozen import Frozen, freeze
from model.inference.memory import keep_freed_memory
from model.networks.densenet import DenseNet
from model.networks.registry import SYSTEMS
from model.train.metrics import CannotCalibrate, bootstrap, fit_calibration, pooled_within_auc, summary
from model.train.pcam import BadData, Split, read_split
from model.weights.card import COMPARISON, Card, WeightsRefused
from model.weights.checkpoint import checkpoint_names, load_network

PROBES = ANSWERS / "probes.json"
FORMER = ANSWERS / "official-plan" / "former" / "p4m-densenet.safetensors"
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
    """Figures of calibrated logits (N,), and the AUC within slides where all are known."""
    groups = split.slide_groups()
    if groups is None:
        return figures(split, logits)
    return {**figures(split, logits), "within_slide_auc": pooled_within_auc(split.labels, logits, groups)}


def measure_splits(frozen: Frozen, card: Card, splits: dict[str, Split]) -> dict[str, Any]:
    """Figures of a network on each split, with reliability before and after its calibration."""
    by_split: dict[str, Any] = {}
    for name, split in splits.items():
        logits = probes.logits_of(frozen, split.patches)
        after = card.calibrate(logits)
        by_split[name] = calibrated(split, after)
        by_split[name]["reliability"] = {
            "before": probes.reliability(split.labels, logits),
            "after": probes.reliability(split.labels, after),
        }
        if name == "valid":
            by_split["calibration"] = probes.calibrations(split, logits)
    return by_split


def compare_with_former(former: Path, card: Card, frozen: Frozen, splits: dict[str, Split]) -> dict[str, Any]:
    """The former weights on test, and what the shipped ones gain on it: paired differences, with intervals.

    Both are calibrated on valid in the same way.

    Raises:
        WeightsRefused: the former weights are missing or altered.
    """
    network, former_card = load_network(former.stem, former.parent)
    former_frozen, split, valid = freeze(network), splits["test"], splits["valid"]
    temperature, bias = fit_calibration(valid.labels, probes.logits_of(former_frozen, valid.patches))
    recalibrated = replace(former_card, temperature=temperature, bias=bias)
    before = recalibrated.calibrate(probes.logits_of(former_frozen, split.patches))
    both = np.stack([card.calibrate(probes.logits_of(frozen, split.patches)), before], 1)  # (N, 2)

    def gains(labels: NDArray[Any], logits: NDArray[Any]) -> dict[str, float]:
        now, then = summary(labels, logits[:, 0]), summary(labels, logits[:, 1])
        return {name: now[name] - then[name] for name in now}

    return {
        "weights": former_card.digest,
        "calibration": {"temperature": temperature, "bias": bias},
        "figures": calibrated(split, before),
        "gains": gains(split.labels, both),
        "gain_intervals": bootstrap(split.labels, both, split.units()[0], gains),
    }


def compression(former: Path, named: Path) -> dict[str, Any]:
    """What compression costs the former weights, which left the known slides of these lossless patches out."""
    frozen = freeze(load_network(former.stem, former.parent)[0])
    return {name: loss_by_compression(frozen, read_split(named, name)) for name in ("valid", "test")}


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


def measure(
    directory: Path, only: list[str], picture: tuple[Path, float] | None, named: Path | None = None
) -> dict[str, Any]:
    """All probes, or those named in `only`, JSON-ready.

    Args:
        picture: other tissue, and its µm per pixel.
        named: PCam's files by the plan named, for what compression costs.

    Raises:
        FileNotFoundError, BadData: PCam's files are missing or not in its layout.
        WeightsRefused: the default network, or the former one, is missing or altered.
        CannotCalibrate: valid is too small for the intervals of its calibration.
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
        "stability": lambda: probes.stability(frozen, test, card),
        "former": lambda: compare_with_former(FORMER, card, frozen, splits),
        "controls": lambda: probes.controls(network, test),
    }
    if named is not None:
        steps["compression"] = lambda: compression(FORMER, named)
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
    parser.add_argument("--named", type=Path, help="folder with the files of the plan named: what compression costs")
    parser.add_argument("--other-tissue", type=Path, metavar="PICTURE", help="the demo slide, or other tissue")
    parser.add_argument("--mpp", type=float, default=0.499, help="the picture's µm per pixel (default %(default)s)")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(1)
    try:
        picture = (options.other_tissue, options.mpp) if options.other_tissue else None
        results = measure(options.directory, options.only, picture, options.named)
    except (FileNotFoundError, BadData, CannotCalibrate, WeightsRefused) as error:
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
