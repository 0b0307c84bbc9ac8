"""The rule that joins slides and outlines by name: no file is lost, and none is joined where the rule is unclear."""

import hashlib
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import camelyon_folder
from cli.camelyon_folder import SlideFile

NAMES = st.text(alphabet="aB 1_-.é\u0301ß", min_size=1, max_size=6).filter(lambda name: name.strip(" ."))
SLIDE_SUFFIXES = st.sampled_from([".tif", ".TIFF", ".svs", ".ome.tif", ".zip"])
OUTLINE_SUFFIXES = st.sampled_from([".xml", ".XML", ".json", ".geojson"])


def files(tmp_path, *names):
    tmp_path.mkdir(parents=True, exist_ok=True)
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def joined(tmp_path, slides, outlines):
    slide_files, _ = camelyon_folder.slide_files(files(tmp_path / "slides", *slides))
    outline_files, _ = camelyon_folder.outline_files(files(tmp_path / "outlines", *outlines))
    return camelyon_folder.join(slide_files, outline_files)


def pairs(result):
    return sorted((slide.name, path.name) for slide, path in result.pairs)


@pytest.mark.parametrize(
    ("slide", "outlines"),
    [
        ("tumor_001.tif", "tumor_001.xml"),
        ("tumor_001.tif", "Tumor_001.json"),
        ("TUMOR_001.TIF", "tumor_001.XML"),
        ("tumor_001.tif", "tumor_001.tif.geojson"),
        ("tumor_001.ome.tif", "tumor_001.xml"),
        ("tumor_001.ome.tif", "tumor_001.ome.tif.xml"),
        ("tumor 001.tif", "tumor_001.xml"),
        ("tumor 001 .tif", "tumor  001.xml"),
        ("tumor-001.svs", "tumor_001.svs.xml"),
        ("S12.345.svs", "S12.345.geojson"),
        ("Müller.tif", unicodedata.normalize("NFD", "müller.xml")),
        ("Straße.tif", "STRASSE.xml"),
        ("a.tif", hashlib.sha256(b"a.tif").hexdigest() + ".xml"),
    ],
)
def test_names_that_are_one(tmp_path, slide, outlines):
    other = "normal_007.tif"
    result = joined(tmp_path, [slide, other], [outlines])
    assert pairs(result) == [(slide, outlines)]
    assert [one.name for one in result.lone_slides] == [other]


@pytest.mark.parametrize(
    ("slide", "outlines"),
    [("tumor_001.tif", "tumor_002.xml"), ("tumor_001.tif", "tumor_1.xml"), ("case11.tif", "case1-1.xml")],
)
def test_names_that_are_two(tmp_path, slide, outlines):
    result = joined(tmp_path, [slide], [outlines])
    assert pairs(result) == []
    assert ([one.name for one in result.lone_slides], [p.name for p in result.lone_outlines]) == ([slide], [outlines])


@pytest.mark.parametrize(
    ("slides", "outlines"),
    [
        (["a.tif", "a.svs"], ["a.xml"]),
        (["a.tif"], ["a.xml", "a.json"]),
        (["a_1.tif", "a-1.tif"], ["a 1.xml"]),
        (["A.tif", "a.tif"], ["a.xml"]),
    ],
)
def test_a_name_that_fits_several_files_joins_none_of_them(tmp_path, slides, outlines):
    result = joined(tmp_path, slides, outlines)
    assert pairs(result) == []
    assert {one.name for one in result.unclear_slides} == set(slides)
    assert {path.name for path in result.unclear_outlines} == set(outlines)
    assert all(name in reason for name in outlines for reason in result.unclear_slides.values())


def test_a_stricter_step_goes_first(tmp_path):
    """The loose name of one slide is the exact name of another."""
    result = joined(tmp_path, ["a.tif", "a.svs", "b_1.tif", "b-1.tif"], ["a.svs.xml", "a.xml", "b-1.xml"])
    assert pairs(result) == [("a.svs", "a.svs.xml"), ("a.tif", "a.xml"), ("b-1.tif", "b-1.xml")]
    assert [one.name for one in result.lone_slides] == ["b_1.tif"]


@given(st.lists(st.tuples(NAMES, SLIDE_SUFFIXES), max_size=8), st.lists(st.tuples(NAMES, OUTLINE_SUFFIXES), max_size=8))
def test_every_file_is_on_one_list(tmp_path_factory, slides, outlines):
    folder = tmp_path_factory.getbasetemp()
    slide_files = [SlideFile(folder / name) for name in dict.fromkeys(map("".join, slides))]
    paths = [folder / name for name in dict.fromkeys(map("".join, outlines))]
    result = camelyon_folder.join(slide_files, paths)
    all_slides = [slide for slide, _ in result.pairs] + result.lone_slides + list(result.unclear_slides)
    all_paths = [path for _, path in result.pairs] + result.lone_outlines + list(result.unclear_outlines)
    assert sorted(map(id, all_slides)) == sorted(map(id, slide_files))
    assert sorted(all_paths) == sorted(paths)


@given(st.lists(st.text(alphabet=string.ascii_lowercase + string.digits, min_size=1, max_size=5), unique=True))
def test_different_plain_names_join_each_with_its_own(tmp_path_factory, names):
    folder = tmp_path_factory.getbasetemp()
    result = camelyon_folder.join(
        [SlideFile(folder / f"{name.upper()}.tif") for name in names], [folder / f"{name}.xml" for name in names]
    )
    assert sorted((slide.path.stem.lower(), path.stem) for slide, path in result.pairs) == sorted(
        (name, name) for name in names
    )


def test_what_is_neither_is_listed_with_the_reason(tmp_path):
    names = ["a.tif", ".DS_Store", "._a.tif", "Thumbs.db", "checksums.md5", "README.md", "a.xml"]
    (tmp_path / "training").mkdir()
    slides, others = camelyon_folder.slide_files(files(tmp_path, *names))
    assert [slide.name for slide in slides] == ["a.tif"]
    assert {path.name: reason for path, reason in others.items()} == {
        ".DS_Store": "a hidden file",
        "._a.tif": "a hidden file",
        "Thumbs.db": "no slide by its suffix .db",
        "checksums.md5": "no slide by its suffix .md5",
        "README.md": "no slide by its suffix .md",
        "a.xml": "outlines by its suffix",
        "training": "a folder, which is not searched",
    }
    outlines, others = camelyon_folder.outline_files(tmp_path)
    assert [path.name for path in outlines] == ["a.xml"]
    assert {path.name for path in others} == {*names, "training"} - {"a.xml"}


def test_names_of_a_list_have_spaces_and_case(tmp_path):
    slides, _ = camelyon_folder.slide_files(files(tmp_path, "tumor 114.tif", "Tumor_018.tif", "x.tif"))
    chosen, lone = camelyon_folder.named_slides(["tumor 114", " TUMOR_018.tif ", "tumor_999"], slides)
    assert {slide.name for slide in chosen} == {"tumor 114.tif", "Tumor_018.tif"}
    assert lone == ["tumor_999"]
