"""The tissue mask: its laws, twenty pictures whose truth is known, and what each rule must not do."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tissue_cases import DRAWN, EVERYWHERE, LEFT, RED, RIGHT, STROMA, Slide, judge, real_cases

from core.pixels.ink import find_ink
from core.pixels.tissue import Kind, all_cells, block_kinds, cell_kinds, cell_mask

VIEWS = range(8)


@functools.cache
def judged(name):
    return judge(DRAWN[name]())


def view(picture, number):
    """One of the eight views of an array (rows, cols, …)."""
    mirrored = picture[:, ::-1] if number >= 4 else picture
    return np.ascontiguousarray(np.rot90(mirrored, number % 4))


@given(st.integers(1, 90), st.integers(1, 160), st.integers(0, 2**31), st.sampled_from(["noise", "slide", "shaded"]))
def test_kinds_turn_with_the_slide(rows, cols, seed, kind):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (rows, cols, 3), dtype=np.uint8)
    if kind != "noise":
        glass = 240 + rng.integers(-4, 5, (rows, cols, 3))
        if kind == "shaded":
            glass = glass + np.linspace(-14, 6, cols)[None, :, None] * rng.random(3)
        blocks = np.where(rng.random((rows, cols, 1)) < 0.7, glass, blocks).astype(np.uint8)
        top, left = rng.integers(0, rows), rng.integers(0, cols)
        blocks[top : top + 20, left : left + 30] = rng.integers(20, 256, 3)
    kinds = block_kinds(blocks)
    for number in VIEWS:
        np.testing.assert_array_equal(block_kinds(view(blocks, number)), view(kinds, number))
        np.testing.assert_array_equal(cell_kinds(view(kinds, number)), view(cell_kinds(kinds), number))


@pytest.mark.parametrize("name", DRAWN)
def test_tissue_of_a_drawn_slide_is_kept(name):
    kinds, recall, _ = judged(name)
    assert recall >= 0.99
    if name == "empty slide, tinted":
        assert not (kinds == Kind.TISSUE).any(), "bare glass is no tissue"


@pytest.mark.parametrize("colour", ["green", "blue", "black", "red"])
def test_pen_is_left_out(colour):
    kinds, _, left_out = judged(f"{colour} pen beside pale tissue")
    assert left_out >= 0.9
    assert (kinds == Kind.INK).sum() > 200


def test_tissue_of_a_real_slide_is_kept(test_data):
    for case in real_cases(test_data):
        assert judge(case)[1] >= 0.99, case.name


@functools.cache
def pale_tissue_alone():
    return judge(Slide().draw(LEFT, STROMA, 0.35).case(""))[0]


@pytest.mark.parametrize("name", [name for name in DRAWN if name.endswith("pen beside pale tissue")])
def test_pen_takes_no_tissue_away(name):
    """The report that this replaces: a stroke raised the one threshold of the slide above pale tissue."""
    alone = pale_tissue_alone()
    with_pen, _, _ = judged(name)
    assert (with_pen[alone == Kind.TISSUE] == Kind.TISSUE).all()


@given(st.integers(0, 2**31))
def test_what_else_lies_on_the_slide_takes_no_tissue_away(seed):
    """No threshold depends on other blocks: a vivid or a black area far away changes nothing where tissue is."""
    rng = np.random.default_rng(seed)
    blocks = np.full((60, 120, 3), (243, 243, 244), np.uint8)
    blocks[10:40, 10:40] = rng.integers((215, 190, 205), (246, 233, 246), (30, 30, 3))
    before = block_kinds(blocks)
    blocks[:, 110:] = rng.integers(0, 256, 3)
    after = block_kinds(blocks)
    assert (after[:, :60] == before[:, :60]).all()


@pytest.mark.parametrize(
    "stain",
    [
        pytest.param((0.65, 0.70, 0.29), id="haematoxylin"),
        pytest.param((0.49, 0.77, 0.41), id="purple haematoxylin"),
        pytest.param((0.07, 0.99, 0.11), id="eosin"),
        pytest.param((0.27, 0.57, 0.78), id="DAB"),
        pytest.param((0.24506, 0.31408, 0.91722), id="yellowish DAB"),
        pytest.param((0.138, 0.378, 0.915), id="golden DAB"),
    ],
)
def test_no_density_of_a_stain_is_ink(stain):
    """Colours by Beer and Lambert from the vectors of Ruifrok and Johnston 2001, up to an optical density of 0.9."""
    densities = np.linspace(0.01, 0.9, 200)[:, None]
    colours = (255 * 10 ** (-densities * np.array(stain))).astype(np.uint8)
    area = np.repeat(np.repeat(colours[:, None], 9, 1)[None], 9, 0).reshape(9, -1, 3)
    channels = np.ascontiguousarray(area.transpose(2, 0, 1))
    assert not find_ink(channels, channels.max(0), channels.min(0)).any()


@pytest.mark.parametrize("fill", [0, 40])
def test_pinkish_glass_is_no_tissue(fill):
    """It is left out and said to be unsure. The tissue on it is kept, also beside white fill."""
    rng = np.random.default_rng(0)
    blocks = (np.array((226, 220, 227)) + rng.integers(0, 2, (100, 120, 3))).astype(np.uint8)
    blocks[:, :fill] = 255
    blocks[30:70, 60:100] = rng.integers((205, 180, 195), (226, 213, 226), (40, 40, 3))
    kinds = block_kinds(blocks)
    assert (kinds[30:70, 60:100] == Kind.TISSUE).all()
    assert not (kinds[:20, 45:] == Kind.TISSUE).any()
    assert (kinds[:20, :fill] == Kind.GLASS).all()


@pytest.mark.parametrize(
    ("pale", "vast"),
    [
        pytest.param((240, 236, 247), (238, 236, 247), id="paper"),
        pytest.param((219, 217, 238), (219, 217, 238), id="mucin"),
        pytest.param((235, 233, 245), (236, 236, 246), id="bluish paper"),
    ],
)
def test_what_covers_more_than_the_glass_is_not_taken_for_it(pale, vast):
    blocks = np.full((80, 200, 3), 243, np.uint8)
    blocks[20:60, 10:50] = pale
    blocks[:, 80:] = vast
    kinds = block_kinds(blocks)
    assert (kinds[20:60, 10:50] == Kind.TISSUE).all()
    assert (kinds[:15, :70] == Kind.GLASS).all()


@pytest.mark.parametrize("colour", [(48, 44, 50), (60, 55, 62), (60, 45, 42)])
def test_pigment_inside_tissue_is_tissue(colour):
    """The carbon mark of a targeted dissection lies in the very node that was positive."""
    blocks = np.full((60, 60, 3), (150, 105, 175), np.uint8)
    rows, cols = np.mgrid[:60, :60]
    blocks[(rows - 30) ** 2 + (cols - 30) ** 2 < 5**2] = colour
    assert (block_kinds(blocks) == Kind.TISSUE).all()


@pytest.mark.parametrize("cast", [(0.75, 0.9, 1.0), (0.85, 1.0, 0.88)])
def test_a_cast_of_the_light_is_no_ink(cast):
    blocks = (np.full((60, 60, 3), 243) * cast).astype(np.uint8)
    assert not (block_kinds(blocks) == Kind.INK).any()


@pytest.mark.parametrize("density", [0.7, 1.0])
def test_fat_alone_is_tissue(density):
    assert judge(Slide().fat(RIGHT, density).case(""))[1] >= 0.99


def test_nothing_but_very_pale_tissue_is_tissue():
    """It varies a little from block to block, as glass does not."""
    rng = np.random.default_rng(0)
    blocks = (np.array((249, 240, 246)) + rng.integers(-2, 3, (80, 80, 1))).astype(np.uint8)
    assert (block_kinds(blocks) == Kind.TISSUE).all()


def test_pale_glass_is_unsure_and_not_tissue():
    """Four to eight grey levels of colour, even and away from tissue: left out, and listed as unsure."""
    blocks = np.full((60, 60, 3), 243, np.uint8)
    blocks[20:40, 20:40] = (243, 237, 243)
    kinds = block_kinds(blocks)
    assert (kinds[20:40, 20:40] == Kind.UNSURE).all()
    assert not (kinds == Kind.TISSUE).any()


def test_grey_tissue_is_kept_by_its_texture():
    rng = np.random.default_rng(0)
    blocks = np.full((60, 60, 3), 243, np.uint8)
    blocks[20:40, 20:40] = rng.integers(205, 236, (20, 20, 1))
    assert (block_kinds(blocks)[22:38, 22:38] == Kind.TISSUE).all()


def test_a_speck_of_black_in_tissue_is_no_ink():
    """Carbon pigment of a node: two blocks of it stay tissue."""
    blocks = np.full((30, 30, 3), (200, 140, 180), np.uint8)
    blocks[10:12, 10:12] = (30, 28, 30)
    assert (block_kinds(blocks) == Kind.TISSUE).all()


def test_cells_take_the_kind_that_matters_most():
    blocks = np.array([[Kind.GLASS, Kind.UNSURE, Kind.INK, Kind.TISSUE]], np.uint8)
    row = [Kind.GLASS, Kind.UNSURE, Kind.INK, Kind.TISSUE, Kind.TISSUE]
    np.testing.assert_array_equal(cell_kinds(blocks), [row, row])
    np.testing.assert_array_equal(cell_mask(blocks == Kind.TISSUE), cell_kinds(blocks) == Kind.TISSUE)
    assert all_cells(blocks == Kind.TISSUE).shape == (2, 5)


def test_pen_over_everything_leaves_no_tissue():
    case = Slide().draw(EVERYWHERE, STROMA).mark(EVERYWHERE, RED, 1).case("")
    kinds, _, left_out = judge(case)
    assert left_out == 1
    assert (kinds != Kind.TISSUE).all()
