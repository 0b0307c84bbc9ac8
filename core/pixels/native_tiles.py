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

WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC = 256, 257, 259, 262
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, JPEG_TABLES = 322, 323, 324, 325, 347
JPEG, RGB, YCBCR = 7, 2, 6
BLOCK_PX, SHRINKS = 8, (2, 4, 8)  # side of a DCT block, and by what decoders can divide it
MOST_TILE_BYTES = 16 << 20
MOST_DIRECTORIES, MOST_ENTRIES, MOST_TILES = 200, 500, 20_000_000
FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
APP14_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
JFIF, ADOBE, SOS, COMMENT = 0xE0, 0xEE, 0xDA, 0xFE  # second bytes of markers
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

        None when its JFIF or Adobe marker contradicts the photometric tag: a decoder would follow the marker.
        """
        segments = list(_segments(stream))
        for kind, start, _ in segments:
            if kind == ADOBE and stream[start + 4 : start + 9] == b"Adobe":
                if (stream[start + 15 : start + 16] == b"\0") != (self.photometric == RGB):
                    return None
            elif kind == JFIF and self.photometric == RGB:
                return None
        return _without_foreign(stream, segments)

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


def _segments(stream: bytes) -> Iterator[tuple[int, int, int]]:
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


class _Tiff:
    """The part of TIFF 6.0 and BigTIFF that this needs. Every read is checked against the file's size."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, file.seek(0, io.SEEK_END)
        head = self.read(0, 16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = struct.unpack(self.order + "H", head[2:4])[0] if self.order else 0
        if version not in (42, 43):
            raise ValueError("not a TIFF file")
        self.big = version == 43
        self.first = struct.unpack(self.order + ("Q" if self.big else "I"), head[8:16] if self.big else head[4:8])[0]

    def read(self, offset: int, count: int) -> bytes:
        if offset < 0 or count < 0 or offset + count > self.size:
            raise ValueError("a TIFF directory points outside the file")
        self.file.seek(offset)
        return self.file.read(count)

    def directories(self) -> list[dict[int, tuple[int, int, bytes, int]]]:
        """Returns each directory's entries: tag → (type, count, inline value, offset of the value).

        A hostile file may link its directories in a circle; each is read once.
        """
        directories: list[dict[int, tuple[int, int, bytes, int]]] = []
        visited, offset = set[int](), self.first
        while offset and offset not in visited and len(directories) < MOST_DIRECTORIES:
            visited.add(offset)
            entries, offset = self._directory(offset)
            directories.append(entries)
        return directories

    def _directory(self, offset: int) -> tuple[dict[int, tuple[int, int, bytes, int]], int]:
        count_format, entry_size, inline = ("Q", 20, 8) if self.big else ("H", 12, 4)
        size = struct.calcsize(count_format)
        (count,) = struct.unpack(self.order + count_format, self.read(offset, size))
        if count > MOST_ENTRIES:
            raise ValueError("a TIFF directory has too many entries")
        table = self.read(offset + size, count * entry_size + inline)
        entries = {}
        for i in range(count):
            raw = table[i * entry_size : (i + 1) * entry_size]
            tag, kind, values = struct.unpack(self.order + ("HHQ" if self.big else "HHI"), raw[:-inline])
            place = struct.unpack(self.order + ("Q" if self.big else "I"), raw[-inline:])[0]
            entries[tag] = (kind, values, raw[-inline:], place)
        return entries, struct.unpack(self.order + ("Q" if self.big else "I"), table[-inline:])[0]

    def values(self, entry: tuple[int, int, bytes, int]) -> NDArray[np.uint64]:
        kind, count, inline, place = entry
        if kind not in FORMATS or count > MOST_TILES:
            raise ValueError("a TIFF entry has a type or size that cannot be used")
        dtype = np.dtype(self.order + {"B": "u1", "H": "u2", "I": "u4", "Q": "u8"}[FORMATS[kind]])
        length = count * dtype.itemsize
        raw = inline[:length] if length <= len(inline) else self.read(place, length)
        return np.frombuffer(raw, dtype).astype(np.uint64)


def native_levels(file: BinaryIO) -> list[NativeLevel]:
    """Returns every JPEG-tiled RGB or YCbCr image of a TIFF, in file order; [] for any other file.

    Raises:
        ValueError: a TIFF whose directories are inconsistent or point outside the file.
    """
    try:
        tiff = _Tiff(file)
    except (ValueError, struct.error):
        return []
    levels = [_native_level(tiff, entries) for entries in tiff.directories()]
    return [level for level in levels if level is not None]


def _native_level(tiff: _Tiff, entries: dict[int, tuple[int, int, bytes, int]]) -> NativeLevel | None:
    needed = (WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS)
    if not all(tag in entries for tag in needed):
        return None
    width, height, compression, photometric, tile_width, tile_height = (
        int(tiff.values(entries[tag])[0]) for tag in needed[:6]
    )
    if compression != JPEG or photometric not in (RGB, YCBCR) or not all((tile_width, tile_height)):
        return None
    tables = tiff.values(entries[JPEG_TABLES]).astype(np.uint8).tobytes() if JPEG_TABLES in entries else SOI + EOI
    offsets, counts = tiff.values(entries[TILE_OFFSETS]), tiff.values(entries[TILE_COUNTS])
    own = _without_foreign(tables, list(_segments(tables)))
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
