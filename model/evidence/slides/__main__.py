"""python -m model.evidence.slides DIR: measures the default network on composed slides, into docs/evidence/slides.json.

DIR holds PCam's files by the plan official. Fields are composed of valid's patches. `--ship` writes the presets into
the card; the weights and their digest stay.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from model.evidence.probes import logits_of
from model.evidence.slides import composed, presets
from model.evidence.slides.detection import Map, count, lesions_of
from model.evidence.slides.lesions import FIELD_MM2, Field, backgrounds, empty, with_lesions
from model.evidence.study.runs import ANSWERS
from model.inference.dense import infer
from model.inference.frozen import Frozen, freeze
from model.inference.memory import keep_freed_memory
from model.train.pcam import BadData, Split, read_split
from model.weights.card import Card, WeightsRefused
from model.weights.checkpoint import DEFAULT_NAME, SHIPPED, load_network, read_card, write_card

SLIDES = ANSWERS / "slides.json"
SIZES = (1, 2, 4, 9, 16, 25, 49, 100, 196, 400)
SHAM_SIZES = (1, 9, 49)
LOGITS = tuple(float(x) for x in np.arange(-3, 10.01, 0.25))  # thresholds of the curve
SEED = 0


def maps_of(
    frozen: Frozen, card: Card, split: Split, sizes: tuple[int, ...], sham: bool = False
) -> dict[int, list[Map]]:
    """The heat maps of all fields, by the size of their lesions in cells; 0: without lesions.

    `sham`: lesions show patches without tumour. What is found of them, chance and seams find.
    """
    rng = np.random.default_rng(SEED)
    normal, tumour = split.patches[split.labels == 0], split.patches[split.labels == (0 if sham else 1)]
    pictures = list(backgrounds(normal, rng))
    if not pictures or not len(tumour):
        raise BadData("too few patches without tumour, or none with it, for one field")

    def map_of(field: Field) -> Map:
        return Map(field, card.calibrate(infer(frozen, field.pixels[None])[0]))

    by_size = {} if sham else {0: [map_of(empty(one, i)) for i, one in enumerate(tqdm(pictures, leave=False))]}
    for cells in sizes:
        numbered = enumerate(tqdm(pictures, desc=f"{cells} cells", leave=False))
        by_size[cells] = [map_of(with_lesions(picture, i, cells, tumour, rng)) for i, picture in numbered]
    return by_size


def curve(by_size: dict[int, list[Map]]) -> dict[str, Any]:
    """The free-response curve: by threshold, the share of lesions found of each size, and the false regions."""
    normal = by_size[0]
    false = count(normal, LOGITS)[1].sum(0) / (len(normal) * FIELD_MM2 / presets.AREA_MM2)
    detected = {
        str(cells): (count(maps, LOGITS)[0].sum(0) / lesions_of(maps).sum()).tolist()
        for cells, maps in by_size.items()
        if cells
    }
    lesions = {str(cells): int(lesions_of(maps).sum()) for cells, maps in by_size.items() if cells}
    return {
        "logits": list(LOGITS),
        "false_regions_per_10_mm2": false.tolist(),
        "detected": detected,
        "lesions": lesions,
    }


def measure(directory: Path, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """All figures, JSON-ready.

    Raises:
        FileNotFoundError, BadData: PCam's files are missing, not in its layout, or too few.
        WeightsRefused: the default network is missing or altered.
    """
    splits = {name: read_split(directory, name) for name in ("valid", "test")}
    network, card = load_network()
    frozen = freeze(network)
    logits = {name: card.calibrate(logits_of(frozen, split.patches)) for name, split in splits.items()}
    by_size = maps_of(frozen, card, splits["valid"], sizes)
    normal, lesions = by_size[0], {cells: maps for cells, maps in by_size.items() if cells}
    sham = maps_of(frozen, card, splits["valid"], SHAM_SIZES, sham=True)
    parts = {cells: composed.parts_of(normal, maps, card.threshold) for cells, maps in lesions.items()}
    chosen = presets.thresholds(splits["valid"].labels, logits["valid"], card.threshold)
    return {
        "weights": card.digest,
        "fields": len(normal),
        "field_mm2": FIELD_MM2,
        "slide_mm2": composed.SLIDE_FIELDS * FIELD_MM2,
        "curve": curve(by_size),
        "presets": {
            name: {
                "threshold": threshold,
                **presets.on_patches(splits["test"], logits["test"], threshold),
                "detected": presets.detected(lesions, threshold),
                "false_regions_per_10_mm2": presets.false_regions(normal, threshold),
                "sham": presets.detected(sham, threshold),
            }
            for name, threshold in chosen.items()
        },
        "scores": composed.compare(parts),
    }


def ship(result: dict[str, Any], name: str = DEFAULT_NAME, directory: Path = SHIPPED) -> None:
    """Writes the presets into the card of the weights that they were measured with."""
    write_card(replace(read_card(name, directory), presets=result["presets"]), directory)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.slides", description="Measure the default network on composed slides."
    )
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files, plan official")
    parser.add_argument("--json", type=Path, default=SLIDES, help="file to write (default %(default)s)")
    parser.add_argument("--ship", action="store_true", help="write the presets into the card")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(1)
    try:
        result = measure(options.directory)
    except (FileNotFoundError, BadData, WeightsRefused) as error:
        print(f"Not measured: {error}.", file=sys.stderr)
        return 2
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.ship:
        ship(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
