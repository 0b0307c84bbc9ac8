"""Lesion-level evaluation: the challenge's procedure against MONAI, the strict one against brute force over pixels."""

import json
import subprocess
import sys
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from core.marks import froc
from core.marks.froc import RESOLUTION_UM, Detection, Place
from core.marks.outlines import Annotation, Polygon, parse
from core.marks.polygons import even_odd_area, fill

PLACE = Place(3000, 2400, 0.5, 0.5)


def inside_by_definition(vertices, x, y):
    """Even-odd: does a ray to the right cross the outline an odd number of times?"""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        if (y0 <= y) != (y1 <= y):
            crossings += x0 + (y - y0) / (y1 - y0) * (x1 - x0) > x
    return crossings % 2 == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 15), st.floats(-3, 12)), min_size=3, max_size=9))
def test_fill_follows_the_even_odd_rule_at_pixel_centres(points):
    vertices = np.array(points)
    expected = [[inside_by_definition(vertices, col + 0.5, row + 0.5) for col in range(12)] for row in range(9)]
    np.testing.assert_array_equal(fill(vertices, (9, 12)), expected)


@pytest.mark.parametrize("angle_deg", [0, 30, 45, 90])
@pytest.mark.parametrize("width", [2e-4, 1e-2, 0.7, 40.0])
def test_fill_is_exact_for_slivers_at_any_angle(angle_deg, width):
    along, across = np.exp(1j * np.deg2rad(angle_deg)), 1j * np.exp(1j * np.deg2rad(angle_deg))
    corners = [0, 5000 * along, 5000 * along + width * across, width * across]
    vertices = np.array([(c.real + 7000, c.imag + 900) for c in corners])
    assert even_odd_area(vertices) == pytest.approx(5000 * width, rel=0.01)
    (polygon,) = parse(
        json.dumps({"positive": [{"name": "s", "vertices": vertices.tolist()}], "negative": []}).encode()
    ).polygons
    np.testing.assert_allclose(polygon.vertices, vertices)


def blob(rng, cx, cy, radius, points=24):
    """A wobbly outline, in level-0 px."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radii = radius * (1 + 0.2 * rng.random(points))
    return np.stack([cx + radii * np.cos(angles), cy + radii * np.sin(angles)], 1)


def case(seed, lesions=7, detections=40, points=24):
    """Outlines of many sizes (some with a hole), and points with scores on and beside them."""
    rng = np.random.default_rng(seed)
    polygons = []
    for i in range(lesions):
        cx, cy, radius = rng.uniform(300, 2700), rng.uniform(300, 2100), rng.choice([60, 150, 320, 500])
        polygons.append(Polygon(f"l{i}", blob(rng, cx, cy, radius, points)))
        if radius > 300:
            polygons.append(Polygon(f"h{i}", blob(rng, cx, cy, radius / 3, points), hole=True))
    places = rng.uniform((0, 0), (3000, 2400), (detections, 2))
    scores = rng.integers(1, 1024, detections) / 1024  # exact in float32, which MONAI uses
    return Annotation(tuple(polygons)), [
        Detection(*p, s) for p, s in zip(places.tolist(), scores.tolist(), strict=True)
    ]


ZIGZAG = """
import numpy as np
from core.marks.polygons import even_odd_area, first_crossing
y = np.tile([0.0, 9e7], 30_000)
zigzag = np.column_stack([np.arange(len(y), dtype=float), y])
area = even_odd_area(zigzag)
loop = np.column_stack([np.cos(np.linspace(0, 4 * np.pi, 60_000)), np.sin(np.linspace(0, 4 * np.pi, 60_000))])
first_crossing(loop)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(area > 0, int(status["VmHWM"].split()[0]) < 1 << 20)  # the rusage of a child begins with its parent's peak
"""


@pytest.mark.slow
def test_costly_outlines_are_processed_quickly():
    """A zigzag crosses every row with every edge; a loop drawn twice never crosses itself properly."""
    done = subprocess.run([sys.executable, "-c", ZIGZAG], capture_output=True, text=True, timeout=240)
    assert done.stdout.split() == ["True", "True"], done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*major_axis_length.*:FutureWarning")  # MONAI's use of scikit-image
@pytest.mark.parametrize("seed", range(4))
def test_camelyon16_score_equals_monai(seed):
    from monai.apps.pathology.utils import compute_isolated_tumor_cells, compute_multi_instance_mask
    from monai.metrics.froc import compute_fp_tp_probs, compute_froc_curve_data, compute_froc_score

    annotations = [case(10 * seed + i, lesions=5 if i else 0) for i in range(4)]
    false, true, targets = [], [], 0
    for annotation, detections in annotations:
        mask = froc.tumour_mask(annotation, PLACE)
        if mask.any():
            labels = compute_multi_instance_mask(mask.astype(int), froc.JOIN_UM / (2 * RESOLUTION_UM))
        else:
            labels = np.zeros(mask.shape, int)  # the challenge's code has the normal slides' mask empty
        small = compute_isolated_tumor_cells(labels, froc.ITC_UM / RESOLUTION_UM) if labels.any() else []
        xy = PLACE.to_mask(np.array([[d.x_l0, d.y_l0] for d in detections]))
        fp, tp, count = compute_fp_tp_probs(np.array([d.score for d in detections]), xy[:, 1], xy[:, 0], labels, small)
        false, true, targets = [*false, *fp], [*true, *tp], targets + count
    rates, sensitivity = compute_froc_curve_data(np.array(false), np.array(true), targets, len(annotations))
    results = [
        froc.evaluate_slide(annotation, PLACE, detections, "camelyon16") for annotation, detections in annotations
    ]
    ours = froc.froc(results, "camelyon16")
    assert ours["lesions"] == targets > 0
    np.testing.assert_allclose(ours["curve"]["false_positives_per_slide"], rates)
    np.testing.assert_allclose(ours["curve"]["sensitivity"], sensitivity)
    assert ours["score"] == pytest.approx(compute_froc_score(rates, sensitivity))


def parts_by_search(mask):
    """8-connected parts by breadth-first search: a set of pixels each."""
    left, parts = set(zip(*np.nonzero(mask), strict=True)), []
    while left:
        start = left.pop()
        part, queue = {start}, deque([start])
        while queue:
            r, c = queue.popleft()
            near = {(r + dr, c + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)} & left
            left -= near
            part |= near
            queue.extend(near)
        parts.append(part)
    return parts


def longest_axis(part):
    """4·√ of the largest eigenvalue of the covariance of the pixels, from sums."""
    rows, cols = (np.array([p[i] for p in part], float) for i in (0, 1))
    a, b = ((rows - rows.mean()) ** 2).mean(), ((cols - cols.mean()) ** 2).mean()
    c = ((rows - rows.mean()) * (cols - cols.mean())).mean()
    return 4 * np.sqrt((a + b) / 2 + np.sqrt(((a - b) / 2) ** 2 + c**2)) * RESOLUTION_UM


def mask_by_definition(annotation):
    """Pixel by pixel: inside a tumour outline and no hole."""
    rows, cols = PLACE.mask_shape()
    scale = RESOLUTION_UM / 0.5
    mask = np.zeros((rows, cols), bool)
    for polygon in sorted(annotation.polygons, key=lambda p: p.hole):
        left, top = np.floor(polygon.vertices.min(0) / scale).astype(int)
        for r, c in np.ndindex(rows, cols):
            if r >= top and c >= left and inside_by_definition(polygon.vertices, (c + 0.5) * scale, (r + 0.5) * scale):
                mask[r, c] = not polygon.hole
    return mask


def hits_by_definition(annotation, detections):
    """The best score of each lesion that counts (0: missed), and the scores that hit nothing."""
    parts, false = parts_by_search(mask_by_definition(annotation)), []
    best = [0.0 for _ in parts]
    for d in detections:
        pixel = (int(d.y_l0 * 0.5 // RESOLUTION_UM), int(d.x_l0 * 0.5 // RESOLUTION_UM))
        hit = [i for i, part in enumerate(parts) if pixel in part]
        if hit:
            best[hit[0]] = max(best[hit[0]], d.score)
        else:
            false.append(d.score)
    return [score for part, score in zip(parts, best, strict=True) if longest_axis(part) >= 200], false


def strict_by_brute_force(annotations):
    """Sensitivity at each rate, from the definition: threshold by threshold."""
    hits = [hits_by_definition(*one) for one in annotations]
    lesions, false = ([score for hit in hits for score in hit[i]] for i in (0, 1))
    at = []
    for most in (0.25, 0.5, 1, 2, 4, 8):
        allowed = [t for t in {*lesions, *false} - {0} if sum(f >= t for f in false) / len(annotations) <= most]
        at.append(max([0.0, *(sum(s >= t for s in lesions) / len(lesions) for t in allowed)]))
    return at, len(lesions)


@pytest.mark.slow
def test_strict_score_equals_brute_force():
    annotations = [case(seed, lesions=3, detections=25, points=9) for seed in (50, 51)]
    results = [froc.evaluate_slide(annotation, PLACE, detections, "strict") for annotation, detections in annotations]
    ours = froc.froc(results, "strict")
    expected, count = strict_by_brute_force(annotations)
    assert ours["lesions"] == count
    assert list(ours["sensitivity_at"].values()) == pytest.approx(expected)
    misses = [lesion for result in results for lesion in result.misses]
    assert len(misses) == sum(not lesion.found and lesion.counted for r in results for lesion in r.lesions)


def square(x, y, side, hole=False):
    corners = np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], float)
    return Polygon(f"square at {x}, {y}", corners, hole)


def test_scoring_modes_differ_where_they_should():
    """A gap of 60 µm joins, a hole is lesion, and two bits of 150 µm count: each in one mode only."""
    gap = Annotation((square(300, 300, 900), square(1320, 300, 900)))
    joined, apart = (froc.evaluate_slide(gap, PLACE, [], mode).lesions for mode in froc.MODES)
    assert (len(joined), len(apart)) == (1, 2)
    ring = Annotation((square(300, 300, 1200), square(700, 700, 400, hole=True)))
    in_hole = [Detection(900, 900, 0.9)]
    filled, solid = (froc.evaluate_slide(ring, PLACE, in_hole, mode) for mode in froc.MODES)
    assert (filled.false_positives, len(solid.false_positives)) == ([], 1)
    bits = Annotation((square(1000, 1000, 300), square(1420, 1000, 300)))
    grown, small = (froc.evaluate_slide(bits, PLACE, [Detection(1200, 1200, 0.5)], mode) for mode in froc.MODES)
    assert [lesion.found for lesion in grown.lesions] == [True]
    assert [(lesion.counted, lesion.found) for lesion in small.lesions] == [(False, False)] * 2
    assert small.false_positives == [], "a detection on a lesion too small is neither hit nor false"


def test_sensitivity_needs_a_lesion():
    nothing = froc.evaluate_slide(Annotation(()), PLACE, [Detection(5, 5, 0.3)], "strict")
    assert len(nothing.false_positives) == 1
    with pytest.raises(ValueError, match="no slide has a lesion"):
        froc.froc([nothing], "strict")


def test_real_annotations_are_read(test_data):
    files = sorted((test_data / "slides" / "camelyon16_annotations").glob("*.json"))
    assert len(files) == 6
    for file in files:
        annotation = parse(file.read_bytes())
        record = json.loads(file.read_text())
        assert len(annotation.polygons) == len(record["positive"]) + len(record["negative"])
        assert parse(json.dumps(record).encode()).to_dict() == annotation.to_dict()
        assert Annotation.from_dict(json.loads(json.dumps(annotation.to_dict()))).to_dict() == annotation.to_dict()
        mask = froc.tumour_mask(annotation, Place(100_000, 220_000, 0.243, 0.243))
        drawn = sum(even_odd_area(p.vertices) * (-1 if p.hole else 1) for p in annotation.polygons)
        assert mask.sum() * RESOLUTION_UM**2 == pytest.approx(drawn * 0.243**2, rel=0.03)


XML = """<?xml version="1.0"?><ASAP_Annotations><Annotations>
<Annotation Name="Annotation 0" Type="Polygon" PartOfGroup="Tumor" Color="#F4FA58"><Coordinates>
<Coordinate Order="1" X="200" Y="100"/><Coordinate Order="0" X="100" Y="100"/><Coordinate Order="2" X="200" Y="{y}"/>
<Coordinate Order="3" X="{x}" Y="{y}"/></Coordinates></Annotation></Annotations></ASAP_Annotations>"""


def test_asap_xml_is_read_in_its_own_order():
    (polygon,) = parse(XML.format(x=100, y=200).encode()).polygons
    np.testing.assert_array_equal(polygon.vertices, [(100, 100), (200, 100), (200, 200), (100, 200)])
    assert not polygon.hole
    hole = parse(XML.format(x=100, y=200).replace("Tumor", "_2").encode())
    assert hole.polygons[0].hole


CROSSED_XML = XML.format(x=210, y=200).replace('Order="2" X="200"', 'Order="2" X="80"')
FIGURE_OF_EIGHT = {"positive": [{"name": "bow", "vertices": [[0, 0], [100, 100], [100, 0], [0, 100]]}], "negative": []}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "neither XML nor JSON"),
        (b"<ASAP", "cannot be read"),
        (b"<a/>", "no Annotations element"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "document type"),
        (XML.format(x="one", y=200).encode(), "no numbers"),
        (XML.format(x="nan", y=200).encode(), "no numbers"),
        (XML.format(x="1.7e308", y=200).encode(), "no numbers"),
        (XML.format(x=100, y=200).replace('Order="0"', 'Order="x"').encode(), "Order is no number"),
        (b'{"positive": ' + b"[" * 100_000, "no annotation"),
        (
            json.dumps(
                {"positive": [{"name": "t", "vertices": [[0, 0], [9, 0], [0, 9]]}] * 5001, "negative": []}
            ).encode(),
            "5000 is the most",
        ),
        (XML.format(x=100, y=200).replace("Tumor", "Stroma").encode(), "'Stroma'"),
        (b'{"positive": []}', "no annotation"),
        (b'{"positive": [{"name": "p", "vertices": [[0, 0], [1, 1]]}], "negative": []}', "three points"),
        (json.dumps(FIGURE_OF_EIGHT).encode(), r"the outline bow crosses itself at \(50, 50\)"),
        (CROSSED_XML.encode(), "Annotation 0 crosses itself"),
    ],
)
def test_invalid_annotations_are_rejected_with_a_reason(content, sentence):
    with pytest.raises(Invalid, match=sentence):
        parse(content)
