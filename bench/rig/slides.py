"""Synthetic slides of any size from a few H&E-like tiles that repeat."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

TILE_PX = 256
VARIETY = 24
Pixels = NDArray[np.uint8]


def _tissue_tiles() -> list[Pixels]:
    """Tiles of pink ground with violet nuclei and noise, all different."""
    rng, tiles = np.random.default_rng(0), []
    y, x = np.mgrid[:TILE_PX, :TILE_PX]
    for _ in range(VARIETY):
        tile = np.full((TILE_PX, TILE_PX, 3), (224, 160, 200), np.int16)
        for cy, cx, radius in rng.integers((0, 0, 4), (TILE_PX, TILE_PX, 11), (90, 3)):
            tile[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = (105, 65, 150)
        tiles.append((tile + rng.integers(-6, 7, tile.shape)).clip(0, 255).astype(np.uint8))
    return tiles


def _glass_tile() -> Pixels:
    """A bright grey tile: noise that is equal in all colours is no tissue."""
    noise = np.random.default_rng(1).integers(-2, 3, (TILE_PX, TILE_PX, 1))
    return np.broadcast_to(243 + noise, (TILE_PX, TILE_PX, 3)).astype(np.uint8)


def write_slide(path: Path, width: int, height: int, mpp: float = 0.25, downsamples: tuple[int, ...] = (4, 16)) -> Path:
    """Writes a JPEG-tiled pyramid whose left half is tissue; returns its path.

    Every level repeats the same tiles; it is no average of the level above. `width` and `height` in px at level 0.
    """
    tiles, glass = _tissue_tiles(), _glass_tile()
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for factor in (1, *downsamples):
            size = (height // factor, width // factor)
            resolution = (1e4 / (mpp * factor),) * 2
            tiff.write(
                _arrange(tiles, glass, size), shape=(*size, 3), dtype=np.uint8, tile=(TILE_PX, TILE_PX),
                compression="jpeg", compressionargs={"level": 80}, photometric="rgb",
                resolution=resolution, resolutionunit="CENTIMETER", subfiletype=int(factor > 1), metadata=None,
            )  # fmt: skip
    return path


def _arrange(tiles: list[Pixels], glass: Pixels, size: tuple[int, int]) -> Iterator[Pixels]:
    rows, cols = (-(-side // TILE_PX) for side in size)
    for row in range(rows):
        for col in range(cols):
            yield tiles[(7 * row + 3 * col) % VARIETY] if col < cols / 2 else glass
