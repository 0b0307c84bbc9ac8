"""CSV as programs and as spreadsheets of several languages read it."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.analyses.results import Region
from core.database.slides import Slide
from core.errors import Invalid
from core.exports.csv_text import Style, neutralised, write
from core.exports.tables import regions_csv

LOCALES = ["en", "en-GB", "de", "de-DE", "de_AT", "fr", "fr-CA", "it", "es", "es-MX", "pt-BR", "de-CH", "ja", "sv"]
texts = st.text(st.one_of(st.sampled_from("=+-@,;|\t\r\n\"' a1＝"), st.characters(codec="utf-8")), max_size=12)
reals = st.floats(allow_nan=False, allow_infinity=False)
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")


def parsed(text, separator=","):
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))


@given(
    st.lists(st.tuples(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False))),
    st.sampled_from(LOCALES),
)
def test_every_cell_comes_back(rows, locale):
    style = Style.from_locale(locale, mark=False)
    header, *body = parsed(write(["text", "integer", "real"], rows, style), style.separator)
    assert header == ["text", "integer", "real"]
    for read, (text, integer, real) in zip(body, rows, strict=True):
        assert read[0].replace("'", "") == text.replace("'", "")
        assert int(read[1]) == integer
        assert float(read[2].replace(style.decimal, ".")) == real


@given(st.lists(texts, min_size=1, max_size=4), st.sampled_from(LOCALES))
def test_no_cell_is_a_formula_whatever_separator_the_spreadsheet_splits_at(cells, locale):
    text = write(["a"] * len(cells), [cells], Style.from_locale(locale, mark=False))
    for separator in ",;\t|":
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            assert not [cell for cell in row if FORMULA.match(cell)], separator
    assert not re.search(rf'(^|[,;|\t\r\n"])({FORMULA.pattern})', text), "for a reader that knows no quotes"


@given(texts)
def test_no_cell_begins_with_white_space_that_a_spreadsheet_drops(text):
    (_, (cell,)) = parsed(write(["a"], [[text]], Style()))
    assert not re.match(r"[\t\r\n]", cell)


@given(texts)
def test_lines_end_and_cells_are_quoted_as_rfc_4180_says(text):
    content = write(["a", "b"], [(text, 1)], Style())
    field = r'(?:"(?:[^"]|"")*"|[^",\r\n]*)'
    assert re.fullmatch(rf"a,b\r\n{field},1\r\n", content)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slide.svs", "slide.svs"),
        ("S26-0012 a+b=c.svs", "S26-0012 a+b=c.svs"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        ("a,=1", "a,'=1"),
        ("a;=1", "a;'=1"),
        ('a"=1', "a\"'=1"),
        ("a\n=1", "a\n'=1"),
    ],
)
def test_formulas_get_an_apostrophe(text, expected):
    assert neutralised(text) == expected


@pytest.mark.parametrize(
    ("locale", "line"),
    [
        (None, "1,2.5,-3.25"),
        ("en", "1,2.5,-3.25"),
        ("en-GB", "1,2.5,-3.25"),
        ("de", "1;2,5;-3,25"),
        ("de-DE", "1;2,5;-3,25"),
        ("de_AT", "1;2,5;-3,25"),
        ("fr", "1;2,5;-3,25"),
        ("fr-CA", "1;2,5;-3,25"),
        ("de-CH", "1;2.5;-3.25"),
        ("es", "1;2,5;-3,25"),
        ("es-MX", "1,2.5,-3.25"),
        ("zh-Hant-TW", "1,2.5,-3.25"),
    ],
)
def test_numbers_and_separators_follow_the_locale(locale, line):
    assert write(["a", "b", "c"], [(1, 2.5, -3.25)], Style.from_locale(locale, mark=False)).splitlines()[1] == line


@pytest.mark.parametrize("locale", ["xx", "", "german", "de-", "de;en", "en,de", "de-DE\r\nX: y", "de\n", "d", "DE"])
def test_unknown_locales_are_refused(locale):
    with pytest.raises(Invalid, match="locale"):
        Style.from_locale(locale, mark=False)


def test_byte_order_mark_comes_first_and_on_request():
    assert write(["ä"], [], Style(mark=True)).encode().startswith("\ufeffä".encode())
    assert write(["ä"], [], Style()).encode().startswith("ä".encode())


def test_each_region_names_its_slide_and_accession():
    numbers = {"rank": 1, "cells": 7, "max_score": 0.9, "mean_score": 0.8, "area_um2": 7.5, "area_corrected_um2": 4.0}
    region = Region(**numbers, peak_l0=(1, 1), bbox_l0=(-8, 0, 3, 3), rings=())
    slide = Slide(filename="=HYPERLINK(1);ö.svs", identifiers={"accession": "S26-1"})
    (row,) = csv.DictReader(io.StringIO(regions_csv(slide, [region], Style(",", ";"))), delimiter=";")
    assert (row["slide"], row["accession"]) == ("'=HYPERLINK(1);ö.svs", "S26-1")
    assert (row["rank"], row["max_score"], row["left_l0"], row["preliminary"]) == ("1", "0,9", "-8,0", "yes")
    bare = Slide(filename="a.svs", identifiers={})
    (row,) = csv.DictReader(io.StringIO(regions_csv(bare, [region], Style())))
    assert (row["slide"], row["accession"]) == ("a.svs", "")
