"""Results keep their meaning through storage: today's form, the form without a version, and every sentence coded."""

import json
import string
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.analyses import results, statements
from core.analyses.results import Failure, Results, from_stored, require_results, to_stored
from core.database.analyses import Analysis
from core.errors import Conflict, Withheld

# Made by the last code that stored results without a version.
VERSION_1 = json.loads(Path(__file__).with_name("results_version_1.json").read_text())


@pytest.mark.parametrize("name", ["results", "without_checks"])
def test_results_stored_without_a_version_have_the_same_meaning(name):
    stored = VERSION_1[name]
    read = from_stored(stored)
    again = to_stored(read)
    assert again.pop("version") == results.VERSION
    coverage, cells = again.pop("coverage"), stored["grid"]["rows"] * stored["grid"]["cols"]
    assert (coverage["slide_cells"], again.pop("left_out")) == (cells, [])
    assert coverage["slide_share"] == pytest.approx(stored["coverage"]["analysed_cells"] / cells)
    assert {name: coverage[name] for name in stored["coverage"]} == stored["coverage"]
    assert again.pop("unread") is None
    assert again.pop("slide_score") is None, "no earlier version summed the heat map up"
    summary = again.pop("summary")
    assert summary["sentence"] == stored["summary"]
    assert summary["parameters"]["share"] == stored["coverage"]["share"]
    notes = [{"code": note["code"], "sentence": note["sentence"]} for note in again.pop("scope_notes")]
    assert notes == stored["scope_notes"]
    assert again == {key: value for key, value in stored.items() if key not in ("summary", "scope_notes", "coverage")}


def test_results_survive_storage():
    read = from_stored(VERSION_1["results"])
    assert from_stored(json.loads(json.dumps(to_stored(read)))) == read


@pytest.mark.parametrize("version", [2, 3])
def test_results_of_each_earlier_version_are_read(version):
    stored = to_stored(from_stored(VERSION_1["results"]))
    del stored["slide_score"]
    if version == 2:
        for name in ("slide_cells", "slide_share", "slide_mm2"):
            del stored["coverage"][name]
        del stored["left_out"]
    assert from_stored({**stored, "version": version}) == from_stored(VERSION_1["results"])


def test_results_of_a_later_version_are_refused_with_what_to_do():
    later = results.VERSION + 1
    with pytest.raises(Conflict, match=f"form {later}"):
        from_stored({**to_stored(from_stored(VERSION_1["results"])), "version": later})


def test_reasons_stored_before_they_had_parameters_are_read():
    analysis = Analysis(state="succeeded", withheld=VERSION_1["withheld"], reason=VERSION_1["reason"])
    assert results.withheld_of(analysis).code == "constant-output"
    assert results.failure_of(analysis) == Failure(**VERSION_1["reason"])
    with pytest.raises(Withheld, match="every cell got the same score"):
        require_results(analysis)


def test_results_of_a_deleted_slide_are_a_conflict():
    with pytest.raises(Conflict, match="deleted"):
        require_results(Analysis(state="succeeded"))


def test_a_number_that_json_cannot_carry_is_refused():
    stored = to_stored(from_stored(VERSION_1["results"]))
    with pytest.raises(ValidationError, match="finite"):
        Results(**{**stored, "max_score": float("nan")})


def test_results_are_immutable():
    with pytest.raises(ValidationError, match="frozen"):
        from_stored(VERSION_1["results"]).threshold = 0.9


SAMPLES = {
    "share": 0.25, "count": 2, "scope": "lymph node", "organ": "skin", "stain": "IHC", "scanner": "x", "model": "m",
    "cells": 3, "wanted": 9, "region_images": 1, "cause": "out of memory", "remedy": "wait", "tolerance": 1e-3,
    "kind": "band", "attempts": 3, "slide_share": 0.125, "unfamiliar_share": 0.5, "limit": 0.9, "glass": 0.5,
    "ink": 0.25, "unsure": 0.125,
    "mpp": 0.5, "slide_mpp": 0.25, "network_mpp": 0.972, "power": 20.0,
}  # fmt: skip


@pytest.mark.parametrize("code", statements.STATEMENTS)
def test_every_statement_carries_the_numbers_of_its_sentence(code):
    names = {name for _, name, _, _ in string.Formatter().parse(statements.STATEMENTS[code]) if name}
    statement = statements.state(code, **{name: SAMPLES[name] for name in names})
    assert set(statement.parameters) == names
    assert "{" not in statement.sentence
    for name in names:
        with pytest.raises(KeyError):
            statements.state(code, **{other: SAMPLES[other] for other in names if other != name})


@pytest.mark.parametrize("code", statements.REASONS)
def test_every_reason_says_what_is_wrong_and_what_to_do(code):
    reason = statements.reason(code, **SAMPLES)
    assert reason.detail
    assert reason.action
    assert "{" not in reason.detail + reason.action


def test_texts_of_a_slide_are_no_templates():
    """An organ's name comes from a person: braces in it stay braces."""
    assert "{share}" in statements.state("organ", scope="lymph node", organ="{share}").sentence


def test_a_list_of_scanners_is_one_parameter():
    note = statements.state("scanner", scope=("aperio", "hamamatsu"), scanner="mirax")
    assert "aperio and hamamatsu" in note.sentence
    assert note.parameters["scope"] == ("aperio", "hamamatsu")


@pytest.mark.parametrize(("count", "words"), [(0, "No region"), (1, "1 region above"), (7, "7 regions above")])
def test_a_summary_claims_no_more_than_was_analysed(count, words):
    summary = statements.summarise(count, 0.5, 0.125)
    assert summary.sentence.startswith(words)
    assert "in the 50% of tissue analysed (12% of the slide's area)" in summary.sentence
    assert "unlike" not in summary.sentence
    assert ("Preliminary" in summary.sentence) == (count > 0)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_summary_says_that_tissue_is_unfamiliar(count):
    summary = statements.summarise(count, 1.0, 0.5, unfamiliar_share=0.75)
    assert summary.code.endswith("-unfamiliar")
    assert "75% of it looks unlike anything the network was trained on." in summary.sentence
    assert summary.parameters["unfamiliar_share"] == 0.75


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "100%"), (0.9999, "99.9%"), (0.995, "99.5%"), (0.99, "99%"), (0.5, "50%"), (0.0001, "0.1%"), (0.0, "0%")],
)
def test_a_sentence_rounds_no_share_to_all_or_nothing(share, words):
    assert f"in the {words} of tissue analysed" in statements.summarise(0, share, 1.0).sentence
