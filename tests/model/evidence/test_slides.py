"""Composed slides: fields show what they say they show, and detection counts as an analysis does."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.heatmap import regions as analysis
from core.pixels.levels import Level, SlideInfo
from model.evidence.report import slides as section
from model.evidence.slides import __main__ as command
from model.evidence.slides import composed, detection, lesions, presets
from model.evidence.slides.detection import Map
from model.evidence.slides.lesions import FIELD_CELLS, LABEL_PX, REACH_CELLS, STRIDE_PX, disc, empty, with_lesions
from model.inference.dense import infer
from model.inference.frozen import freeze
from model.networks.registry import get_system
from model.train.metrics import auc
from model.train.pcam import Split
from model.weights.card import WeightsRefused
from model.weights.checkpoint import read_card, write_card

NORMAL, TUMOUR = 60, 200  # grey values
SIDE = lesions.FIELD_PATCHES * 96


def patches(count, value):
    return np.full((count, 96, 96, 3), value, np.uint8)


def field(cells, seed=0):
    background = np.full((SIDE, SIDE, 3), NORMAL, np.uint8)
    return with_lesions(background, 0, cells, patches(3, TUMOUR), np.random.default_rng(seed))


@pytest.mark.parametrize("cells", [1, 2, 4, 9, 25, 400])
def test_a_disc_is_as_many_cells_as_near_as_can_be(cells):
    offsets = disc(cells)
    assert len({tuple(offset) for offset in offsets}) == cells
    assert tuple(offsets[0]) == (0, 0)
    radius = (offsets**2).sum(1)
    reach = int(np.sqrt(cells)) + 1
    every = [r * r + c * c for r in range(-reach, reach + 1) for c in range(-reach, reach + 1)]
    assert sorted(radius) == sorted(every)[:cells]


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([1, 2, 4, 9, 16, 49, 100, 400]), st.integers(0, 1000))
def test_a_field_shows_tumour_where_the_labels_of_its_lesions_look_and_nowhere_else(cells, seed):
    composition = field(cells, seed)
    assert composition.lesions.max() >= 1
    counts = np.bincount(composition.lesions.ravel())[1:]
    assert set(counts) == {cells}, "each lesion has its size"
    expected = np.full((SIDE, SIDE), NORMAL, np.uint8)
    for row, col in np.argwhere(composition.lesions > 0) * STRIDE_PX + (96 - LABEL_PX) // 2:
        expected[row : row + LABEL_PX, col : col + LABEL_PX] = TUMOUR
    np.testing.assert_array_equal(composition.pixels[..., 0], expected)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([1, 4, 16, 49]), st.integers(0, 1000))
def test_lesions_are_so_far_apart_that_no_patch_shows_two(cells, seed):
    numbers = field(cells, seed).lesions
    places = {n: np.argwhere(numbers == n) for n in range(1, numbers.max() + 1)}
    for a in places:
        for b in range(1, a):
            apart = np.abs(places[a][:, None] - places[b][None]).max(2)
            assert apart.min() > 2 * REACH_CELLS


def test_a_lesion_of_one_cell_is_the_centre_of_one_patch():
    tumour = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3)).astype(np.uint8)
    background = np.zeros((SIDE, SIDE, 3), np.uint8)
    composition = with_lesions(background, 0, 1, tumour, np.random.default_rng(0))
    row, col = np.argwhere(composition.lesions == 1)[0] * STRIDE_PX + 32
    pixels, centre = composition.pixels[row : row + 32, col : col + 32], tumour[0, 32:64, 32:64]
    views = [np.rot90(flipped, k) for flipped in (centre, centre[:, ::-1]) for k in range(4)]
    assert any((pixels == view).all() for view in views)


def test_backgrounds_use_no_patch_twice():
    numbered = np.zeros((2 * lesions.FIELD_PATCHES**2 + 5, 96, 96, 3), np.uint8)
    numbered[..., 0] = np.arange(len(numbered))[:, None, None]
    used = [np.unique(picture[..., 0]) for picture in lesions.backgrounds(numbered, np.random.default_rng(0))]
    assert [len(one) for one in used] == [64, 64]
    assert not set(used[0]) & set(used[1])


def test_a_cell_of_the_map_is_the_cell_of_the_field():
    """The network's output grid is the one on which lesions are placed: a lesion moves the cells around it alone."""
    torch.manual_seed(0)
    network = freeze(get_system("p4m-densenet").build(n0=8, growth=6).eval())
    background = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    composition = with_lesions(background, 0, 4, patches(1, 255), np.random.default_rng(3))
    before, after = (infer(network, picture[None])[0] for picture in (background, composition.pixels))
    assert before.shape == composition.lesions.shape == (FIELD_CELLS, FIELD_CELLS)
    moved = np.argwhere(before != after)
    around = np.zeros(before.shape, bool)
    for number in range(1, composition.lesions.max() + 1):
        around[lesions.surroundings(np.argwhere(composition.lesions == number), REACH_CELLS - 1, before.shape)] = True
    assert around[tuple(moved.T)].all()
    assert (before != after)[composition.lesions > 0].all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 0.8))
def test_regions_are_those_of_an_analysis(seed, threshold):
    scores = np.random.default_rng(seed).random((12, 15)).astype(np.float32)
    logits = np.log(scores.astype(np.float64) / (1 - scores)).astype(np.float32)
    labels = detection.regions(logits, float(np.log(threshold / (1 - threshold))))
    sizes = sorted(np.bincount(labels.ravel())[1:][np.bincount(labels.ravel())[1:] > 0])
    detected = analysis.find_regions(scores, threshold, frame_of(15, 12))
    assert sizes == sorted(region.cells for region in detected)
    assert detection.MIN_CELLS == analysis.MIN_CELLS


def frame_of(cols, rows):
    width, height = cols * 16 - 8, rows * 16 - 8
    return SlideInfo("x", width, height, [Level(width, height, 1.0, 1.0)], 0.972, 0.972, "file").frame()


def map_of(scores, numbers, background=0):
    logits = np.log(scores / (1 - scores)).astype(np.float32)
    return Map(lesions.Field(np.zeros((1, 1, 3), np.uint8), numbers, background), logits)


def test_a_lesion_is_found_by_a_region_on_it_or_beside_it_and_other_regions_are_false():
    scores, numbers = np.full((20, 20), 0.1), np.zeros((20, 20), np.int64)
    numbers[3, 3], numbers[3, 15], numbers[15, 3] = 1, 2, 3
    scores[4, 4:6] = 0.9  # beside the first, by its corner
    scores[3, 15] = 0.9  # on the second, but one cell is no region
    scores[12, 3:5] = 0.9  # three cells from the third: false
    scores[12, 12:14] = 0.6
    one = map_of(scores, numbers)
    assert detection.detect(one, 0.0) == (1, 2)
    assert detection.detect(one, 1.0) == (1, 1), "0.6 is below it"
    assert detection.detect(one, 9.0) == (0, 0)
    detected, false = detection.count([one, one], [0.0, 9.0])
    assert (detected.tolist(), false.tolist()) == ([[1, 0], [1, 0]], [[2, 0], [2, 0]])


def test_a_share_and_its_interval_are_of_all_fields_together():
    share = detection.share_interval(np.array([0, 10]), np.array([5, 15]))
    assert share["value"] == 0.5
    assert share["interval"][0] == 0
    assert share["interval"][1] == pytest.approx(10 / 15)


def test_presets_reach_what_they_promise_on_the_patches_that_chose_them():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    logits = (rng.normal(size=4000) * 2 + 3 * labels - 1.5).astype(np.float32)
    chosen = presets.thresholds(labels, logits, 0.5)
    assert chosen["screening"] < chosen["default"] < chosen["specific"]
    split = Split(patches(1, 0), labels.astype(np.uint8), np.full(4000, ""))
    for name, figure, least in (("screening", "sensitivity", 0.95), ("specific", "specificity", 0.99)):
        measured = presets.on_patches(split, logits, chosen[name])
        assert measured[figure] >= least
        assert measured[f"{figure}_interval"][0] <= measured[figure] <= measured[f"{figure}_interval"][1]
        assert round(chosen[name], 4) == chosen[name], "a number that people can set"


def parts(background_peaks, areas, lesion_peak, lesion_area):
    count = len(background_peaks)
    return composed.Parts(
        np.array(background_peaks), np.array(areas), np.repeat(np.arange(count), 3),
        np.full(3 * count, lesion_peak), np.full(3 * count, float(lesion_area)),
    )  # fmt: skip


def test_composed_slides_have_the_peak_of_the_highest_field_and_the_area_of_all():
    rng = np.random.default_rng(0)
    composition = parts([0.2, 0.2], [10.0, 10.0], 0.9, 4)
    without, with_ = composed.compose(composition, 0, 5, rng), composed.compose(composition, 7, 5, rng)
    assert without.tolist() == [[0.2, 10.0 * composed.SLIDE_FIELDS]] * 5
    assert with_.tolist() == [[0.9, 10.0 * composed.SLIDE_FIELDS + 28]] * 5


def test_a_score_that_tells_lesions_apart_has_an_auc_of_one_and_one_that_does_not_of_a_half():
    rng = np.random.default_rng(1)
    by_size = {100: parts(rng.random(8) / 2, rng.integers(50, 90, 8).astype(float), 0.99, 0)}
    table = composed.compare(by_size, rounds=20)["0.1"]["100"]
    assert table["peak"]["auc"] == 1
    assert table["area"]["auc"] == pytest.approx(0.5, abs=0.06)
    assert table["combined"]["auc"] > 0.95
    for name in composed.SCORES:
        low, high = table[name]["interval"]
        assert low <= high


@pytest.mark.parametrize(
    ("prevalence", "cells", "lesions_"), [(0.001, 400, 0), (0.01, 400, 1), (0.1, 1, 0), (0.01, 9, 41)]
)
def test_a_slide_has_the_lesions_of_its_prevalence_or_none_where_they_do_not_fit(prevalence, cells, lesions_):
    assert composed.lesions_at(prevalence, cells, most=15) == lesions_


@pytest.mark.parametrize("lesions", [1, 9, 37, 185])
def test_lesions_that_change_nothing_tell_no_slides_apart(lesions):
    """A lesion replaces the peak of a field of its slide: it brings no other field's."""
    rng = np.random.default_rng(2)
    peaks, areas = rng.random(12), rng.integers(50, 90, 12).astype(float)
    same = composed.Parts(peaks, areas, np.repeat(np.arange(12), 3), np.repeat(peaks, 3), np.zeros(36))
    without, with_ = composed.compose(same, 0, 20_000, rng), composed.compose(same, lesions, 20_000, rng)
    labels = np.repeat([0, 1], 20_000)
    for column in range(2):
        assert auc(labels, np.concatenate([without, with_])[:, column]) == pytest.approx(0.5, abs=0.012)


def test_a_drawn_lesion_is_of_its_background():
    some = composed.Parts(np.zeros(3), np.zeros(3), np.array([0, 1, 1, 2]), np.zeros(4), np.zeros(4))
    backgrounds = np.random.default_rng(0).integers(3, size=(50, 4))
    drawn = some.draw(backgrounds, np.random.default_rng(1))
    np.testing.assert_array_equal(some.backgrounds[drawn], backgrounds)
    assert set(drawn.ravel()) == {0, 1, 2, 3}


def test_only_a_lesions_surroundings_differ_from_the_field_without_it():
    plain = map_of(np.full((FIELD_CELLS, FIELD_CELLS), 0.1), np.zeros((FIELD_CELLS, FIELD_CELLS), np.int64))
    numbers = np.zeros((FIELD_CELLS, FIELD_CELLS), np.int64)
    numbers[10, 10], numbers[30, 30] = 1, 2
    scores = np.full((FIELD_CELLS, FIELD_CELLS), 0.1)
    scores[10, 10], scores[30:32, 30:32] = 0.9, 0.9
    composition = composed.parts_of([plain], [map_of(scores, numbers)], 0.5)
    assert composition.lesion_areas.tolist() == [1, 4]
    np.testing.assert_allclose(composition.lesion_peaks, [(0.9 + 0.3) / 4, 0.9], rtol=1e-6)


def test_without_data_nothing_is_measured(tmp_path, capsys):
    assert command.main([str(tmp_path), "--json", str(tmp_path / "out.json")]) == 2
    assert "Not measured" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_the_card_has_the_presets_of_the_committed_measurement():
    measured, card = json.loads(command.SLIDES.read_text()), read_card()
    assert measured["weights"] == card.digest
    assert json.loads(json.dumps(card.presets)) == measured["presets"]
    assert set(card.presets) == {"screening", "default", "specific"}
    assert card.presets["default"]["threshold"] == card.threshold


def test_a_card_is_written_beside_its_own_weights_alone(tmp_path):
    card = read_card()
    (tmp_path / f"{card.name}.safetensors").write_bytes(b"other weights")
    with pytest.raises(WeightsRefused, match="names other weights"):
        write_card(card, tmp_path)


def test_the_section_says_what_was_not_measured():
    text = section.slide_level(json.loads(command.SLIDES.read_text()))
    assert "Camelyon16" in text
    assert "not measured" in text


@pytest.mark.parametrize("preset", [{}, {"threshold": 1.0}, {"threshold": "0.5"}, {"threshold": float("nan")}, 0.5])
def test_a_card_with_a_preset_that_is_none_is_refused(preset):
    with pytest.raises(WeightsRefused, match="'x' of p4m-densenet has no threshold"):
        replace(read_card(), presets={"x": preset}).check()


@pytest.mark.parametrize(
    "costs",
    [
        {"sensitivity": "0.9", "sensitivity_interval": [0.8, 0.95]},
        {"sensitivity": 0.9},
        {"detected": []},
        {"detected": {"9": {"value": 0.5, "interval": [0.1]}}},
        {"false_regions_per_10_mm2": 20.0},
    ],
)
def test_a_card_whose_presets_state_costs_in_another_form_is_refused(costs):
    """`GET /models` could not show them."""
    with pytest.raises(WeightsRefused, match="costs of the preset 'x'"):
        replace(read_card(), presets={"x": {"threshold": 0.5, **costs}}).check()


def test_presets_of_a_card_may_state_the_threshold_alone_and_default_is_the_cards():
    replace(read_card(), presets={"screening": {"threshold": 0.2}}).check()
    with pytest.raises(WeightsRefused, match=r"the card's threshold is 0\.5"):
        replace(read_card(), presets={"default": {"threshold": 0.6}}).check()
    with pytest.raises(WeightsRefused, match="are no object"):
        replace(read_card(), presets=None).check()


def test_one_field_is_left_as_it_is_without_lesions():
    composition = empty(np.zeros((SIDE, SIDE, 3), np.uint8), 4)
    assert (composition.lesions.max(), composition.background) == (0, 4)
