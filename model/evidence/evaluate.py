"""python -m model.evidence.evaluate DIR --split test --json OUT: figures of any weights on PCam's layout.

Intervals are 95 % bootstrap percentiles; where the split's _meta.csv names slide groups, whole groups are resampled.
With `--ship NAME` the weights of a training checkpoint become a shipped checkpoint with its card: the temperature and
the figures of valid come from DIR's valid split, those of test from its test split.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from model.checks import golden
from model.inference.dense import infer
from model.inference.frozen import Frozen, freeze
from model.inference.memory import keep_freed_memory
from model.networks.densenet import DenseNet
from model.train.metrics import bootstrap_auc, fit_temperature, summary, within_group_auc
from model.train.pcam import Split, read_split
from model.weights.checkpoint import DEFAULT_NAME, SHIPPED, load_averaged_network, load_network, save_network

SCOPE = {
    "organ": "lymph node",
    "stain": "H&E",
    "task": "metastatic tumour in the centre 32×32 px of a 96×96 px patch",
    "mpp": 0.972,
    "scanners": ["hamamatsu", "mirax"],
    "species": "human",
}


def predict(network: Frozen, split: Split) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Logits (N,) of a split."""
    starts = range(0, len(split), 64)
    parts = [infer(network, split.patches[i : i + 64])[:, 0, 0] for i in tqdm(starts, unit="batch", leave=False)]
    return np.concatenate(parts)


def figures(split: Split, logits: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, Any]:
    """All figures of one split; `auc` stands at the top."""
    groups = split.slide_groups()
    low, high = bootstrap_auc(split.labels, logits, groups)
    found: dict[str, Any] = {
        **summary(split.labels, logits),
        "auc_interval": [low, high],
        "interval_by": "patch" if groups is None else "slide group",
        "patches": len(split),
        "positive": int(split.labels.sum()),
    }
    if groups is not None:
        found["slide_groups"] = len(np.unique(groups))
        found["auc_within_slide_group"] = within_group_auc(split.labels, logits, groups)
    return found


def ship(
    network: DenseNet, directory: Path, name: str, data: dict[str, Any], into: Path, purpose: str = ""
) -> dict[str, Any]:
    """Write a network's weights with a card: scores are calibrated on valid by one temperature."""
    frozen = freeze(network)
    splits = {split: read_split(directory, split) for split in ("valid", "test")}
    logits = {split: predict(frozen, content) for split, content in splits.items()}
    temperature = fit_temperature(splits["valid"].labels, logits["valid"])
    metrics = {split: figures(content, logits[split] / temperature) for split, content in splits.items()}
    known = {"temperature": temperature, "scope": SCOPE, "data": data, "metrics": metrics}
    save_network(network, name, into, golden=golden.outputs(frozen), purpose=purpose, **known)
    return metrics


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.evaluate", description="Measure a network on PCam's layout."
    )
    parser.add_argument("directory", type=Path, help="folder with camelyonpatch_level_2_split_*_{x,y}.h5")
    parser.add_argument("--split", default="test", choices=["train", "valid", "test"])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--weights", type=Path, help="a training checkpoint (default: the shipped weights)")
    parser.add_argument("--ship", metavar="NAME", help="write --weights as a shipped checkpoint with its card")
    parser.add_argument("--into", type=Path, default=SHIPPED, help="where --ship writes")
    parser.add_argument("--data", default="{}", help="with --ship: JSON that the card keeps as its data")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    keep_freed_memory()
    if options.ship:
        known = json.loads(options.data)
        ship(load_averaged_network(options.weights), options.directory, options.ship, known, options.into)
    if options.weights and not options.ship:
        network, temperature, digest = load_averaged_network(options.weights), 1.0, None
    else:
        network, card = load_network(options.ship or DEFAULT_NAME, options.into)
        temperature, digest = card.temperature, card.digest
    split = read_split(options.directory, options.split)
    found = figures(split, predict(freeze(network), split) / temperature)
    result = {**found, "split": options.split, "weights": digest, "temperature": temperature}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "auc_within_slide_group"}, indent=1))


if __name__ == "__main__":
    main()
