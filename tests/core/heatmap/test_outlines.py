"""Outlines are valid polygons of exactly their cells, for every mask. Shapely is the judge."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely.validation import explain_validity

from core.heatmap.grid import grid_shape
from core.heatmap.outlines import mended, outlines, polygons, signed_area
from core.heatmap.regions import find_regions
from core.pixels.frame import NETWORK_MPP, Frame


@st.composite
def masks(draw):
    """Arbitrary small masks, and larger ones of several densities, grains and symmetries."""
    if draw(st.booleans()):
        return draw(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    shape, grain = draw(st.tuples(st.integers(1, 40), st.integers(1, 40))), draw(st.integers(1, 4))
    mask = rng.random(shape) < draw(st.sampled_from([0.02, 0.3, 0.5, 0.6, 0.8, 0.97]))
    mask = mask.repeat(grain, 0).repeat(grain, 1)
    ragged = mask ^ (rng.random(mask.shape) < 0.05)
    return draw(st.sampled_from([mask, ragged, mask | mask[::-1], np.pad(~mask, 1)]))


def labelled(mask):
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]


def squares(mask):
    """The union of a mask's unit squares, by shapely alone."""
    rows, cols = np.nonzero(mask)
    return shapely.union_all(shapely.box(cols, rows, cols + 1, rows + 1))


def polygon(rings):
    return shapely.Polygon(rings[0], rings[1:])


def drawn(*lines):
    return np.array([[cell == "#" for cell in line] for line in lines])


def is_valid(shape):
    assert shape.is_valid, explain_validity(shape)


def is_counted_as_rfc_7946_asks(rings):
    assert signed_area(rings[0]) > 0, "counter-clockwise outside"
    assert all(signed_area(ring) < 0 for ring in rings[1:]), "clockwise holes"
    assert all(ring[0] == ring[-1] for ring in rings), "closed"


@given(masks())
def test_each_label_is_one_valid_polygon_of_exactly_its_cells(mask):
    labels = labelled(mask)
    drawings = outlines(labels)
    assert sorted(drawings) == list(range(1, labels.max() + 1))
    for label, rings in drawings.items():
        is_counted_as_rfc_7946_asks(rings)
        is_valid(polygon(rings))
        assert polygon(rings).area == (labels == label).sum()
        assert all(
            (a[0] == b[0]) != (b[0] == c[0])
            for ring in rings
            for a, b, c in zip(ring, ring[1:], ring[2:], strict=False)
        )
    if mask.any():
        together = shapely.MultiPolygon([polygon(rings) for rings in drawings.values()])
        is_valid(together)
        assert together.symmetric_difference(squares(mask)).area == 0


@given(masks(), st.floats(0.1, NETWORK_MPP))
def test_regions_stay_valid_in_level_0_pixels_and_as_qupath_rounds_them(mask, mpp):
    """QuPath stores coordinates as float32, on a grid of 0.01 px."""
    frame = Frame.from_slide(250_000, 200_000, mpp, mpp)
    scores = np.zeros(grid_shape(frame), np.float32)[-41 * 4 :, -41 * 4 :]
    scores[: mask.shape[0], : mask.shape[1]] = mask
    for region in find_regions(scores, 0.5, frame):
        shape = polygon(region.rings)
        is_valid(shape)
        is_counted_as_rfc_7946_asks(region.rings)
        assert shape.area * mpp**2 == pytest.approx(region.area_um2)
        is_valid(polygon([np.round(np.float32(ring), 2).astype(np.float32) for ring in region.rings]))


@pytest.mark.parametrize(
    ("mask", "holes"),
    [
        (drawn(".##", "#.#", "###"), 1),  # a gap that is open at a corner
        (drawn("###", "#.#", "##."), 1),
        (drawn("####", "#.##", "##.#", "####"), 2),  # two holes that touch
        (drawn("#####", "#...#", "#.###", "#.#.#", "#####"), 2),
        (drawn("#.#", "###", "#.#"), 0),
        (drawn("##..", "####", ".#.#", ".###"), 1),
    ],
)
def test_pinches_of_one_region_are_where_rings_meet(mask, holes):
    (rings,) = outlines(labelled(mask)).values()
    is_valid(polygon(rings))
    assert len(rings) == 1 + holes
    assert all(len(set(ring)) == len(ring) - 1 for ring in rings), "no ring passes through a corner twice"


def test_an_island_in_a_hole_is_a_region_of_its_own_though_it_touches_the_corner():
    lake = np.pad(np.zeros((5, 5), bool), 1, constant_values=True)
    lake[3, 3] = lake[3, 4] = lake[1, 1] = True
    island, shore = lake.copy(), lake.copy()
    island[2, 2] = True  # touches the shore's cell (1, 1) at a corner, and the island's at another
    for mask, islands in ((shore, 1), (island, 2)):
        drawings = outlines(labelled(mask))
        assert sorted(len(rings) for rings in drawings.values()) == [*islands * [1], 2]
        assert sum(polygon(rings).area for rings in drawings.values()) == mask.sum()
        for rings in drawings.values():
            is_valid(polygon(rings))


def rings_of_0_2_0(mask):
    """Rings as version 0.1 stored them: at a pinch they turn right, so they may pass through a corner twice."""
    padded, edges = np.pad(mask, 1), {}
    for row, col in np.argwhere(padded):
        for (dy, dx), (x0, y0), (x1, y1) in (
            ((-1, 0), (0, 0), (1, 0)), ((0, 1), (1, 0), (1, 1)), ((1, 0), (1, 1), (0, 1)), ((0, -1), (0, 1), (0, 0)),
        ):  # fmt: skip
            if not padded[row + dy, col + dx]:
                edges.setdefault((col - 1 + x0, row - 1 + y0), []).append((col - 1 + x1, row - 1 + y1))
    rings = []
    for start in sorted(edges):
        while edges[start]:
            ring, heading = [start], (1, 0)
            while len(ring) == 1 or ring[-1] != start:
                here = ring[-1]
                steps = {end: (end[0] - here[0], end[1] - here[1]) for end in edges[here]}
                turn = max(steps, key=lambda end: heading[0] * steps[end][1] - heading[1] * steps[end][0])
                edges[here].remove(turn)
                heading = steps[turn]
                ring.append(turn)
            closed = [*ring, ring[1]]
            corners = [
                b for a, b, c in zip(closed, closed[1:], closed[2:], strict=False) if (a[0] == b[0]) != (b[0] == c[0])
            ]
            rings.append((*corners, corners[0]))
    return sorted(rings, key=lambda ring: -abs(signed_area(ring)))


@given(masks(), st.floats(0.3, 90), st.floats(-1e3, 1e5))
def test_stored_rings_that_touch_themselves_are_mended(mask, scale, origin):
    labels = labelled(mask)
    for label in range(1, min(labels.max(), 20) + 1):
        cells = labels == label
        stored = [
            tuple((float(x) * scale + origin, float(y) * scale - origin) for x, y in ring)
            for ring in rings_of_0_2_0(cells)
        ]
        rings = mended(stored)
        is_valid(polygon(rings))
        is_counted_as_rfc_7946_asks(rings)
        assert polygon(rings).area == pytest.approx(cells.sum() * scale**2)
        assert {point for ring in rings for point in ring} == {point for ring in stored for point in ring}
        assert mended(rings) == rings, "valid rings stay"
        assert len(polygons(stored)) == 1


def test_some_rings_of_0_2_0_are_not_valid():
    """Or the test above would show nothing."""
    (ring,) = rings_of_0_2_0(drawn(".##", "#.#", "###"))
    assert not polygon([ring]).is_valid


@given(masks())
def test_any_area_becomes_a_valid_polygon_for_each_connected_part(mask):
    shapes = [polygon(rings) for rings in polygons(rings_of_0_2_0(mask))]
    assert len(shapes) == labelled(mask).max()
    is_valid(shapely.MultiPolygon(shapes))
    assert sum(shape.area for shape in shapes) == mask.sum()


def test_outlines_of_nothing():
    assert outlines(np.zeros((0, 4), np.int32)) == outlines(np.zeros((3, 4), np.int32)) == {}
    assert mended(()) == ()
    assert polygons(()) == []


@given(st.integers(0, 2**31))
def test_outlines_enclose_exactly_their_cells(seed):
    mask = np.random.default_rng(seed).random((7, 8)) > 0.4
    rings = [ring for several in outlines(labelled(mask)).values() for ring in several]
    areas = [sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(r)) / 2 for r in rings]
    assert abs(sum(areas)) == mask.sum(), "outer rings less their holes"
    assert all(ring[0] == ring[-1] for ring in rings)
