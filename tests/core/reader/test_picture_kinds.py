"""Each kind of TIFF is the same picture in every tile way and in the analysis, or is refused by name."""

import io

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiff_kinds import PICTURE, RIGHT, TILE, UNSUPPORTED, VIEWED, jpegs, write

from core.errors import SlideUnsupported
from core.pixels.levels import SlideInfo, Source
from core.pixels.native_tiles import restore
from core.reader.operations import OpenedSlide

EDGE_ERROR = 80  # largest difference of one pixel: a missing part differs by more
JPEG_ERROR = 3.5  # mean difference of a pixel that was coded once or twice


def inspected(make, path):
    make(path)
    slide = OpenedSlide(path)
    answer, index = slide.do_inspect()
    return slide, SlideInfo.from_dict(answer["info"]), restore(index)


def picture(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)


def native_tile(path, level, col, row):
    """The tile as the API serves it without decoding; None where it is rendered."""
    span = level.span(col, row)
    if span is None:
        return None
    content = level.splice(path.read_bytes()[span[0] : sum(span)])
    return None if content is None else picture(content)


def views_of(slide, path, levels, col, row):
    """One tile in every way in which the service reads it: (name, its pixels)."""
    box = (col * TILE, row * TILE, TILE, TILE)
    yield (
        "analysis",
        np.frombuffer(slide.do_region(Source(0, 1, 1.0, 1.0).__dict__, *box)[1], np.uint8).reshape(TILE, TILE, 3),
    )
    yield "rendered", picture(slide.do_render(*box, [TILE, TILE])[1])
    native = native_tile(path, levels[0], col, row) if 0 in levels else None
    if native is not None:
        yield "native", native


@pytest.mark.parametrize("name", [*RIGHT, *VIEWED])
def test_tiles_of_every_way_and_the_analysis_show_one_picture(name, tmp_path):
    make, truth = {**RIGHT, **VIEWED}[name]
    truth = truth if truth.ndim == 3 else np.repeat(truth[..., None], 3, 2)
    slide, info, levels = inspected(make, tmp_path / "slide.tiff")
    for col in range(truth.shape[1] // TILE):
        for row in range(truth.shape[0] // TILE):
            expected = truth[row * TILE :, col * TILE :][:TILE, :TILE].astype(int)
            for way, pixels in views_of(slide, tmp_path / "slide.tiff", levels, col, row):
                assert np.abs(pixels - expected).mean() < JPEG_ERROR, (way, col, row)
    size = truth.shape[1], truth.shape[0]
    read = slide.read(Source(0, 1, 1.0, 1.0), 0, 0, *size)
    assert np.abs(read - truth.astype(int)).max() < EDGE_ERROR, "tiles that the edges cut off included"
    zoomed = picture(slide.do_dz(9, 1, 0)[1])
    width = min(256, truth.shape[1] - 253)
    assert np.abs(zoomed[:200, :width] - truth[:200, 253 : 253 + width].astype(int)).mean() < JPEG_ERROR
    assert (info.not_analysable is None) == (name in RIGHT)


@pytest.mark.parametrize("name", VIEWED)
def test_one_channel_is_viewed_and_says_why_it_is_not_analysed(name, tmp_path):
    _, info, _ = inspected(VIEWED[name][0], tmp_path / "slide.tiff")
    assert info.not_analysable["code"] == "not-bright-field"
    assert "not a bright-field H&E image" in info.not_analysable["detail"]
    channels = {"fluorescence": "the first of 3", "five channels": "the first of 5"}.get(name, "one channel")
    assert channels in info.not_analysable["detail"]


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_read_right_is_unsupported_by_name(name, tmp_path):
    make, word = UNSUPPORTED[name]
    with pytest.raises(SlideUnsupported) as refused:
        inspected(make, tmp_path / "slide.tiff")
    assert refused.value.code == "unsupported"
    assert word in refused.value.detail
    assert refused.value.action
    assert set(refused.value.parameters) & {"tag", "compression", "pictures"}


@pytest.mark.parametrize("vendor", ["generic", "aperio"])
@given(orientation=st.integers(0, 9), compression=st.sampled_from(["jpeg", "zlib"]))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_upright_pictures_are_shown(vendor, orientation, compression, tmp_path):
    """The eight orientations, and values that are none: 0 is read as 1 by every reader."""
    more = {"description": "Aperio Image Library v1\r\n420x300 |MPP = 0.5"} if vendor == "aperio" else {}
    path = tmp_path / "slide.tiff"
    write(path, PICTURE, photometric="rgb", compression=compression,
          extratags=[(274, "H", 1, orientation, True)], **more)  # fmt: skip
    slide = OpenedSlide(path)
    if orientation in (0, 1):
        assert slide.do_inspect()[0]["info"]["not_analysable"] is None
        return
    with pytest.raises(SlideUnsupported, match=f"Orientation {orientation}"):
        slide.do_inspect()


@pytest.mark.parametrize("options", [{"keep_rgb": True}, {}], ids=["rgb", "ycbcr"])
@pytest.mark.parametrize("photometric", [2, 6])
def test_tiles_whose_markers_contradict_the_tag_are_rendered(photometric, options, tmp_path):
    """A browser follows the JFIF and Adobe markers, OpenSlide the tag. Rendered tiles agree with the analysis."""
    path = tmp_path / "slide.tiff"
    slide, _, levels = inspected(lambda path: jpegs(path, tags={262: photometric}, **options), path)
    views = dict(views_of(slide, path, levels, 1, 1))
    assert ("native" in views) == (options == {"keep_rgb": True} if photometric == 2 else options == {})
    assert all(np.abs(pixels - views["analysis"].astype(int)).mean() < JPEG_ERROR for pixels in views.values())


def test_several_pictures_of_a_levels_size_are_not_chosen_from(tmp_path):
    """OpenSlide does not say which it reads: the tiles are rendered."""
    with tifffile.TiffWriter(tmp_path / "slide.tiff") as out:
        for number, pixels in enumerate((PICTURE, PICTURE[::-1])):
            out.write(pixels, tile=(TILE, TILE), photometric="rgb", compression="jpeg", metadata=None,
                      subfiletype=1 if number else 0)  # fmt: skip
    assert OpenedSlide(tmp_path / "slide.tiff")._pixels.levels == {}
