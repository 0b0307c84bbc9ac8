"""Reads pixels from a slide's own JPEG tiles with libjpeg-turbo, at full size or at 1/2, 1/4, 1/8.

Decoded at 1/k (k = 2, 4, 8), each 8×8 block of DCT coefficients becomes (8/k)×(8/k) pixels from its lowest frequencies
(libjpeg's scaled inverse transform). That is the area average of the decoded block but for
rounding and its highest frequencies, at a fraction of the work. A tile that crosses the slide's edge is decoded at full
size and averaged, because its blocks there mix the slide with the file's padding.

At k = 1 the pixels equal OpenSlide's where it does not resample (levels whose downsample is a whole number).
"""

import os
from collections import OrderedDict
from typing import Any, BinaryIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from core.pixels.native_tiles import NativeLevel

Pixels = NDArray[np.uint8]
CACHE_BYTES = 48 << 20
WHITE = 255


class Unusable(ValueError):
    """A tile is missing, damaged, or of another size than its directory states. OpenSlide may still read it."""


def averaged(pixels: Pixels, k: int) -> Pixels:
    """uint8 (k·H, k·W, 3) → (H, W, 3): the mean over k×k, rounded half up, in integers: ⌊(Σ + k²/2) / k²⌋."""
    height, width = (side // k for side in pixels.shape[:2])
    sums = pixels.reshape(height, k, width, k, 3).sum((1, 3), dtype=np.uint32)
    means: Pixels = ((sums + k * k // 2) // (k * k)).astype(np.uint8)
    return means


class NativePixels:
    """The native levels of an open file. Decoded tiles are cached: neighbouring regions share those at their edges."""

    def __init__(self, file: BinaryIO, levels: dict[int, NativeLevel]) -> None:
        self._file, self.levels = file, levels
        self._cache: OrderedDict[tuple[int, int, int, int], Pixels] = OrderedDict()
        self._bytes = 0

    def read(self, number: int, shrink: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Returns uint8 (height, width, 3) from pixel (x, y) of a level shrunk by `shrink`; white outside.

        Raises:
            Unusable: a tile cannot be decoded.
        """
        level = self.levels[number]
        inside = min(x, y) >= 0 and shrink * (x + width) <= level.width and shrink * (y + height) <= level.height
        out = np.empty((height, width, 3), np.uint8) if inside else np.full((height, width, 3), WHITE, np.uint8)
        step_x, step_y = level.tile_width // shrink, level.tile_height // shrink
        for row in range(max(0, y // step_y), min(level.rows, -(-(y + height) // step_y))):
            for col in range(max(0, x // step_x), min(level.columns, -(-(x + width) // step_x))):
                tile = self._tile(number, shrink, col, row)
                _paste(out, tile, col * step_x - x, row * step_y - y)
        return out

    def _tile(self, number: int, shrink: int, col: int, row: int) -> Pixels:
        key = (number, shrink, col, row)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        tile = self._cache[key] = self._decoded(self.levels[number], shrink, col, row)
        self._bytes += tile.nbytes
        while self._bytes > CACHE_BYTES:
            self._bytes -= self._cache.popitem(last=False)[1].nbytes
        return tile

    def _decoded(self, level: NativeLevel, shrink: int, col: int, row: int) -> Pixels:
        place = row * level.columns + col
        stream = level.splice(os.pread(self._file.fileno(), int(level.counts[place]), int(level.offsets[place])))
        inside = (min(level.tile_width, level.width - col * level.tile_width),
                  min(level.tile_height, level.height - row * level.tile_height))  # fmt: skip
        cut_off = inside != (level.tile_width, level.tile_height)
        tile = decoded(stream, level.tile_width, level.tile_height, 1 if cut_off else shrink)
        if not cut_off:
            return tile
        tile = tile.copy()
        tile[inside[1] :], tile[:, inside[0] :] = WHITE, WHITE  # the padding is no part of the slide
        return averaged(tile, shrink) if shrink > 1 else tile


def decoded(stream: bytes | None, width: int, height: int, shrink: int) -> Pixels:
    """Decodes a complete JPEG of this size to uint8 RGB (height // shrink, width // shrink, 3).

    Raises:
        Unusable: no JPEG, damaged, or of another size.
    """
    if stream is None:
        raise Unusable("no tile at this place")
    options: dict[str, Any] = {"min_width": width // shrink, "min_height": height // shrink}
    try:
        if simplejpeg.decode_jpeg_header(stream)[:2] != (height, width):
            raise Unusable("a tile of another size")
        tile: Pixels = simplejpeg.decode_jpeg(stream, "RGB", **(options if shrink > 1 else {}))
    except ValueError as error:
        raise Unusable(str(error)) from error
    if tile.shape != (height // shrink, width // shrink, 3):
        raise Unusable("a tile that cannot be shrunk")
    return tile


def _paste(out: Pixels, tile: Pixels, x: int, y: int) -> None:
    """Copies a tile to (x, y) of an image, clipped to it."""
    left, top = max(0, x), max(0, y)
    right, bottom = min(out.shape[1], x + tile.shape[1]), min(out.shape[0], y + tile.shape[0])
    out[top:bottom, left:right] = tile[top - y : bottom - y, left - x : right - x]
