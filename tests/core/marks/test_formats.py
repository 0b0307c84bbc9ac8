"""Outlines as ASAP, ImageScope and QuPath write them: every mark is read, listed as ignored, or refused by its name."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.errors import Invalid
from core.exports import geojson as export
from core.marks import evaluations, froc, groups
from core.marks.outlines import Annotation, parse

BOX = [(500, 500), (1400, 500), (1400, 1400), (500, 1400)]
INNER = [(600, 600), (800, 600), (800, 800), (600, 800)]
ISLAND = [(650, 650), (750, 650), (750, 750), (650, 750)]
PLACE = froc.Place(2048, 2048, 0.5, 0.5)


def asap(*annotations, nested=(), xs="{}"):
    """ASAP's XML of (type, group, points); `nested`: (group, the group around it)."""
    blocks = []
    for number, (kind, group, points) in enumerate(annotations):
        lines = "".join(
            f'<Coordinate Order="{i}" X="{xs.format(x)}" Y="{xs.format(y)}" />' for i, (x, y) in enumerate(points)
        )
        head = f'<Annotation Name="Annotation {number}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58">'
        blocks.append(f"{head}<Coordinates>{lines}</Coordinates></Annotation>")
    named = "".join(f'<Group Name="{name}" PartOfGroup="{parent}"><Attributes /></Group>' for name, parent in nested)
    lists = f"<Annotations>{''.join(blocks)}</Annotations><AnnotationGroups>{named}</AnnotationGroups>"
    return f'<?xml version="1.0"?><ASAP_Annotations>{lists}</ASAP_Annotations>'.encode()


def imagescope(*regions, layer="tumor"):
    """ImageScope's XML of one layer of (type, points, further attributes)."""
    blocks = []
    for number, (kind, points, more) in enumerate(regions, 1):
        vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0" />' for x, y in points)
        blocks.append(f'<Region Id="{number}" Type="{kind}" {more}><Vertices>{vertices}</Vertices></Region>')
    regions = f"<Regions><RegionAttributeHeaders/>{''.join(blocks)}</Regions>"
    return f'<Annotations MicronsPerPixel="0.5"><Annotation Id="1" Name="{layer}">{regions}</Annotation></Annotations>'


def feature(kind, coordinates, name_of_class="Tumor", **more):
    named = {} if name_of_class is None else {"classification": {"name": name_of_class, "color": [200, 0, 0]}}
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": "annotation", **named, **more}}


def read(content, **own):
    rule = groups.own_rule(own.get("tumour", ()), own.get("hole", ()), own.get("ignore", ()))
    return parse(content if isinstance(content, bytes) else json.dumps(content).encode(), own=rule)


def readings(content, **own):
    annotation = read(content, **own)
    return [polygon.hole for polygon in annotation.polygons], [one.name for one in annotation.ignored]


def closed(points):
    return [*points, points[0]]


# ASAP ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("annotations", "nested", "holes"),
    [
        ([("Polygon", "_0", BOX), ("Polygon", "_1", INNER), ("Polygon", "_2", ISLAND)], (), [False, False, True]),
        ([("Polygon", "metastases", BOX), ("Polygon", "normal", INNER)], (), [False, True]),
        ([("Spline", "Tumor", BOX), ("Rectangle", "Exclusion", INNER)], (), [False, True]),
        ([("Polygon", "Lesion 1", BOX)], [("Lesion 1", "metastases"), ("metastases", "None")], [False]),
        ([("Polygon", "c", BOX)], [("a", "TUMOR"), ("b", "a"), ("c", "b")], [False]),
        ([("Polygon", "gap", BOX)], [("gap", "_2"), ("_2", "_0"), ("_0", "None")], [True]),
        ([("Polygon", "  metastases ", BOX)], (), [False]),
    ],
)
def test_asap_groups_are_read_as_the_nearest_one_with_a_reading(annotations, nested, holes):
    assert readings(asap(*annotations, nested=nested)) == (holes, [])


@pytest.mark.parametrize("kind", ["Dot", "PointSet", "Measurement"])
@pytest.mark.parametrize("group", ["_0", "None", "mitoses"])
def test_asap_marks_without_an_inside_are_listed(kind, group):
    annotation = read(asap(("Polygon", "_0", BOX), (kind, group, [(700, 700), (900, 700), (800, 800)])))
    (polygon,), (ignored,) = annotation.polygons, annotation.ignored
    assert polygon.vertices.tolist() == [list(point) for point in BOX]
    assert (ignored.name, ignored.kind, ignored.reason) == ("Annotation 1", kind, f"a {kind} encloses nothing")
    assert Annotation.from_dict(annotation.to_dict()).ignored == annotation.ignored


@pytest.mark.parametrize(
    ("content", "sentences"),
    [
        (asap(("Polygon", "None", BOX)), ["Annotation 0", "'none'", "neither tumour nor hole"]),
        (asap(("Polygon", "_0", BOX), ("Polygon", "None", BOX), nested=[("_0", "None")]), ["Annotation 1", "'none'"]),
        (asap(("Polygon", "L1", BOX), nested=[("L1", "Study")]), ["Annotation 0", "'L1 in Study'"]),
        (asap(("Polygon", "x", BOX), ("Polygon", "y", BOX)), ["Annotation 0 is of the group 'x'", "'y'"]),
        (asap(("Polygon", "a", BOX), nested=[("a", "b"), ("b", "a")]), ["'a' and 'b'", "parts of each other"]),
        (asap(("Polygon", "a", BOX), nested=[("a", "_0"), ("a", "_2")]), ["'a' twice"]),
        (asap(("Star", "_0", BOX)), ["Annotation 0", "_0", "'Star'"]),
        (asap(("None", "_0", BOX)), ["Annotation 0", "_0", "'None'"]),
        (asap(("Polygon", "_0", BOX[:2])), ["Annotation 0", "group _0", "three points"]),
        (asap(("Polygon", "_0", BOX), xs="1,{}.0"), ["Annotation 0", "no numbers", "'1,500.0'"]),
    ],
)
def test_asap_refusals_name_annotation_group_and_reason(content, sentences):
    with pytest.raises(Invalid) as refused:
        parse(content)
    assert [sentence for sentence in sentences if sentence not in refused.value.detail] == []


def test_a_file_without_groups_has_the_names_of_annotations_for_them():
    """As in ASAP's masks."""
    named = asap(("Polygon", "None", BOX)).replace(b"Annotation 0", b"Metastases")
    assert readings(named) == ([False], [])
    with pytest.raises(Invalid, match="Metastases is of the group 'none'"):
        parse(named.replace(b"<AnnotationGroups>", b'<AnnotationGroups><Group Name="_0"/>'))


def test_a_caller_names_groups():
    content = asap(("Polygon", "None", BOX), ("Polygon", "Necrosis", INNER), ("Polygon", "CIS", ISLAND))
    assert readings(content, tumour=["none"], hole=["NECROSIS"], ignore=["cis"]) == ([False, True], ["Annotation 2"])
    assert readings(asap(("Polygon", "normal", BOX)), ignore=["normal"]) == ([], ["Annotation 0"]), "before the usual"
    with pytest.raises(Invalid, match="'cis' is named as tumour and as hole"):
        read(content, tumour=["CIS"], hole=["cis"])


@given(
    st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 200_000)), min_size=3, max_size=20), st.integers(1, 9)
)
def test_decimal_commas_are_read_when_the_file_proves_them(points, digit):
    """One number that cannot be a group of thousands proves it. A file that proves nothing is refused."""
    content = asap(("Dot", "_0", points), ("Polygon", "_0", BOX), xs="{}," + str(digit))
    (polygon,) = parse(content).polygons
    assert polygon.vertices.tolist() == [[x + digit / 10, y + digit / 10] for x, y in BOX]
    with pytest.raises(Invalid, match="no numbers, such as '600,125'"):
        parse(asap(("Polygon", "_0", INNER), ("Polygon", "_0", [(5, 1), (500, 1), (500, 9)]), xs="{},125"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_byte_order_marks_and_line_endings(encoding, ending):
    declared = "utf-8" if encoding == "utf-8-sig" else "utf-16"
    text = asap(("Polygon", "_0", BOX)).decode().replace('version="1.0"', f'version="1.0" encoding="{declared}"')
    assert readings(text.replace("><", f">{ending}<").encode(encoding)) == ([False], [])
    document = json.dumps({"type": "FeatureCollection", "features": [feature("Polygon", [closed(BOX)])]}, indent=1)
    assert readings(document.replace("\n", ending).encode(encoding)) == ([False], [])


DETECTION = feature("Polygon", [closed(BOX)], "Tumor", objectType="detection")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (asap(("Dot", "Tumor", BOX[:1])), r"Annotation 0 \(Dot, group Tumor\) may be tumour"),
        (asap(("PointSet", "cells", BOX)), r"Annotation 0 \(PointSet, group cells\) may be tumour"),
        ([DETECTION], "feature 1 .* a QuPath detection is computed"),
        ([{**DETECTION, "properties": {"objectType": "cell"}}], "feature 1 .* a QuPath cell is computed"),
        ([feature("Point", [700, 700])], "a Point encloses nothing"),
        ({"positive": [], "negative": [], "uncertain": [{"name": "a", "vertices": BOX}]}, "uncertain"),
        (imagescope((4, BOX[:2], "")).encode(), "a ruler encloses nothing"),
        (
            imagescope((0, BOX, "")).replace("Region ", "Shape ").replace("Region>", "Shape>").encode(),
            "'Shape' in 'Reg",
        ),
        (imagescope((0, BOX, "")).replace("Vert", "vert").encode(), "'vertices' in 'Region'"),
        (
            b'<Annotations><Annotation><Vertices><Vertex X="1" Y="1"/></Vertices></Annotation></Annotations>',
            "'Vertices'",
        ),
        (asap(("Polygon", "_0", BOX)).replace(b"Coordinates>", b"Points>"), "'Points' in 'Annotation'"),
    ],
)
def test_a_file_whose_marks_are_all_lost_is_not_free_of_tumour(content, sentence):
    with pytest.raises(Invalid, match=sentence):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        b"<ASAP_Annotations><Annotations/><AnnotationGroups/></ASAP_Annotations>",
        b'<Annotations><Annotation Name="tumor"><Attributes><Attribute Name="x"/></Attributes><Regions/><Plots/>'
        b"</Annotation></Annotations>",
        {"type": "FeatureCollection", "features": []},
        [feature("Polygon", [closed(BOX)], "Region*")],
        {"positive": [], "negative": [], "version": 2},
    ],
)
def test_a_file_without_marks_is_free_of_tumour(content):
    assert readings(content)[0] == []
    assert readings([DETECTION], ignore=["tumor"])[0] == [], "the caller says that they are neither"


# Origin --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "origin"),
    [
        ([feature("Polygon", [closed(BOX)])], "bounds"),
        ([{**feature("Polygon", [closed(BOX)]), "id": "PathAnnotationObject",
           "properties": {"classification": "tumor"}}], "bounds"),
        ([{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [closed(BOX)]},
           "properties": {"classification": "tumor"}}], "level0"),
        ({"type": "FeatureCollection", "origin": "level0", "features": [feature("Polygon", [closed(BOX)])]}, "level0"),
        (asap(("Polygon", "_0", BOX)), "level0"),
        (imagescope((0, BOX, "")).encode(), "level0"),
    ],
)  # fmt: skip
def test_what_coordinates_count_from(content, origin):
    """QuPath counts from the corner of the scanned area; the caller may say otherwise."""
    annotation = read(content)
    assert annotation.origin == origin
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    assert {parse(text, origin=named).origin for named in ("level0", "bounds")} == {"level0", "bounds"}
    (polygon,) = annotation.in_level0((300, 200)).polygons
    shift = (300, 200) if origin == "bounds" else (0, 0)
    assert polygon.vertices.tolist() == [[x + shift[0], y + shift[1]] for x, y in BOX]


@given(st.integers(0, 100_000), st.integers(0, 100_000), st.sampled_from(["level0", "bounds"]), st.booleans())
def test_regions_that_are_exported_and_imported_lie_where_they_lay(left, top, origin, states_origin):
    """QuPath drops the member that states the origin; the export for QuPath counts from the bounds."""
    rings = [closed(BOX)]
    region = SimpleNamespace(rings=rings, rank=1, cells=9, max_score=1.0, mean_score=1.0, area_um2=1.0,
                             area_corrected_um2=1.0)  # fmt: skip
    corner = (left, top) if origin == "bounds" else (0, 0)
    document = export.feature_collection([region], "a", corner)
    own = groups.own_rule([export.CLASSIFICATION["name"]], (), ())
    stated = {**document, "origin": origin} if states_origin else document
    annotation = parse(json.dumps(stated).encode(), own=own, origin=None if states_origin else origin)
    (polygon,) = annotation.in_level0((left, top)).polygons
    assert sorted(polygon.vertices.tolist()) == sorted([float(x), float(y)] for x, y in BOX)


def test_outlines_of_qupath_are_stored_in_level_0_of_a_slide_with_bounds(monkeypatch):
    """An outline that lies off the slide by its own coordinates alone may lie on it by the bounds."""
    rows, slide = [], SimpleNamespace(id="s", updated_at=0.0)
    info = SimpleNamespace(width=1800, height=1700, bounds_x=300, bounds_y=200)
    monkeypatch.setattr(evaluations.catalog, "lock", lambda *_: None)
    monkeypatch.setattr(evaluations.catalog, "info_of", lambda _: info)
    monkeypatch.setattr(evaluations, "clock", lambda _: 1.0)
    rings = [closed(BOX), closed(INNER)]
    evaluations.outline(SimpleNamespace(merge=rows.append), slide, read([feature("Polygon", rings)]))
    (polygon,) = Annotation.from_dict(rows[0].content).polygons
    assert polygon.vertices.tolist() == [[x + 300, y + 200] for x, y in BOX]
    assert polygon.inner[0].tolist() == [[x + 300, y + 200] for x, y in INNER]
    far = [(x - 600, y) for x, y in INNER]
    evaluations.outline(SimpleNamespace(merge=rows.append), slide, read([feature("Polygon", [closed(far)])]))
    with pytest.raises(Invalid, match="lies off the slide"):
        off = parse(json.dumps([feature("Polygon", [[(x - 900, y) for x, y in INNER]])]).encode(), origin="level0")
        evaluations.outline(SimpleNamespace(merge=rows.append), slide, off)


AROUND = [(400, 400), (1500, 400), (1500, 1500), (400, 1500)]
LEFT, RIGHT = ([(x, 400), (x + 600, 400), (x + 600, 1500), (x, 1500)] for x in (400, 950))


@pytest.mark.parametrize(
    "content",
    [
        asap(("Polygon", "metastases", BOX), ("Polygon", "normal", AROUND)),
        asap(("Polygon", "normal", AROUND), ("Polygon", "_0", INNER), ("Polygon", "metastases", BOX)),
        asap(("Polygon", "_0", BOX), ("Polygon", "_2", LEFT), ("Polygon", "_2", RIGHT)),
        asap(("Polygon", "_0", BOX), ("Polygon", "_2", BOX)),
        imagescope((0, BOX, ""), (0, AROUND, 'NegativeROA="1"')).encode(),
        [feature("Polygon", [closed(BOX)], name="A"), feature("Polygon", [closed(AROUND)], "Exclusion")],
        [feature("Polygon", [closed(BOX), closed(BOX)])],
        {"positive": [{"name": "A", "vertices": BOX}], "negative": [{"name": "B", "vertices": AROUND}]},
    ],
)
def test_an_outline_that_holes_erase_refuses_the_file_by_its_name(content):
    with pytest.raises(Invalid, match=r"nothing is left of the outline (Annotation|region|feature|A)"):
        read(content)


@pytest.mark.parametrize("by", [1, 10, 400])
def test_an_outline_of_which_something_is_left_is_read(by):
    """A hole that leaves a margin, and one with an island of its own."""
    hole = [(500, 500), (1400 - 4 * by, 500), (1400 - 4 * by, 1400), (500, 1400)]
    content = asap(("Polygon", "_0", BOX), ("Polygon", "_2", hole if by < 400 else INNER))
    assert readings(content) == ([False, True], [])
    ring = [feature("Polygon", [closed(BOX)]), feature("Polygon", [closed(AROUND), closed(INNER)], "Exclusion")]
    assert readings(ring) == ([False, True], [])


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 700), st.integers(1, 700))
@example(86, 86, 700, 700)  # leaves less than a pixel of an evaluation's mask
def test_the_refusal_is_that_nothing_is_left_of_the_mask(left, top, width, height):
    """Law: a file is refused exactly where the hole covers the tumour. The mask has a pixel per pixel of the slide."""
    hole = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    content = asap(("Polygon", "_0", INNER), ("Polygon", "_2", hole))
    covers = left <= 600 and top <= 600 and left + width >= 800 and top + height >= 800
    if covers:
        with pytest.raises(Invalid, match="nothing is left of the outline Annotation 0"):
            parse(content)
    else:
        fine = froc.Place(2048, 2048, froc.RESOLUTION_UM, froc.RESOLUTION_UM)
        assert froc.tumour_mask(parse(content), fine).any()


def test_normal_tissue_around_a_tumour_is_no_hole_in_qupath_and_imagescope():
    """Normal tissue is drawn as a region of its own there: the reader asks what it is."""
    regions = (0, BOX, ""), (0, AROUND, 'Text="Normal"')
    with pytest.raises(Invalid, match="'Normal'"):
        read([feature("Polygon", [closed(BOX)]), feature("Polygon", [closed(AROUND)], "Normal")])
    with pytest.raises(Invalid, match="'Normal'"):
        read(imagescope((0, AROUND, ""), layer="Normal").encode())
    with pytest.raises(Invalid, match="'Normal in tumor'"):
        read(imagescope(*regions).encode())
    assert readings(imagescope(*regions).encode(), ignore=["normal"]) == ([False], ["region 2 of layer 1"])


# ImageScope ----------------------------------------------------------------------------------------------------------
def test_imagescope_regions():
    content = imagescope(
        (0, BOX, 'NegativeROA="0"'), (1, INNER, 'NegativeROA="1"'), (3, BOX[:2], ""), (4, BOX[:2], 'Text="2 mm"')
    )
    holes, ignored = readings(content.encode())
    assert holes == [False, True]
    assert ignored == ["region 3 of layer 1", "region 4 of layer 1"]


def test_an_ellipse_and_a_rectangle_of_two_corners():
    annotation = parse(imagescope((2, [(0, 0), (200, 100)], ""), (1, [(0, 0), (20, 10)], "")).encode())
    ellipse, rectangle = annotation.polygons
    x, y = ellipse.vertices.T
    np.testing.assert_allclose(((x - 100) / 100) ** 2 + ((y - 50) / 50) ** 2, 1)
    assert sorted(rectangle.vertices.tolist()) == [[0, 0], [0, 10], [20, 0], [20, 10]]


@pytest.mark.parametrize(
    ("layer", "text", "hole"), [("x", "Tumor", False), ("Tumor", "see 3", False), ("tumor", "exclusion", True)]
)
def test_a_regions_text_goes_before_its_layer(layer, text, hole):
    assert readings(imagescope((0, BOX, f'Text="{text}"'), layer=layer).encode()) == ([hole], [])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (imagescope((0, BOX, ""), layer=""), "region 1 of layer 1 is of the group 'none'"),
        (imagescope((0, BOX, 'Text="see 3"'), layer="Layer 1"), "'see 3 in Layer 1'"),
        (imagescope((7, BOX, "")), r"region 1 of layer 1 \(layer 'tumor'\) is of the type '7'"),
        (imagescope((2, BOX[:3], "")), "a box of 3 points"),
        (imagescope((0, BOX, 'NegativeROA="1"'), layer="_2"), "cut out of a group that is no tumour"),
        (imagescope((0, BOX[:2], "")), "region 1 of layer 1 .* no three points"),
        ("<annotations><ndpviewstate/></annotations>", "its root is 'annotations'"),
    ],
)
def test_imagescope_refusals_name_the_region_and_the_reason(content, sentence):
    with pytest.raises(Invalid, match=sentence):
        parse(content.encode())


def test_unnamed_layers_are_what_the_caller_says():
    assert readings(imagescope((0, BOX, ""), layer="").encode(), tumour=["none"]) == ([False], [])


# QuPath --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "document",
    [
        {"type": "FeatureCollection", "features": [feature("Polygon", [closed(BOX)])]},
        feature("Polygon", [closed(BOX)]),
        [feature("Polygon", [closed(BOX)])],
        [feature("Polygon", [BOX])],
        [feature("Polygon", [[[x, y, 0] for x, y in closed(BOX)]], isLocked=True, measurements={"Area": 1.5})],
        [{**feature("Polygon", [closed(BOX)]), "id": "PathAnnotationObject"}],
        [feature("Polygon", [closed(BOX)], "Tumor: Positive")],
        [feature("Polygon", [closed(BOX)], None, classification={"names": ["Tumor", "Necrotic"]})],
        [feature("Polygon", [closed(BOX)], None, classification="tumor")],
        [{**feature("Polygon", []), "geometry": {"type": "GeometryCollection", "geometries": [
            {"type": "Polygon", "coordinates": [closed(BOX)]}]}}],
    ],
)  # fmt: skip
def test_every_form_of_a_qupath_export(document):
    annotation = read(document)
    assert annotation.format == "geojson"
    (polygon,) = annotation.polygons
    assert polygon.vertices.tolist() == [list(point) for point in BOX]
    assert not polygon.hole


def test_a_hole_of_a_polygon_cuts_this_polygon_alone():
    """An island in it stays tumour; a polygon of a hole class cuts all of them."""
    document = [feature("MultiPolygon", [[closed(BOX), closed(INNER)], [closed(ISLAND)]])]
    annotation = read(document)
    assert [(p.name, len(p.inner)) for p in annotation.polygons] == [("feature 1 part 1", 1), ("feature 1 part 2", 0)]
    mask = froc.tumour_mask(Annotation.from_dict(annotation.to_dict()), PLACE)
    area_px = mask.sum() * (froc.RESOLUTION_UM / 0.5) ** 2
    assert area_px == pytest.approx(900**2 - 200**2 + 100**2, rel=0.02)
    right = [(700, 500), (1400, 500), (1400, 1400), (700, 1400)]
    cut = froc.tumour_mask(read([*document, feature("Polygon", [closed(right)], "Exclusion")]), PLACE)
    assert cut.sum() * (froc.RESOLUTION_UM / 0.5) ** 2 == pytest.approx(200 * 900 - 100 * 200 + 50 * 100, rel=0.05)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (feature("Point", [700, 700]), "a Point encloses nothing"),
        (feature("MultiPoint", [[700, 700], [800, 800]]), "a MultiPoint encloses nothing"),
        (feature("LineString", BOX[:2]), "a LineString encloses nothing"),
        (feature("LineString", BOX, None), "a LineString encloses nothing"),
        (feature("Polygon", [closed(BOX)], "Region*"), "its group is ignored"),
        (feature("Polygon", [closed(BOX)], "Tumor", objectType="cell"), "a QuPath cell is computed, not drawn"),
        ({"type": "Feature", "geometry": None, "properties": {}}, "it has no geometry"),
        ({**feature("Polygon", [closed(BOX)]), "id": "PathTileObject", "properties": {}}, "a QuPath PathTileObject"),
    ],
)
def test_features_that_are_no_outlines_are_listed(one, reason):
    annotation = read([feature("Polygon", [closed(BOX)]), one])
    (ignored,) = annotation.ignored
    assert ignored.name == "feature 2"
    assert ignored.reason.startswith(reason)
    assert len(annotation.polygons) == 1


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([feature("Polygon", [closed(BOX)], None)], "feature 1 is of the group 'none'"),
        ([feature("Polygon", [closed(BOX)], "Stroma", name="A")], "feature 1 'A' is of the group 'Stroma'"),
        ([feature("Polygon", [closed(BOX)], "Positive")], "'Positive'"),
        ([feature("Polygon", [closed(BOX)], "Negative")], "'Negative'"),
        ([feature("LineString", BOX)], r"feature 1 \(LineString, group Tumor\) is a line, which encloses nothing"),
        ([feature("Circle", BOX)], r"feature 1 \(group Tumor\) has a geometry of the type 'Circle'"),
        ([feature("Polygon", [BOX[:2]])], r"feature 1 \(Polygon, group Tumor\) has no three points"),
        ([feature("Polygon", [])], "no three points"),
        ([feature("Polygon", [["x", "y"]])], "no numbers"),
        ([feature("Polygon", 5)], "no lists of numbers"),
        ([feature("Polygon", [closed(BOX), closed([BOX[0], BOX[2], BOX[1], BOX[3]])])], "crosses itself"),
        ([5], "feature 1 is no GeoJSON feature"),
        ({"type": "FeatureCollection", "features": None}, "feature 1 is no GeoJSON feature"),
        ({"type": "Topology", "objects": {}}, "the type 'Topology'"),
        (b'{"positive": [], "positive": [], "negative": []}', "the same key twice"),
    ],
)
def test_geojson_refusals_name_the_feature_its_class_and_the_reason(document, sentence):
    with pytest.raises(Invalid, match=sentence):
        read(document)


def test_lists_of_camelyons_json_that_are_neither_are_listed():
    polygons = [{"name": "a", "vertices": BOX}]
    assert readings({"positive": polygons, "negative": [], "uncertain": polygons}) == ([False], ["uncertain"])


def test_the_real_outlines_of_camelyon16_are_read(test_data):
    files = sorted((test_data / "slides" / "camelyon16_annotations").glob("*.json"))
    assert files
    for file in files:
        annotation = parse(file.read_bytes())
        assert annotation.polygons
        assert not annotation.ignored
