"""The network frame and its resampling, against their laws."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from core.pixels.frame import COARSEST_MPP, Axis, Frame
from core.pixels.levels import Source
from core.pixels.resample import TICKS, Spans, area_average, covered, spans
from core.pixels.sampling import axis_downsample, axis_spans, sample

lengths = st.integers(1, 5000)
mpps = st.floats(0.08, COARSEST_MPP)
scales = st.one_of(st.sampled_from([0.25, 0.499, 0.5, 0.486, 0.972, 1.0, 1.05]), st.floats(0.24, COARSEST_MPP))


@given(lengths, mpps)
def test_frame_is_centred_and_covers_the_slide(length, mpp):
    axis = Axis(length, mpp)
    n = axis.size_net_px
    assert n % 16 == 0
    assert axis.to_l0(0) <= 1e-3 * axis.scale
    assert axis.to_l0(n) >= length - 1e-3 * axis.scale
    assert axis.to_l0(0) + axis.to_l0(n) == pytest.approx(length)
    assert (n - 16) * axis.scale < length + 1e-3 * axis.scale or n == 16
    assert axis.to_net(axis.to_l0(5.0)) == pytest.approx(5.0)


def test_rounded_tiff_resolution_does_not_resample():
    assert Axis(1152, 0.97200001).scale == 1.0
    assert Axis(1152, 0.97200001).size_net_px == 1152
    assert Axis(4000, 0.2430001).scale == 4.0


def test_slides_coarser_than_the_network_are_rejected():
    with pytest.raises(Invalid, match="made up"):
        Frame.from_slide(100, 100, 1.07, 1.0)
    assert Frame.from_slide(100, 100, 1.06, 1.0).is_coarser_than_network
    assert not Frame.from_slide(100, 100, 0.9725, 0.25).is_coarser_than_network, "read as 0.972"


def from_0(start, step, count):
    """Spans that begin at a source pixel near 0, for tests of one part."""
    return spans(start, step, np.arange(count + 1))


@given(st.floats(-50, 50), st.floats(0.9, 6), st.integers(1, 40))
def test_spans_cover_each_tick_once(start, step, count):
    averages = from_0(start, step, count)
    np.testing.assert_allclose(averages.edges / TICKS, start + step * np.arange(count + 1), atol=(1 + 1e-3) / TICKS)
    first, ticks = covered(averages)
    np.testing.assert_array_equal(ticks.sum(2).reshape(-1)[:count], averages.lengths)
    counts = np.zeros(averages.count + ticks.shape[2], int)
    for place, part in zip(first, ticks.sum(1), strict=True):
        counts[place : place + len(part)] += part
    assert counts.sum() == averages.lengths.sum()
    assert (counts[1 : averages.count - 1] == TICKS).all(), "pixels between the ends are fully covered"
    assert not counts[averages.count :].any()


@given(st.integers(1, 200_000), mpps, st.sampled_from([1, 16]), st.data())
def test_spans_of_a_mirrored_slide_are_mirrored_in_every_part_of_it(length, mpp, pixel_net, data):
    axis = Axis(length, mpp)
    start = data.draw(st.integers(-48, axis.size_net_px))
    count = data.draw(st.integers(1, 600))
    here = axis_spans(axis, start, pixel_net, count, 1.0).edges
    there = axis_spans(axis, axis.size_net_px - start - pixel_net * count, pixel_net, count, 1.0).edges
    np.testing.assert_array_equal(here, TICKS * length - there[::-1])
    np.testing.assert_array_equal(here[1:], axis_spans(axis, start + pixel_net, pixel_net, count - 1, 1.0).edges)


@pytest.mark.parametrize(("height", "width"), [(255, 257), (256, 256), (251, 261), (256, 64)])
def test_the_closest_quotients_are_rounded_rightly(height, width):
    """Sums just below, on and just above every half, for the areas at which float32 is nearest to its end."""
    y, x = Spans(np.array([0, height])), Spans(np.array([0, width]))
    pixels = np.random.default_rng(height).integers(126, 256, (2000, y.count, x.count, 3), dtype=np.uint8)
    for one in pixels:
        averages, sums = area_average(one, y, x), definition(one, y, x)
        np.testing.assert_array_equal(averages, (2 * sums + height * width) // (2 * height * width))


def definition(pixels, y, x):
    """Σ ticks · ticks · grey level, in Python's whole numbers: (rows, cols, 3)."""

    def ticks(period):
        places = range(TICKS * period.first, TICKS * (period.first + period.count), TICKS)
        return [[max(0, min(high, i + TICKS) - max(low, i)) for i in places] for low, high in pairwise(period.edges)]

    return np.einsum("ri,cj,ijk->rck", np.array(ticks(y)), np.array(ticks(x)), pixels.astype(np.int64))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.floats(0.9, 8), st.floats(0.9, 8), st.integers(1, 21), st.integers(1, 21))
def test_averages_are_their_definition_in_whole_numbers(seed, step_y, step_x, rows, cols):
    """Rounded half up, however large the pixels are."""
    y, x = from_0(0.3, step_y, rows), from_0(7.7, step_x, cols)
    pixels = np.random.default_rng(seed).integers(0, 256, (y.count, x.count, 3), dtype=np.uint8)
    areas = np.outer(y.lengths, x.lengths)[..., None]
    np.testing.assert_array_equal(area_average(pixels, y, x), (2 * definition(pixels, y, x) + areas) // (2 * areas))


@settings(deadline=None, max_examples=30)
@given(st.integers(20, 60), st.integers(20, 60), scales, scales, st.integers(0, 7))
def test_resampling_commutes_with_the_eight_views(height, width, mpp_x, mpp_y, view):
    """Also where the pixels are not square, and where they are larger than the network's."""
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)

    def turned(array):
        return np.rot90(array[:, ::-1] if view >= 4 else array, view % 4)

    of_turned = (mpp_x, mpp_y) if view % 2 == 0 else (mpp_y, mpp_x)
    np.testing.assert_array_equal(framed(turned(pixels), *of_turned), turned(framed(pixels, mpp_x, mpp_y)))


def framed(pixels, mpp_x, mpp_y):
    """The whole network frame of a picture."""
    height, width = pixels.shape[:2]
    frame = Frame.from_slide(width, height, mpp_x, mpp_y)

    def read(_level, x, y, w, h):
        out = np.full((h, w, 3), 255, np.uint8)
        top, left, bottom, right = max(0, y), max(0, x), min(height, y + h), min(width, x + w)
        out[top - y : bottom - y, left - x : right - x] = pixels[top:bottom, left:right]
        return out

    shape = (frame.y.size_net_px, frame.x.size_net_px)
    return sample(read, [Source(0, 1, 1.0, 1.0)], frame, (0, 0), shape)


@given(st.floats(1.0, COARSEST_MPP), st.integers(0, 255))
def test_dividing_pixels_adds_no_values(mpp, grey):
    """Upward resampling is an average too: a plane stays plain, and no pixel leaves the range of its sources."""
    pixels = np.full((40, 40, 3), grey, np.uint8)
    inner = framed(pixels, mpp, mpp)[8:-8, 8:-8]
    assert (inner == grey).all()


def test_whole_ratios_are_plain_means():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    ours = area_average(pixels, from_0(0, 2, 4), from_0(0, 2, 6))
    np.testing.assert_array_equal(ours, np.floor(pixels.reshape(4, 2, 6, 2, 3).mean((1, 3)) + 0.5))


@pytest.mark.parametrize(("full", "level", "expected"), [(40001, 10000, 4.0), (40003, 10001, 4.0), (100, 30, 100 / 30)])
def test_downsamples_are_whole_where_scanners_rounded(full, level, expected):
    assert axis_downsample(full, level) == expected
