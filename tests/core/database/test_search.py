"""Searches find what people type, by one rule on both databases."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from core.access.visitor import Visitor
from core.database import search, transactions
from core.database.record import DEFAULT_WORKSPACE
from core.database.slides import Slide
from core.errors import Invalid
from core.slides import catalog, deletion, scale

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)


@given(names, st.sampled_from(FORMS))
def test_every_form_and_case_of_a_text_folds_alike(text, form):
    """Upper case is left out: Unicode has letters (ŉ, ς) whose upper case folds to another sequence."""
    folded = search.fold(text)
    assert search.fold(unicodedata.normalize(form, text)) == folded
    assert search.fold(text.casefold()) == folded
    assert search.fold(folded) == folded


def matches(pattern, text):
    """SQL's LIKE with the escape character \\, for patterns of the form %…%."""
    literal, inner = "", iter(pattern[1:-1])
    for char in inner:
        literal += next(inner) if char == "\\" else char
    return pattern[0] == pattern[-1] == "%" and literal in text


@given(names)
def test_a_text_is_found_by_itself_whatever_it_holds(text):
    assert all(matches(pattern, search.searchable([text])) for pattern in search.patterns(text))


@pytest.mark.parametrize(
    ("stored", "query"),
    [
        ("Müller Präparat 7.svs", unicodedata.normalize("NFD", "müller")),
        (unicodedata.normalize("NFD", "Müller Präparat 7.svs"), "PRÄPARAT 7"),
        ("ÄRZTEHAUS-12.tiff", "ärztehaus"),
        ("Straße 4.svs", "STRASSE"),
        ("S26-01234 A1 H&E (2).tiff", "a1 s26-01234"),
        ("100%_slide#1.tiff", "100%_"),
        ("S26-1.svs", "Ｓ２６－１"),
        ("病理切片 1.tiff", "切片"),
        ("a\\b.svs", "b.s"),
        ("S26\u20131.svs", "s26-1"),
        ("İSTANBUL.svs", "istanbul"),
        ("a:b What?.svs", "a:b what?"),
        ("می\u200cخواهم.svs", "می\u200cخواهم"),
        ("S26-7.svs", "\u200fS26-7\u200b"),
        ("S26 8.svs", "8\t s26\n"),
    ],
)
@pytest.mark.services
def test_a_slide_is_found_on_both_databases(own_database, stored, query):
    add(stored)
    other = add("other.bin")
    rows = find(query)
    assert [row.filename for row in rows] == [catalog.clean_filename(stored)]
    assert other not in [row.id for row in rows]


@pytest.mark.services
@pytest.mark.parametrize("name", ["accession", "barcode", "case", "note"])
def test_a_slide_is_found_by_what_the_laboratory_calls_it(own_database, name):
    slide_id = add("slide.svs", {name: "S26-98765 É"})
    add("s26.svs", {"accession": "S26-9876"})
    assert [row.id for row in find("s26-98765 é")] == [slide_id]
    assert find("slide.svsS26") == [], "a match must lie in one name"
    with transactions.writing() as session:
        scale.amend(session, session.get_one(Slide, slide_id), identifiers={name: "changed"})
    assert find("98765") == []
    assert [row.id for row in find("CHANGED slide")] == [slide_id]


@pytest.mark.services
def test_an_identifier_as_a_filter_must_be_equal(own_database):
    slide_id = add("a.svs", {"accession": "S26-1"})
    add("b.svs", {"accession": "S26-10"})
    add("c.svs", {"note": "S26-1"})
    assert [row.id for row in find(identifiers={"accession": "S26-1"})] == [slide_id]
    assert find(identifiers={"accession": "S26-1", "barcode": "x"}) == []


@pytest.mark.services
def test_a_deleted_slide_keeps_no_text(own_database):
    slide_id = add("Patient Name.svs", {"accession": "S26-1"})
    with transactions.writing() as session:
        deletion.delete(session, session.get_one(Slide, slide_id))
    with transactions.reading() as session:
        assert session.scalars(select(Slide.search_text)).all() == [""]


@pytest.mark.services
@pytest.mark.parametrize("query", ["\0", "\0zzz", "\u200b", "a\0b"])
def test_an_invisible_query_does_not_list_every_slide(own_database, query):
    add("slide.svs")
    if search.patterns(query):
        assert find(query) == []
    else:
        with pytest.raises(Invalid, match="no character"):
            find(query)


def add(filename, identifiers=None):
    with transactions.writing() as session:
        name = catalog.clean_filename(filename)
        slide = Slide(workspace_id=DEFAULT_WORKSPACE, filename=name, file="x", state="ready", created_at=1.0,
                      identifiers=identifiers or {}, updated_at=1.0)  # fmt: skip
        session.add(slide)
        session.flush()
        return slide.id


def find(query="", **filters):
    visitor = Visitor("p", DEFAULT_WORKSPACE, "analyst", "somebody")
    with transactions.reading() as session:
        return catalog.listed(session, visitor, query, **filters)
