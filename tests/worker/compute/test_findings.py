"""The findings of an analysis on its checks and on familiarity claim no more than was computed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from core.analyses.parts import BandResult, CheckResult
from core.analyses.results import Familiarity as MeasuredFamiliarity
from core.analyses.results import UnreadRegionImage
from core.analyses.statements import Reason
from core.pixels.levels import Level, SlideInfo
from core.pixels.tissue import MASK_VERSION, Kind
from model.checks.density import Density
from model.checks.familiarity import Familiarity
from model.networks.autoencoder import Autoencoder
from model.weights.card import Card
from worker.compute.findings import (
    MOST_LISTED,
    Assembled,
    familiarity,
    gather,
    rotation_summary,
    unfamiliar_notes,
    unread,
    why_failed,
    why_withheld,
)
from worker.kinds.check import NOTHING_TURNED

READ = CheckResult(drift=0.0, residual=2e-6, tolerance=1e-3, elements=("turned by 90°",), spread=None, outside=())


def familiarity_card(usual):
    return Familiarity(Autoencoder(), Density(np.zeros(1), np.eye(1), 0.0, 1.0, 4.0), {"usual_shares": [0.0, usual]})


def test_regions_that_could_not_be_read_are_not_called_checked():
    none = rotation_summary([NOTHING_TURNED, NOTHING_TURNED])
    assert (none.regions, none.passed, none.residual_logits) == (0, None, None)
    one = rotation_summary([NOTHING_TURNED, READ])
    assert (one.regions, one.passed, one.residual_logits) == (1, True, 2e-6)
    assert rotation_summary([]) is None


def test_the_drift_is_the_worst_of_the_regions():
    assert rotation_summary([READ.model_copy(update={"drift": 0.02}), READ]).drift_logits == 0.02


def test_a_network_without_symmetry_has_a_check_without_a_verdict():
    plain = rotation_summary([READ.model_copy(update={"elements": (), "spread": 0.7, "outside": ("mirrored",)})])
    assert (plain.regions, plain.passed, plain.spread_logits) == (1, None, 0.7)


@pytest.mark.parametrize(("usual", "banner"), [(0.3, False), (0.1, True)])
def test_a_slide_less_familiar_than_any_held_out_one_gets_a_banner(usual, banner):
    plane = np.array([[1.0, 5.0, np.nan], [2.0, 3.0, 3.9]], np.float32)
    result = familiarity(plane, familiarity_card(usual))
    assert result.unfamiliar_share == pytest.approx(1 / 5)
    notes = unfamiliar_notes(result)
    assert bool(notes) == result.unusual == banner
    assert not banner or "20% of this tissue looks unlike" in notes[0].sentence


def test_findings_omit_familiarity_without_a_model():
    assert familiarity(np.full((2, 2), np.nan, np.float32), familiarity_card(0.1)) is None
    assert familiarity(np.ones((2, 2), np.float32), None) is None
    assert unfamiliar_notes(None) == []


INFO = SlideInfo("aperio", 1100, 1100, [Level(1100, 1100, 1.0, 1.0)], 0.972, 0.972, "file", mask_version=MASK_VERSION)
SCOPE = {"organ": "lymph node", "stain": "H&E", "scanners": ["aperio"]}
SERVED = SimpleNamespace(card=Card("m", "0" * 64, {}, scope=SCOPE), familiarity=None)
SHAPE = (INFO.frame().y.cells, INFO.frame().x.cells)


def gathered(logits, bands=(), kinds=None, every_cell=False, info=INFO):
    kinds = np.full(SHAPE, Kind.TISSUE, np.uint8) if kinds is None else kinds
    parts = Assembled(logits, np.full(SHAPE, np.nan, np.float32), kinds, every_cell, bands, [READ])
    return gather(parts, info, {"organ": "lymph node"}, 0.5, SERVED)


def withheld(plane, results, most_unfamiliar=0.9):
    return why_withheld(plane, results, most_unfamiliar, "lymph node")


def band_without(cells, *codes):
    """A band whose regions were not read for these reasons, with `cells` tissue cells each."""
    regions = [
        UnreadRegionImage(row=0, col=27 * i, row_end=27, col_end=27 * i + 27, cells=cells,
                     reason=Reason(code=code, detail=f"the {code} detail", action=f"the {code} action"))
        for i, code in enumerate(codes)
    ]  # fmt: skip
    return BandResult(cells=0, unreadable=cells * len(codes), unread=regions)


def logits(missing=0):
    plane = np.linspace(-3, 3, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
    plane.ravel()[:missing] = np.nan
    return plane


def test_a_complete_analysis_succeeds():
    results = gathered(logits())
    assert (why_failed(results), withheld(logits(), results)) == (None, None)
    assert results.coverage.share == 1.0
    assert results.summary.code == "one-region"


@pytest.mark.parametrize("missing", [1, SHAPE[0] * SHAPE[1]])
def test_cells_that_are_neither_scored_nor_listed_as_unread_fail_the_analysis(missing):
    """One cell or all of them: an answer of NaN used to succeed with a smaller coverage."""
    failure = why_failed(gathered(logits(missing)))
    assert failure.code == "no-finite-score"
    assert failure.parameters == {"cells": missing, "wanted": SHAPE[0] * SHAPE[1]}


def test_a_few_unread_cells_are_listed_and_the_analysis_succeeds():
    results = gathered(logits(10), [band_without(10, "unreadable")])
    assert why_failed(results) is None
    assert (results.unread.cells, results.unread.image_count) == (10, 1)
    assert "10 of" in results.unread.statement.sentence
    assert "the unreadable detail" in results.unread.statement.sentence


def test_more_than_two_percent_unread_fail_with_the_main_cause_and_its_action():
    results = gathered(logits(900), [band_without(300, "reader-memory", "unreadable", "reader-memory")])
    failure = why_failed(results)
    assert failure.code == "unreadable"
    assert "the reader-memory detail" in failure.detail
    assert failure.action == "the reader-memory action"
    assert failure.unread.image_count == 3


def test_the_list_of_unread_region_images_is_bounded_and_has_their_count():
    listed = unread([band_without(1, *["x"] * 30), band_without(1, *["x"] * 30)], 1000)
    assert (len(listed.region_images), listed.image_count, listed.cells) == (MOST_LISTED, 60, 60)


def test_one_score_for_every_cell_is_withheld():
    flat = np.full(SHAPE, 1.0, np.float32)
    assert withheld(flat, gathered(flat)).code == "constant-output"


def partly(**cells):
    """Kinds of a slide of tissue, but for so many cells of each named kind, and its logits."""
    kinds, plane, first = np.full(SHAPE, Kind.TISSUE, np.uint8), logits(), 0
    for name, count in cells.items():
        kinds.ravel()[first : first + count] = Kind[name]
        first += count
    plane[kinds != Kind.TISSUE] = np.nan
    return plane, kinds


def test_coverage_lists_what_was_left_out_and_speaks_of_the_slide():
    size = SHAPE[0] * SHAPE[1]
    plane, kinds = partly(GLASS=400, INK=300)
    results = gathered(plane, kinds=kinds)
    covered, excluded = results.coverage, results.left_out
    assert (covered.share, covered.slide_cells) == (1.0, size)
    assert covered.slide_share == pytest.approx((size - 700) / size)
    assert [(part.reason.code, part.cells) for part in excluded] == [("glass", 400), ("ink", 300)]
    assert sum(part.mm2 for part in excluded) + covered.tissue_mm2 == pytest.approx(covered.slide_mm2)
    assert f"({covered.slide_share:.0%} of the slide's area)" in results.summary.sentence
    assert [note.code for note in results.scope_notes] == ["tissue-ink"]
    everything = gathered(logits(), kinds=kinds, every_cell=True, info=replace(INFO, mask_version=1))
    assert (everything.coverage.wanted_cells, everything.coverage.slide_share) == (size, 1.0)
    assert (everything.left_out, everything.scope_notes) == ((), ()), "the mask decided nothing"


@pytest.mark.parametrize(("unsure", "noted"), [(100, False), (400, True)])
def test_much_near_the_limit_between_glass_and_tissue_is_said(unsure, noted):
    plane, kinds = partly(GLASS=1000, UNSURE=unsure)
    notes = gathered(plane, kinds=kinds).scope_notes
    assert [note.code for note in notes] == (["tissue-unsure"] if noted else [])
    assert not noted or "tissue: all" in notes[0].sentence


def test_a_mask_of_an_earlier_version_is_said():
    plane, kinds = partly(GLASS=10)
    notes = gathered(plane, kinds=kinds, info=replace(INFO, mask_version=1)).scope_notes
    assert [note.code for note in notes] == ["tissue-outdated"]


def test_a_slide_without_tissue_says_what_it_shows():
    kinds = np.full(SHAPE, Kind.GLASS, np.uint8)
    kinds[: SHAPE[0] // 2] = Kind.INK
    plane = np.full(SHAPE, np.nan, np.float32)
    reason = withheld(plane, gathered(plane, kinds=kinds))
    assert reason.code == "no-tissue"
    assert reason.parameters["ink"] == pytest.approx(SHAPE[0] // 2 / SHAPE[0])
    assert "is ink" not in reason.detail
    assert "ink, 0% unsure" in reason.detail


@pytest.mark.parametrize(("most", "code"), [(0.9, None), (0.7, "unfamiliar")])
def test_results_are_withheld_where_most_of_the_tissue_is_unfamiliar(most, code):
    strange = MeasuredFamiliarity(unfamiliar_share=0.8, usual_share=0.3, unusual=True, threshold=4.0)
    results = gathered(logits()).model_copy(update={"familiarity": strange})
    reason = withheld(logits(), results, most)
    assert (reason and reason.code) == code
    assert reason is None or "80% of the tissue" in reason.detail


def test_a_heat_map_is_summed_up_at_the_threshold_of_the_analysis():
    plane = logits()
    scores = 1 / (1 + np.exp(-plane.astype(np.float64)))
    score = gathered(plane).slide_score
    assert score.area_cells == (scores >= 0.5).sum()
    assert score.area_um2 == pytest.approx(score.area_cells * INFO.frame().cell_area_um2())
    assert 0.5 < score.peak < scores.max()
    assert gathered(np.full(SHAPE, np.nan, np.float32)).slide_score is None, "nothing was analysed"
