"""python -m bench.coarse DIR: how far scores move where a 10× scan is coarser than the network's 0.972 µm per pixel.

PCam's patches (DIR: its HDF5 files) are laid out as one picture. It is averaged to a scan of 1.00 to 1.06 µm per pixel,
and read back through the service's own frame. A real scan is averaged once, by the scanner. This one is averaged twice,
so the figures are an upper bound. `--picture` measures a slide of finer pixels as well, averaged once, without labels.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.pixels.frame import NETWORK_MPP, Frame
from core.pixels.levels import Source
from core.pixels.resample import area_average, spans
from core.pixels.sampling import sample
from model.evidence.evaluate import predict
from model.evidence.machine import machine
from model.inference.frozen import Frozen, freeze
from model.train.metrics import auc
from model.train.pcam import Split, read_split
from model.weights.card import Card
from model.weights.checkpoint import load_network

PATCH_PX = 96
MPPS = (1.0, 1.02, 1.05, 1.06)
HEAD = (
    "| µm per pixel | logits move by (mean) | 95 % by at most | on average | cross a score of 0.5 | AUC |",
    "| --- | --- | --- | --- | --- | --- |",
)
LEAST_COLOUR = 13  # of 255, mean of the largest channel less the smallest: below it a patch is glass
SCAN = Source(0, 1, 1.0, 1.0)
Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]


def mosaic(patches: Pixels) -> Pixels:
    """Patches (n², 96, 96, 3) as one square picture."""
    side = math.isqrt(len(patches))
    rows = patches.reshape(side, side, PATCH_PX, PATCH_PX, 3).swapaxes(1, 2)
    return np.ascontiguousarray(rows.reshape(side * PATCH_PX, side * PATCH_PX, 3))


def cut(picture: Pixels) -> Pixels:
    """The inverse of `mosaic`."""
    side = len(picture) // PATCH_PX
    rows = picture.reshape(side, PATCH_PX, side, PATCH_PX, 3).swapaxes(1, 2)
    return np.ascontiguousarray(rows.reshape(-1, PATCH_PX, PATCH_PX, 3))


def scanned(picture: Pixels, mpp: float, of_picture: float = NETWORK_MPP) -> Pixels:
    """A square picture of `of_picture` µm per pixel as a scanner of `mpp` has it, centred."""
    half = int(len(picture) * of_picture / mpp / 2)
    axis = spans(len(picture) / 2, mpp / of_picture, np.arange(-half, half + 1))
    part = slice(axis.first, axis.first + axis.count)
    return area_average(picture[part, part], axis, axis)


def read_back(scan: Pixels, mpp: float, side: int) -> Pixels:
    """What the network sees of a square scan: the middle (side, side, 3) of its frame."""
    frame = Frame.from_slide(len(scan), len(scan), mpp, mpp)
    corner = (frame.x.size_net_px - side) // 2

    def read(_: Source, x: int, y: int, width: int, height: int) -> Pixels:
        out = np.full((height, width, 3), 255, np.uint8)
        top, left, bottom, right = max(0, y), max(0, x), min(len(scan), y + height), min(len(scan), x + width)
        out[top - y : bottom - y, left - x : right - x] = scan[top:bottom, left:right]
        return out

    return sample(read, [SCAN], frame, (corner, corner), (side, side))


def logits(network: Frozen, card: Card, patches: Pixels) -> Logits:
    """Calibrated logits, (N,)."""
    unlabelled = Split(patches, np.zeros(len(patches), np.uint8), np.full(len(patches), ""))
    return card.calibrate(predict(network, unlabelled))


def row(mpp: float, after: Logits, before: Logits, labels: NDArray[np.uint8] | None = None) -> str:
    """A line of the table."""
    change, crossed = after - before, ((after > 0) != (before > 0)).mean()
    figures = (f"{np.abs(change).mean():.2f}", f"{np.quantile(np.abs(change), 0.95):.2f}", f"{change.mean():+.2f}")
    area = "" if labels is None else f"{auc(labels, after):.3f}"
    return f"| {mpp:.2f} | {' | '.join(figures)} | {crossed:.1%} | {area} |"


def of_patches(network: Frozen, card: Card, split: Split) -> list[str]:
    """The table of labelled patches, averaged twice."""
    before, picture = logits(network, card, split.patches), mosaic(split.patches)
    lines = [f"{len(split)} patches; AUC as they are {auc(split.labels, before):.3f}", *HEAD]
    for mpp in MPPS:
        patches = cut(read_back(scanned(picture, mpp), mpp, len(picture)))
        lines.append(row(mpp, logits(network, card, patches), before, split.labels))
    return lines


def of_picture(network: Frozen, card: Card, path: Path, mpp: float) -> list[str]:
    """The table of a finer slide, averaged by the scan and by the frame. Patches without colour are left out."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    square = pixels[: min(pixels.shape[:2]), : min(pixels.shape[:2])]
    side = int(len(square) * mpp / max(MPPS) / PATCH_PX) * PATCH_PX
    direct = cut(read_back(square, mpp, side))
    coloured = np.ptp(direct.astype(int), axis=-1).mean((1, 2)) > LEAST_COLOUR
    before = logits(network, card, direct[coloured])
    lines = [f"{path.name}: {coloured.sum()} patches", *HEAD]
    for coarse in MPPS:
        patches = cut(read_back(scanned(square, coarse, mpp), coarse, side))[coloured]
        lines.append(row(coarse, logits(network, card, patches), before))
    return lines


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.coarse", description=__doc__)
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files")
    parser.add_argument("--split", default="valid", help="which split (default %(default)s)")
    parser.add_argument("--patches", type=int, default=10_000, help="at most (default %(default)s)")
    parser.add_argument("--picture", type=Path, help="a slide that Pillow reads, finer than the network")
    parser.add_argument("--mpp", type=float, default=0.499, help="the picture's µm per pixel (default %(default)s)")
    options = parser.parse_args(arguments)
    split = read_split(options.directory, options.split)
    count = math.isqrt(min(options.patches, len(split))) ** 2  # a square number, spread over the split
    split = split.take(np.linspace(0, len(split) - 1, count).astype(int))
    network, card = load_network()
    frozen = freeze(network)
    print(f"{card.name}, {machine()}", *of_patches(frozen, card, split), sep="\n")
    if options.picture:
        print("", *of_picture(frozen, card, options.picture, options.mpp), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
