"""Reads the directories of a TIFF or BigTIFF, each read checked against the file's size. TIFF 6.0, BigTIFF."""

import io
import struct
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES = 254, 256, 257, 258, 259, 262, 274, 277
PLANAR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA_SAMPLES = 284, 322, 323, 324, 325, 338
SAMPLE_FORMAT, JPEG_TABLES = 339, 347
JPEG, RGB, YCBCR = 7, 2, 6
MOST_DIRECTORIES, MOST_ENTRIES, MOST_VALUES = 200, 500, 20_000_000
FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
Entry = tuple[int, int, bytes, int]  # type, count, inline value, offset of the value
Directory = dict[int, Entry]  # by tag


class Tiff:
    """An open TIFF.

    Raises (on all methods):
        ValueError, struct.error: the file is no TIFF, or a directory points outside of it.
    """

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

    def directories(self) -> list[Directory]:
        """Returns the directories in file order. A hostile file may link them in a circle; each is read once."""
        directories: list[Directory] = []
        visited, offset = set[int](), self.first
        while offset and offset not in visited and len(directories) < MOST_DIRECTORIES:
            visited.add(offset)
            entries, offset = self._directory(offset)
            directories.append(entries)
        return directories

    def _directory(self, offset: int) -> tuple[Directory, int]:
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

    def values(self, entry: Entry) -> NDArray[np.uint64]:
        kind, count, inline, place = entry
        if kind not in FORMATS or count > MOST_VALUES:
            raise ValueError("a TIFF entry has a type or size that cannot be used")
        dtype = np.dtype(self.order + {"B": "u1", "H": "u2", "I": "u4", "Q": "u8"}[FORMATS[kind]])
        length = count * dtype.itemsize
        raw = inline[:length] if length <= len(inline) else self.read(place, length)
        return np.frombuffer(raw, dtype).astype(np.uint64)

    def numbers(self, directory: Directory, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Returns the values of a tag, or what the standard supposes of a directory without it."""
        return tuple(self.values(directory[tag]).tolist()) if tag in directory else default
