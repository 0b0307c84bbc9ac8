"""python -m model.evidence.evaluate DIR --split test --json OUT: figures of any weights on PCam's HDF5 files.

Intervals are 95 % bootstrap percentiles; whole slide groups are resampled, or clusters of overlapping patches, where
the split's _meta.csv names them. `--ship NAME` writes the weights of a training checkpoint as a shipped checkpoint with
its card. Its calibration (temperature and bias) is fitted on DIR's valid split; its figures are of the valid and the
test split.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from model.checks import golden
from model.inference.dense import infer
from model.inference.frozen import Frozen, freeze
from model.inference.memory import keep_freed_memory
from model.networks.densenet import DenseNet
from model.networks.registry import SYSTEMS, get_system
from model.train.metrics import (
    CannotCalibrate,
    bootstrap,
    calibration_error,
    calibration_slope,
    fit_calibration,
    summary,
    within_group_auc,
)
from model.train.pcam import BadData, Split, read_split
from model.train.plans import PLANS, read_plan
from model.weights.card import Card, WeightsRefused
from model.weights.checkpoint import (
    DEFAULT_NAME,
    SHIPPED,
    load_network,
    load_trained_network,
    save_network,
)

SCOPE = {
    "organ": "lymph node",
    "stain": "H&E",
    "task": "metastatic tumour in the centre 32×32 px of a 96×96 px patch",
    "mpp": 0.972,
    "scanners": ["hamamatsu", "mirax"],
    "species": "human",
}


def predict(network: Frozen, split: Split) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A network's logits of a split, (N,) float32."""
    starts = range(0, len(split), 64)
    parts = [infer(network, split.patches[i : i + 64])[:, 0, 0] for i in tqdm(starts, unit="batch", leave=False)]
    return np.concatenate(parts)


def figures(split: Split, logits: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, Any]:
    """All figures of one split from its logits (N,), JSON-ready; `auc` comes first.

    `…_interval`: of AUC, accuracy, NLL and Brier score.

    Calibration error and slope are those of the logits as they come.
    """
    units, kind = split.units()
    intervals = bootstrap(split.labels, logits, units, summary)
    slope, intercept = calibration_slope(split.labels, logits)
    result: dict[str, Any] = {
        **summary(split.labels, logits),
        **{f"{name}_interval": interval for name, interval in intervals.items()},
        "interval_by": kind,
        "calibration_error": calibration_error(split.labels, logits),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "patches": len(split),
        "positive": int(split.labels.sum()),
    }
    groups = split.slide_groups()
    if groups is not None:
        result["slide_groups"] = len(np.unique(groups))
        result["auc_within_slide_group"] = within_group_auc(split.labels, logits, groups)
    return result


def ship(
    network: DenseNet, directory: Path, name: str, data: dict[str, Any], into: Path, purpose: str = ""
) -> dict[str, Any]:
    """Writes a network's weights and card into a folder and returns the figures by split.

    Scores are calibrated by a temperature and a bias, fitted on valid. `data`: what the card says of the training.

    Raises:
        FileNotFoundError, BadData: PCam's files are missing or not in its layout.
        CannotCalibrate: the network's logits do not rise with valid's labels, or separate them.
    """
    frozen = freeze(network)
    splits = {split: read_split(directory, split) for split in ("valid", "test")}
    logits = {split: predict(frozen, content) for split, content in splits.items()}
    temperature, bias = fit_calibration(splits["valid"].labels, logits["valid"])
    calibration = Card(name, "", {}, temperature=temperature, bias=bias)
    metrics = {split: figures(content, calibration.calibrate(logits[split])) for split, content in splits.items()}
    fields = {"temperature": temperature, "bias": bias, "scope": SCOPE, "data": data, "metrics": metrics}
    save_network(network, name, into, golden=golden.outputs(frozen), purpose=purpose, **fields)
    return metrics


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.evaluate", description="Measure a network on PCam's HDF5 files."
    )
    parser.add_argument("directory", type=Path, help="folder with camelyonpatch_level_2_split_*_{x,y}.h5")
    parser.add_argument("--split", default="test", choices=["train", "valid", "test"], help="default %(default)s")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--weights", type=Path, help="checkpoint.pt or NAME.safetensors (default: the shipped weights)")
    parser.add_argument(
        "--network", choices=SYSTEMS, default=DEFAULT_NAME, help="architecture of NAME.safetensors (%(default)s)"
    )
    parser.add_argument("--plan", choices=PLANS, help="check that the meta files fit this plan")
    parser.add_argument("--ship", metavar="NAME", help="write --weights as a shipped checkpoint with its card")
    parser.add_argument("--into", type=Path, default=SHIPPED, help="folder that --ship writes to (default %(default)s)")
    parser.add_argument("--data", default="{}", help="with --ship: JSON for the card's data")
    options = parser.parse_args(arguments)
    if options.ship and not options.weights:
        parser.error("--ship needs --weights, the checkpoint to ship")
    return options


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Ships the weights where the options say so, and measures them on one split.

    Raises:
        FileNotFoundError, BadData: PCam's files are missing, not in its layout, or contradict the plan.
        WeightsRefused: the weights are missing, altered, or no checkpoint.
        CannotCalibrate: the weights to ship do not tell valid's labels apart, or do so completely.
    """
    splits = read_plan(options.directory, options.plan) if options.plan else {}
    config = get_system(options.network).config
    if options.ship:
        network = load_trained_network(options.weights, config)[0]
        ship(network, options.directory, options.ship, json.loads(options.data), options.into)
    if options.weights and not options.ship:
        network, card = load_trained_network(options.weights, config)
    else:
        network, card = load_network(options.ship or DEFAULT_NAME, options.into)
    split = splits[options.split] if splits else read_split(options.directory, options.split)
    logits = predict(freeze(network), split)
    about = {"split": options.split, "weights": card.digest if card else None}
    if card is None:
        return {**figures(split, logits), **about, "temperature": 1.0, "bias": 0.0}
    return {**figures(split, card.calibrate(logits)), **about, "temperature": card.temperature, "bias": card.bias}


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    keep_freed_memory()
    try:
        result = evaluate(options)
    except (FileNotFoundError, BadData, CannotCalibrate, WeightsRefused) as error:
        print(f"Not measured: {error}.", file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "auc_within_slide_group"}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
