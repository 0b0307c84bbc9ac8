"""Pixels decoded from a file's own tiles equal OpenSlide's; scaled decoding approximates their averages."""

import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from slides import tissue

from core.pixels.frame import Frame
from core.pixels.levels import Level, SlideInfo, Source, sources_of
from core.pixels.native_pixels import CACHE_BYTES, NativePixels, Unusable, averaged
from core.pixels.native_tiles import native_levels
from core.pixels.sampling import best_source, sample
from core.reader.client import Reader

TILE, SIZE = 128, (500, 700)
MEMORY = 2 << 30


def write(path, stored="ycbcr", mpp=0.25):
    """A JPEG-tiled TIFF that OpenSlide opens, whose last row and column of tiles are cut off."""
    arguments = {"level": 90, **({"outcolorspace": "rgb"} if stored == "rgb" else {})}
    tifffile.imwrite(
        path, tissue(*SIZE, [(120, 200, 130)]), photometric="rgb", tile=(TILE, TILE), compression="jpeg",
        compressionargs=arguments, resolution=(1e4 / mpp, 1e4 / mpp), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


@pytest.fixture(params=["rgb", "ycbcr"])
def file(request, tmp_path):
    """RGB as it is, and YCbCr with a quarter of the colours."""
    return write(tmp_path / "slide.tiff", request.param)


@pytest.fixture
def pixels(file):
    with file.open("rb") as opened:
        yield NativePixels(opened, dict(enumerate(native_levels(opened))))


def by_openslide(path, x, y, width, height):
    with openslide.OpenSlide(path) as slide:
        rgba = np.asarray(slide.read_region((x, y), 0, (width, height)))
    return np.where(rgba[..., 3:] == 255, rgba[..., :3], 255).astype(np.uint8)


@pytest.mark.parametrize("box", [(0, 0, 700, 500), (100, 37, 300, 260), (-40, -60, 200, 100), (600, 450, 300, 200)])
def test_unscaled_pixels_equal_openslide(file, pixels, box):
    np.testing.assert_array_equal(pixels.read(0, 1, *box), by_openslide(file, *box))


@pytest.mark.parametrize("k", [2, 4, 8])
def test_scaled_pixels_approximate_averages(file, pixels, k):
    frame = pixels.read(0, 1, 0, 0, 704, 504)  # white beyond the slide's edge
    shrunk = pixels.read(0, k, 0, 0, 704 // k, 504 // k)
    difference = np.abs(shrunk.astype(int) - averaged(frame, k))
    assert difference.mean() < 1.5
    edge = difference[3 * TILE // k :], difference[:, 5 * TILE // k :]
    assert max(part.max(initial=0) for part in edge) == 0, "tiles that the edge cuts off are averaged themselves"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One file for all examples."""
    with write(tmp_path_factory.mktemp("tiles") / "slide.tiff").open("rb") as opened:
        yield NativePixels(opened, dict(enumerate(native_levels(opened))))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(-50, 200), st.integers(-50, 150), st.integers(1, 120), st.integers(1, 120), st.sampled_from([1, 2, 4])
)
def test_parts_equal_crops_of_the_full_read(shared, x, y, width, height, k):
    frame = shared.read(0, k, -64, -64, 400, 400)
    np.testing.assert_array_equal(shared.read(0, k, x, y, width, height), frame[y + 64 :, x + 64 :][:height, :width])


def spoil(path, how):
    """One tile, the second of the second row, is not what its directory says."""
    with path.open("rb") as opened:
        (level,) = native_levels(opened)
    offset, count = level.span(1, 1)
    content = bytearray(path.read_bytes())
    if how == "garbage":
        content[offset : offset + count] = bytes(count)
    elif how == "cut off":
        content[offset + count // 2 : offset + count] = bytes(count - count // 2)
    else:
        other = level.span(0, 0)
        frame = bytes(content[other[0] : other[0] + other[1]])
        place = frame.index(b"\xff\xc0") + 5
        content[other[0] + place : other[0] + place + 2] = (TILE // 2).to_bytes(2, "big")
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["garbage", "another size"])
def test_invalid_tiles_are_left_to_openslide(tmp_path, how):
    path = write(tmp_path / "slide.tiff")
    spoil(path, how)
    with path.open("rb") as opened:
        pixels = NativePixels(opened, dict(enumerate(native_levels(opened))))
        with pytest.raises(Unusable):
            pixels.read(0, 2, 0, 0, 200, 200)


def test_tile_cache_is_bounded(pixels, monkeypatch):
    monkeypatch.setattr("core.pixels.native_pixels.CACHE_BYTES", 3 * TILE * TILE * 3)
    for _ in range(2):
        np.testing.assert_array_equal(pixels.read(0, 1, 0, 0, 700, 500), pixels.read(0, 1, 0, 0, 700, 500))
    assert pixels._bytes <= 3 * TILE * TILE * 3 < CACHE_BYTES
    assert sum(tile.nbytes for tile in pixels._cache.values()) == pixels._bytes


def test_coarsest_sufficient_source_is_read():
    levels = [Level(9000, 9000, 1.0, 1.0, native=True), Level(2250, 2250, 4.0, 4.0), Level(90, 90, 100.0, 100.0)]
    scaled, exact = sources_of(levels, True), sources_of(levels, False)
    assert best_source(scaled, 3.888) == Source(0, 2, 2.0, 2.0), "at 0.25 µm the 10× level is a little too coarse"
    assert best_source(exact, 3.888) == Source(0, 1, 1.0, 1.0)
    assert best_source(scaled, 4.0) == Source(1, 1, 4.0, 4.0), "a level of the file goes before one like it"
    assert best_source(scaled, 8.0) == Source(0, 8, 8.0, 8.0)
    assert best_source(scaled, 0.5) == Source(0, 1, 1.0, 1.0)
    odd = [Level(9000, 9000, 1.0, 1.0, tile_width=250, native=True)]
    assert sources_of(odd, True) == sources_of(odd, False), "blocks that a tile cuts cannot be shrunk"


@pytest.mark.parametrize("mpp", [0.243, 0.25, 0.499])
def test_scaled_and_exact_reading_nearly_agree(tmp_path, mpp):
    path = write(tmp_path / "slide.tiff", mpp=mpp)
    with Reader(path, 60, MEMORY) as reader:
        info = SlideInfo.from_dict(reader.call("inspect")[0]["info"])
        shape = tuple(axis.size_net_px + 96 for axis in (info.frame().y, info.frame().x))
        exact, scaled = (
            sample(reader.region, info.sources(how), info.frame(), (-48, -48), shape) for how in (False, True)
        )
    difference = np.abs(exact.astype(int) - scaled)
    assert difference.mean() < 1
    assert difference.max() > 0 if mpp < 0.3 else not difference.any(), "shrinking is for missing levels alone"
    assert info.frame() == Frame.from_slide(info.width, info.height, info.mpp_x, info.mpp_y)
