"""Finds a slide file's own JPEG tiles and completes them, so that they are served without decoding.

A tiled TIFF stores each JPEG tile as an abbreviated stream; the tables that all tiles share (JPEGTables, tag 347) are
stored once. The tables inserted after a tile's SOI marker make it a complete JPEG. RGB tiles (photometric 2, common in
SVS) do not state their colour space, and a decoder assumes YCbCr; an Adobe APP14 segment with transform 0 states RGB.

TIFF 6.0, TIFF Technical Note 2 (JPEG-in-TIFF), BigTIFF; ITU T.81; Adobe TN 5116.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.formats.tiff import (
    BITS,
    COMPRESSION,
    EXTRA_SAMPLES,
    HEIGHT,
    JPEG,
    JPEG_TABLES,
    ORIENTATION,
    PHOTOMETRIC,
    PLANAR,
    RGB,
    SAMPLE_FORMAT,
    SAMPLES,
    TILE_COUNTS,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    YCBCR,
    Directory,
    Tiff,
)

BLOCK_PX, SHRINKS = 8, (2, 4, 8)  # side of a DCT block, and by what decoders can divide it
MOST_TILE_BYTES = 16 << 20
APP14_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
JFIF, ADOBE, SOS, COMMENT = 0xE0, 0xEE, 0xDA, 0xFE  # second bytes of markers
SHAPES = {0xC0, 0xC1, 0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}  # SOF markers
DECODED = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive with Huffman codes: what browsers decode
# The tags of a picture whose JPEGs are three samples of 8 bits, top left first. Absent: what the tile says counts.
PLAIN = {SAMPLES: {3}, BITS: {8}, PLANAR: {1}, SAMPLE_FORMAT: {1}, ORIENTATION: {0, 1}}
FOREIGN = {COMMENT, *range(0xE1, 0xF0)} - {ADOBE}  # EXIF, XMP, comments: they may contain names (PHI)


@dataclass(frozen=True)
class NativeLevel:
    """A level whose tiles can be served without decoding. `offsets`, `counts`: (tile rows · tile columns,) uint64."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    photometric: int
    tables: bytes
    offsets: NDArray[np.uint64]
    counts: NDArray[np.uint64]

    @property
    def columns(self) -> int:
        return -(-self.width // self.tile_width)

    @property
    def rows(self) -> int:
        return -(-self.height // self.tile_height)

    def span(self, col: int, row: int) -> tuple[int, int] | None:
        """Returns (offset, bytes) of a tile; None for one that is padded at the slide's edge, or not stored."""
        if (col + 1) * self.tile_width > self.width or (row + 1) * self.tile_height > self.height:
            return None
        place = row * self.columns + col
        offset, count = int(self.offsets[place]), int(self.counts[place])
        return (offset, count) if offset and len(SOI) < count <= MOST_TILE_BYTES else None

    def _own(self, stream: bytes) -> bytes | None:
        """Returns the tile without comments and foreign segments, where a scanner may have written names.

        None when its JFIF or Adobe marker contradicts the photometric tag: a decoder would follow the marker. None
        also for a JPEG of four components, 12 bits or another size: browsers show it wrong, or not at all.
        """
        segments = list(segments_of(stream))
        for kind, start, end in segments:
            if kind in SHAPES and not self._is_plain(kind, stream[start + 4 : end]):
                return None
            if kind == ADOBE and stream[start + 4 : start + 9] == b"Adobe":
                if (stream[start + 15 : start + 16] == b"\0") != (self.photometric == RGB):
                    return None
            elif kind == JFIF and self.photometric == RGB:
                return None
        return _without_foreign(stream, segments)

    def _is_plain(self, kind: int, frame: bytes) -> bool:
        """Whether a frame header is of a tile of this level: 8 bits, height, width, components (ITU T.81, B.2.2)."""
        named_rgb = frame[6:15:3] == b"RGB"  # libjpeg takes components of these names for RGB
        return (
            kind in DECODED
            and frame[:6] == struct.pack(">BHHB", 8, self.tile_height, self.tile_width, 3)
            and not (named_rgb and self.photometric != RGB)
        )

    def lies_within(self, size: int) -> bool:
        """Whether every tile ends before the file does. offset + count may overflow uint64, so it is not computed."""
        inside = (self.offsets <= size) & (self.counts <= size)
        return bool(inside.all() and (self.counts <= np.uint64(size) - self.offsets).all())

    def splice(self, stream: bytes) -> bytes | None:
        """Returns a tile's stream as a complete JPEG; None when it is none, or contradicts the photometric tag."""
        own = self._own(stream) if stream[:2] == SOI else None
        if own is None:
            return None
        marker = APP14_RGB if self.photometric == RGB else b""
        return SOI + marker + self.tables[2:-2] + own[2:]


def segments_of(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields (second byte of the marker, start, end) of each segment before the first scan (ITU T.81, annex B)."""
    place = len(SOI)
    while stream[place : place + 1] == b"\xff" and place + 4 <= len(stream) and stream[place + 1] != SOS:
        end = place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
        yield stream[place + 1], place, end
        place = end


def _without_foreign(stream: bytes, segments: list[tuple[int, int, int]]) -> bytes:
    """Returns the stream without comments and foreign segments; cut from the last on, so that places stay valid."""
    for kind, start, end in reversed(segments):
        if kind in FOREIGN:
            stream = stream[:start] + stream[end:]
    return stream


def native_levels(file: BinaryIO) -> list[NativeLevel]:
    """Returns every JPEG-tiled RGB or YCbCr image of a TIFF, in file order; [] for any other file.

    Raises:
        ValueError: a TIFF whose directories are inconsistent or point outside the file.
    """
    try:
        tiff = Tiff(file)
    except (ValueError, struct.error):
        return []
    levels = [_native_level(tiff, entries) for entries in tiff.directories()]
    return [level for level in levels if level is not None]


def _native_level(tiff: Tiff, directory: Directory) -> NativeLevel | None:
    needed = (WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, TILE_WIDTH, TILE_HEIGHT)
    values = [tiff.numbers(directory, tag)[:1] for tag in needed]
    if not all(values):
        return None
    width, height, compression, photometric, tile_width, tile_height = (one for (one,) in values)
    if compression != JPEG or photometric not in (RGB, YCBCR) or not all((tile_width, tile_height)):
        return None
    if EXTRA_SAMPLES in directory or any(set(tiff.numbers(directory, tag)) - only for tag, only in PLAIN.items()):
        return None
    tables = tiff.values(directory[JPEG_TABLES]).astype(np.uint8).tobytes() if JPEG_TABLES in directory else SOI + EOI
    if TILE_OFFSETS not in directory or TILE_COUNTS not in directory:
        return None
    offsets, counts = tiff.values(directory[TILE_OFFSETS]), tiff.values(directory[TILE_COUNTS])
    own = _without_foreign(tables, list(segments_of(tables)))
    level = NativeLevel(width, height, tile_width, tile_height, photometric, own, offsets, counts)
    return level if len(offsets) == len(counts) == level.columns * level.rows else None


def dump(levels: dict[int, NativeLevel]) -> bytes:
    """Returns the index of a slide's native levels, by OpenSlide level, as uncompressed .npz."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, level in levels.items():
        head = [level.width, level.height, level.tile_width, level.tile_height, level.photometric]
        arrays[f"{number}_head"] = np.array(head, np.int64)
        arrays[f"{number}_tables"] = np.frombuffer(level.tables, np.uint8)
        arrays[f"{number}_offsets"], arrays[f"{number}_counts"] = level.offsets, level.counts
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def restore(content: bytes) -> dict[int, NativeLevel]:
    """Reads what `dump` wrote. Raises ValueError for a compressed file, which it never writes: it may be a bomb."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        if any(member.compress_type for member in arrays.zip.infolist()):
            raise ValueError("a compressed tile index")
        numbers = sorted(int(name.split("_")[0]) for name in arrays.files if name.endswith("_head"))
        return {n: _restored(arrays, n) for n in numbers}


def _restored(arrays: Any, n: int) -> NativeLevel:
    width, height, tile_width, tile_height, photometric = (int(value) for value in arrays[f"{n}_head"])
    tables, offsets, counts = arrays[f"{n}_tables"].tobytes(), arrays[f"{n}_offsets"], arrays[f"{n}_counts"]
    return NativeLevel(width, height, tile_width, tile_height, photometric, tables, offsets, counts)
