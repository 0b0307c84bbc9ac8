"""python -m bench.coarse DIR: how far scores move where a 10× scan is coarser than the network's 0.972 µm per pixel.

PCam's patches (DIR: its HDF5 files) are laid out as one picture. It is averaged to a scan of 1.00 to 1.06 µm per pixel,
and read back through the service's own frame. A real scan is averaged once, by the scanner. This one is averaged twice,
so the figures are nearer to an upper bound.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.pixels.frame import NETWORK_MPP, Frame
from core.pixels.levels import Source
from core.pixels.resample import area_average, spans
from core.pixels.sampling import sample
from model.evidence.evaluate import predict
from model.evidence.machine import machine
from model.inference.frozen import Frozen, freeze
from model.train.metrics import auc
from model.train.pcam import Split, read_split
from model.weights.checkpoint import load_network

PATCH_PX = 96
MPPS = (1.0, 1.02, 1.05, 1.06)
SCAN = Source(0, 1, 1.0, 1.0)
Pixels = NDArray[np.uint8]


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


def scanned(picture: Pixels, mpp: float) -> Pixels:
    """A picture of the network's scale as a scanner of `mpp` µm per pixel has it, centred."""
    half = int(len(picture) * NETWORK_MPP / mpp / 2)
    axis = spans(len(picture) / 2, mpp / NETWORK_MPP, np.arange(-half, half + 1))
    part = slice(axis.first, axis.first + axis.count)
    return area_average(picture[part, part], axis, axis)


def read_back(scan: Pixels, mpp: float, side: int) -> Pixels:
    """What the network sees of a scan: the frame without its halo, (side, side, 3)."""
    frame = Frame.from_slide(len(scan), len(scan), mpp, mpp)
    assert frame.x.size_net_px == side

    def read(_: Source, x: int, y: int, width: int, height: int) -> Pixels:
        out = np.full((height, width, 3), 255, np.uint8)
        top, left, bottom, right = max(0, y), max(0, x), min(len(scan), y + height), min(len(scan), x + width)
        out[top - y : bottom - y, left - x : right - x] = scan[top:bottom, left:right]
        return out

    return sample(read, [SCAN], frame, (0, 0), (side, side))


def moved(network: Frozen, temperature: float, split: Split, mpp: float, before: NDArray[np.float32]) -> str:
    """A line of the table. `before`: calibrated logits of the patches as they are."""
    picture = mosaic(split.patches)
    patches = cut(read_back(scanned(picture, mpp), mpp, len(picture)))
    after = predict(network, Split(patches, split.labels, split.groups)) / np.float32(temperature)
    change, crossed = after - before, ((after > 0) != (before > 0)).mean()
    figures = (f"{np.abs(change).mean():.2f}", f"{np.quantile(np.abs(change), 0.95):.2f}", f"{change.mean():+.2f}")
    return f"| {mpp:.2f} | {' | '.join(figures)} | {crossed:.1%} | {auc(split.labels, after):.3f} |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.coarse", description=__doc__)
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files")
    parser.add_argument("--split", default="valid", help="which split (default %(default)s)")
    parser.add_argument("--patches", type=int, default=10_000, help="at most (default %(default)s)")
    options = parser.parse_args(arguments)
    split = read_split(options.directory, options.split)
    count = math.isqrt(min(options.patches, len(split))) ** 2  # a square number, spread over the split
    split = split.take(np.linspace(0, len(split) - 1, count).astype(int))
    network, card = load_network()
    frozen = freeze(network)
    before = predict(frozen, split) / np.float32(card.temperature)
    print(
        f"{machine()}\n{card.name}, {count} patches of {options.split}; "
        f"AUC as they are {auc(split.labels, before):.3f}\n"
    )
    print("| µm per pixel | logits move by (mean) | 95 % by at most | on average | cross a score of 0.5 | AUC |")
    print("| --- | --- | --- | --- | --- | --- |")
    for mpp in MPPS:
        print(moved(frozen, card.temperature, split, mpp, before))
    return 0


if __name__ == "__main__":
    sys.exit(main())
