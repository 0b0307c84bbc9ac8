"""The reader child on synthetic slides: reads that are too large are assembled from parts."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from slides import write_pyramid

from core.pixels.levels import SlideInfo, Source
from core.pixels.native_pixels import NativePixels, Unusable
from core.pixels.tissue import Kind, unpack
from core.reader.client import Reader
from core.reader.operations import OpenedSlide

MEMORY = 2 << 30


def ramps(height, width):
    """A picture whose pixels encode their place."""
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[..., 0] = (255 * np.arange(height) // height)[:, None]
    picture[..., 1] = 255 * np.arange(width) // width
    return picture


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """72 million pixels in one level."""
    path = tmp_path_factory.mktemp("flat") / "flat.tiff"
    tifffile.imwrite(path, ramps(8000, 9000), tile=(512, 512), compression="zlib", photometric="rgb",
                     resolution=(5e4, 5e4), resolutionunit="CENTIMETER")  # fmt: skip
    return path


@pytest.mark.slow
def test_large_single_level_slide_is_inspected(flat, tmp_path):
    with Reader(flat, 60, MEMORY) as reader:
        answer, _ = reader.call("inspect")
        info = SlideInfo.from_dict(answer["info"])
        assert info.mpp_x == pytest.approx(0.2)
        (tmp_path / "t.jpeg").write_bytes(reader.call("thumbnail", most_px=400)[1])
        pixels = np.asarray(Image.open(tmp_path / "t.jpeg").convert("RGB"), int)
        assert pixels.shape == (356, 400, 3)
        truth = np.asarray(Image.fromarray(ramps(8000, 9000)).resize((400, 356), Image.Resampling.BOX), int)
        assert np.abs(pixels - truth)[..., :2].max() <= 6, "JPEG's error, and no part out of place"
        head, blocks = reader.call("tissue", mpp_x=info.mpp_x, mpp_y=info.mpp_y, scaled=True)
        assert unpack(blocks, tuple(head["shape"])).max() <= Kind.UNSURE


@pytest.fixture(scope="module")
def flat_jpeg(tmp_path_factory):
    """81 million pixels in one level of JPEG tiles, as simple exports are."""
    path = tmp_path_factory.mktemp("flat") / "flat.tiff"
    tifffile.imwrite(path, ramps(9001, 9003), tile=(512, 512), compression="jpeg", photometric="rgb",
                     compressionargs={"level": 95}, resolution=(5e4, 5e4), resolutionunit="CENTIMETER")  # fmt: skip
    return path


@pytest.mark.slow
def test_large_single_level_jpeg_slide_is_inspected(flat_jpeg, tmp_path):
    truth = np.asarray(Image.fromarray(ramps(9001, 9003)).resize((400, 400), Image.Resampling.BOX), int)
    with Reader(flat_jpeg, 60, MEMORY) as reader:
        info = SlideInfo.from_dict(reader.call("inspect")[0]["info"])
        (tmp_path / "t.jpeg").write_bytes(reader.call("thumbnail", most_px=400)[1])
        pixels = np.asarray(Image.open(tmp_path / "t.jpeg").convert("RGB"), int)
        assert np.abs(pixels - truth).max() <= 8
        for mpp in (0.1215, 0.2, 0.2268, 0.2425, 0.243, 0.25):
            head, blocks = reader.call("tissue", mpp_x=mpp, mpp_y=mpp, scaled=True)
            assert unpack(blocks, tuple(head["shape"])).max() <= Kind.UNSURE
        for level in (level for level in info.levels if level.made):
            box = {"width": info.width, "height": info.height, "out": [level.width, level.height]}
            assert reader.call("render", x=0, y=0, **box)[1][:2] == b"\xff\xd8"


@pytest.mark.slow
def test_openslide_fallback_averages_in_strips(flat_jpeg, monkeypatch):
    monkeypatch.setattr("core.reader.operations.MOST_REGION_PX", 300_000)
    slide, box = OpenedSlide(flat_jpeg), (250, 130, 300, 200)
    quarter = Source(0, 4, 4.0, 4.0)
    expected = slide.read(quarter, *box).astype(int)
    monkeypatch.setattr(NativePixels, "read", unusable)
    pixels = slide.read(quarter, *box)
    assert pixels.shape == (200, 300, 3)
    assert np.abs(pixels - expected).max() <= 2, "both decoders average"


def unusable(*_):
    raise Unusable("none of ours")


@pytest.mark.slow
def test_too_large_reads_are_rejected(flat):
    with Reader(flat, 60, MEMORY) as reader, pytest.raises(Exception, match="too many"):
        reader.region(Source(0, 1, 1.0, 1.0), 0, 0, 9000, 8000)


def test_render_of_a_part_shows_that_part(tmp_path):
    path = write_pyramid(tmp_path / "slide.tiff", ramps(900, 1100), 0.5, (2, 4))
    with Reader(path, 60, MEMORY) as reader:
        content = reader.call("render", x=512, y=256, width=256, height=256, out=[128, 128])[1]
        (tmp_path / "part.jpeg").write_bytes(content)
    pixels = np.asarray(Image.open(tmp_path / "part.jpeg").convert("RGB"), int)
    truth = np.asarray(
        Image.fromarray(ramps(900, 1100)[256:512, 512:768]).resize((128, 128), Image.Resampling.BOX), int
    )
    assert np.abs(pixels - truth).max() <= 6
