"""Native tiles: spliced JPEG decodes to the same pixels, and false offsets are rejected."""

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from slides import tissue

from core.pixels import native_tiles
from core.pixels.native_tiles import APP14_RGB, SOI, NativeLevel, dump, native_levels, restore

TILE = 128


@pytest.fixture(params=[("rgb", True), ("rgb", False), ("ycbcr", False)], ids=["rgb-bigtiff", "rgb", "ycbcr"])
def jpeg_tiff(request, tmp_path):
    """A JPEG-tiled TIFF and its pixels as its own decoder sees them."""
    photometric, big = request.param
    pixels = tissue(500, 700, [(120, 200, 130)])
    path = tmp_path / "slide.tiff"
    options = {"tile": (TILE, TILE), "compression": "jpeg", "compressionargs": {"level": 95}, "bigtiff": big}
    if photometric == "rgb":
        options["compressionargs"]["outcolorspace"] = "rgb"
    tifffile.imwrite(path, pixels, photometric=photometric, **options)
    return path, tifffile.imread(path)


def test_spliced_tile_decodes_to_the_original_pixels(jpeg_tiff):
    path, pixels = jpeg_tiff
    with path.open("rb") as file:
        (level,) = native_levels(file)
        assert (level.width, level.height, level.tile_width) == (700, 500, TILE)
        for col, row in ((0, 0), (2, 1), (4, 2)):
            offset, count = level.span(col, row)
            file.seek(offset)
            decoded = np.asarray(Image.open(io.BytesIO(level.splice(file.read(count)))).convert("RGB"), int)
            truth = pixels[row * TILE : (row + 1) * TILE, col * TILE : (col + 1) * TILE].astype(int)
            assert np.abs(decoded - truth).max() <= 3, "one build of libjpeg against another"
        assert level.span(5, 0) is None, "the last column is cut off by the image's edge"
        assert level.lies_within(path.stat().st_size)
        assert not level.lies_within(path.stat().st_size // 2)


def segment(kind, content):
    return bytes([0xFF, kind]) + (len(content) + 2).to_bytes(2, "big") + content


@pytest.mark.parametrize("kind", [0xFE, 0xE1, 0xED, 0xEF], ids=["comment", "exif", "iptc", "app15"])
def test_tile_metadata_is_stripped(jpeg_tiff, kind):
    """In a tile and in the tables of all tiles."""
    path, _ = jpeg_tiff
    with path.open("rb") as file:
        (level,) = native_levels(file)
        offset, count = level.span(1, 1)
        file.seek(offset)
        stream = file.read(count)
    planted = segment(kind, b"Patient = DOE^JOHN")
    for stuffed in (SOI + planted + stream[2:], SOI + planted + planted + stream[2:]):
        assert level.splice(stuffed) == level.splice(stream)
    tables = SOI + planted + level.tables[2:]
    assert native_tiles._without_foreign(tables, list(native_tiles.segments_of(tables))) == level.tables


def test_tile_index_survives_storage(jpeg_tiff):
    with jpeg_tiff[0].open("rb") as file:
        (level,) = native_levels(file)
    (restored,) = restore(dump({0: level})).values()
    assert (restored.width, restored.photometric, restored.tables) == (level.width, level.photometric, level.tables)
    np.testing.assert_array_equal(restored.offsets, level.offsets)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_tile_offsets_outside_the_file_are_rejected(offset, count, size):
    one = np.array([offset], np.uint64), np.array([count], np.uint64)
    assert NativeLevel(1, 1, 1, 1, 2, b"", *one).lies_within(size) == (offset + count <= size)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_parse_or_raise_value_error(noise):
    for head in (b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0"):
        try:
            native_levels(io.BytesIO(head + noise))
        except ValueError:
            continue


def test_tiles_with_other_colour_markers_are_not_native():
    """A decoder believes JFIF and Adobe markers; OpenSlide believes the directory."""
    plain, jfif = b"\xff\xd8\xff\xdb\x00\x04ab\xff\xda", b"\xff\xd8\xff\xe0\x00\x04ab\xff\xda"
    adobe = [SOI + APP14_RGB[:-1] + bytes([transform]) + b"\xff\xda" for transform in (0, 1)]
    nothing = np.array([0], np.uint64)
    rgb, ycbcr = (NativeLevel(8, 8, 8, 8, kind, b"\xff\xd8\xff\xd9", nothing, nothing) for kind in (2, 6))
    assert [bool(rgb.splice(tile)) for tile in (plain, jfif, *adobe)] == [True, False, True, False]
    assert [bool(ycbcr.splice(tile)) for tile in (plain, jfif, *adobe)] == [True, True, False, True]
