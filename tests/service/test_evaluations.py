"""Evaluations of analyses against outlines, with the running service and a network of known answers."""

import json

import numpy as np
import pytest
from heat_maps import analysed
from planted_network import write_planted
from servers import KEY, Service, until_ended
from slides import tissue, write_pyramid

from cli import camelyon

pytestmark = pytest.mark.services
MPP = 0.499
SQUARES = ((280, 380, 500), (700, 1300, 440))  # top, left, side: 250 and 220 µm
WHERE = "/api/v1/slides/{}/annotation"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluations")
    running = Service(folder / "data", write_planted(folder / "weights"))
    running.start_all()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(service):
    return service.client()


def corners(top, left, side):
    return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]


def outlines(*squares):
    named = [{"name": f"lesion {i}", "vertices": corners(*square)} for i, square in enumerate(squares)]
    return json.dumps({"positive": named, "negative": []}).encode()


@pytest.fixture(scope="module")
def slides(client, tmp_path_factory):
    """One slide with two planted lesions, one with none; both analysed."""
    folder, analyses_by_name = tmp_path_factory.mktemp("slides"), {}
    for name, squares in (("tumour", SQUARES), ("clean", ())):
        path = write_pyramid(folder / f"{name}.tiff", tissue(1501, 2101, squares, seed=len(squares)), MPP)
        analyses_by_name[name] = analysed(client, path)
    return analyses_by_name


def evaluate(client, slides, mode, names=("tumour", "clean"), **settings):
    request = {"mode": mode, "analyses": [slides[name][1]["id"] for name in names], **settings}
    row = client.call("POST", "/api/v1/evaluations", json=request).json()
    return until_ended(client, f"/api/v1/evaluations/{row['id']}")


@pytest.fixture
def outlined(client, slides):
    """Outlines of the planted lesions and of one that does not exist, which is a miss."""
    missed = (80, 1500, 460)
    counts = client.call("PUT", WHERE.format(slides["tumour"][0]["id"]), content=outlines(*SQUARES, missed)).json()
    assert counts == {
        "tumour": 3,
        "holes": 0,
        "exhaustive": True,
        "format": "camelyon-json",
        "origin": "level0",
        "ignored": [],
    }
    client.call("PUT", WHERE.format(slides["clean"][0]["id"]), content=outlines())
    return missed


@pytest.mark.parametrize("mode", ["camelyon16", "strict"])
def test_evaluation_reports_hits_and_misses_with_the_weights(client, slides, outlined, mode):
    used = [client.call("GET", f"/api/v1/slides/{slide['id']}").json()["updated_at"] for slide, _ in slides.values()]
    done = evaluate(client, slides, mode)
    assert done["state"] == "succeeded", done["reason"]
    now = [client.call("GET", f"/api/v1/slides/{slide['id']}").json()["updated_at"] for slide, _ in slides.values()]
    assert all(one < other for one, other in zip(used, now, strict=True)), (
        "each row was read, which extends its retention"
    )
    assert done["mode"] == done["figure"]["mode"] == mode
    assert done["figure"]["lesions"] == 3
    assert done["figure"]["score"] == pytest.approx(2 / 3)
    assert done["weights_sha256"] == slides["tumour"][1]["provenance"]["weights_sha256"]
    tumour, clean = done["slides"]
    assert clean["false_positives"] == clean["lesions"] == []
    (miss,) = tumour["misses"]
    top, left, side = outlined
    assert miss["centre_l0"] == pytest.approx([left + side / 2, top + side / 2], abs=20)
    assert miss["bbox_l0"][0] == pytest.approx(left, abs=100)
    assert "research use" in done["notice"]
    (listed,) = [one for one in client.call("GET", "/api/v1/evaluations").json() if one["id"] == done["id"]]
    assert listed["figure"] == {key: value for key, value in done["figure"].items() if key != "curve"}
    assert listed["slides"] == [], "lists leave out the lesions"


def test_evaluation_applies_its_own_threshold(client, slides, outlined):
    """At a threshold that nothing reaches there is no detection, hit or false."""
    none = evaluate(client, slides, "strict", threshold=0.9999999)
    assert none["figure"]["score"] == 0
    assert len(none["slides"][0]["misses"]) == 3


def test_evaluation_leaves_out_slides_without_exhaustive_annotation(client, slides, outlined):
    client.call("PUT", WHERE.format(slides["clean"][0]["id"]) + "?exhaustive=false", content=outlines())
    done = evaluate(client, slides, "strict")
    assert done["figure"]["slides"] == 1
    assert done["slides"][1]["left_out"] == "not exhaustively annotated"
    refused = client.http.post("/api/v1/evaluations", json={"mode": "strict", "analyses": [slides["clean"][1]["id"]]})
    assert refused.status_code == 422
    assert "exhaustive=true" in refused.json()["action"]


def feature(name_of_class, geometry):
    return {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name_of_class}}}


def test_outlines_of_qupath_with_a_hole_and_groups_that_the_request_names(client, slides, outlined):
    """What is read is stored; what is not is listed in the answer and with the outlines."""
    place = WHERE.format(slides["tumour"][0]["id"])
    rings = [corners(*SQUARES[0]), corners(300, 420, 100)]
    lesion = feature("Carcinoma", {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]})
    document = [lesion, feature("Tumor", {"type": "Point", "coordinates": [700, 1300]})]
    refused = client.http.put(place, json=document)
    assert refused.status_code == 422
    assert "feature 1 is of the group 'Carcinoma'" in refused.json()["detail"]
    answer = client.call("PUT", place, json=document, params={"tumour": ["carcinoma"]}).json()
    reason = "a Point encloses nothing"
    ignored = [{"name": "feature 2", "group": "Tumor", "kind": "Point", "reason": reason}]
    form = {"format": "geojson", "origin": "level0"}
    assert answer == {"tumour": 1, "holes": 1, "exhaustive": True, **form, "ignored": ignored}
    stored = client.call("GET", place).json()
    (polygon,) = stored["polygons"]
    assert ([polygon["vertices"], *polygon["inner"]], stored["ignored"]) == (rings, ignored)
    done = evaluate(client, slides, "strict", names=("tumour",))
    (lesion,) = done["slides"][0]["lesions"]
    assert lesion["area_um2"] == pytest.approx((500**2 - 100**2) * MPP**2, rel=0.1)
    clash = client.http.put(place, json=document, params={"tumour": "carcinoma", "hole": "Carcinoma"})
    assert clash.status_code == 422
    assert "named as tumour and as hole" in clash.json()["detail"]


def test_an_idempotency_key_stands_for_the_groups_too(client, slides, outlined):
    place, key = WHERE.format(slides["clean"][0]["id"]), {"Idempotency-Key": "groups"}
    assert client.http.put(place, content=outlines(), headers=key).status_code == 200
    assert client.http.put(place, content=outlines(), headers=key, params={"hole": "x"}).status_code == 409


def test_evaluation_needs_a_lesion(client, slides, outlined):
    done = evaluate(client, slides, "strict", names=("clean",))
    assert done["state"] == "failed"
    assert done["figure"] is None
    assert "no slide has a lesion" in done["reason"]["detail"]


def test_annotation_can_be_read_and_removed(client, slides, outlined):
    place = WHERE.format(slides["tumour"][0]["id"])
    stored = client.call("GET", place).json()
    assert stored["polygons"][0]["vertices"] == corners(*SQUARES[0])
    key = {"Idempotency-Key": "once"}
    assert client.http.put(place, content=outlines(SQUARES[0]), headers=key).json()["tumour"] == 1
    assert client.http.put(place, content=outlines(), headers=key).status_code == 409, "another request, the same key"
    assert client.http.delete(place).status_code == 204
    assert client.http.get(place).status_code == 404
    request = {"mode": "strict", "analyses": [slides["tumour"][1]["id"]]}
    missing = client.http.post("/api/v1/evaluations", json=request)
    assert missing.status_code == 404
    assert "has no annotation" in missing.json()["detail"]
    assert slides["tumour"][0]["filename"] not in missing.json()["detail"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"free text", "neither XML nor JSON"),
        (b"<ASAP_Annotations><Annotations>", "cannot be read"),
        (outlines((10, 500_000, 90)), "lies off the slide"),
        (b'{"positive": [{"name": "bow", "vertices": [[0,0],[9,9],[9,0],[0,9]]}], "negative": []}', "crosses itself"),
    ],
)
def test_rejected_annotation_changes_nothing(client, slides, outlined, content, sentence):
    place = WHERE.format(slides["tumour"][0]["id"])
    before = client.call("GET", place).json()
    answer = client.http.put(place, content=content)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert sentence in answer.json()["detail"]
    assert client.call("GET", place).json() == before


def test_analyses_that_cannot_be_compared_are_refused(client, slides, outlined):
    one = slides["tumour"][1]["id"]
    for analyses, status, sentence in (
        ([one, one], 422, "of one slide"),
        (["0" * 32], 404, "no such analysis"),
        ([], 422, ""),
    ):
        answer = client.http.post("/api/v1/evaluations", json={"mode": "strict", "analyses": analyses})
        assert answer.status_code == status
        assert sentence in answer.json()["detail"]
    assert client.http.get(f"/api/v1/evaluations/{one}").status_code == 404


def test_camelyon_command_uploads_analyses_and_evaluates(service, client, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("QUARTERTURN_URL", service.url)
    monkeypatch.setenv("QUARTERTURN_KEY", KEY)
    for folder in ("slides", "outlines"):
        (tmp_path / folder).mkdir()
    for name, squares in (("lesions", SQUARES), ("nothing", ()), ("partly", SQUARES[:1])):
        write_pyramid(tmp_path / "slides" / f"{name}.tiff", tissue(1501, 2101, squares, seed=5), MPP)
    (tmp_path / "outlines" / "lesions.json").write_bytes(outlines(*SQUARES, (80, 1500, 460)))
    (tmp_path / "ignore.txt").write_text("partly\n")
    request = [str(tmp_path / "slides"), str(tmp_path / "outlines"), "--ignore", str(tmp_path / "ignore.txt")]
    assert camelyon.main([*request, "--json", str(tmp_path / "out.json")]) == 0
    counts = capsys.readouterr().out
    assert "0.667" in counts
    assert "missed: lesions.tiff at (17" in counts
    assert json.loads((tmp_path / "out.json").read_text())["figure"]["slides"] == 2
    count = len(client.call("GET", "/api/v1/slides").json()["slides"])
    assert camelyon.main([*request, "--mode", "strict"]) == 0
    assert len(client.call("GET", "/api/v1/slides").json()["slides"]) == count, "no slide was uploaded twice"
    (tmp_path / "outlines" / "nothing.json").write_text("{")
    assert camelyon.main(request) == 1
    assert "no annotation" in capsys.readouterr().err


def test_camelyon_command_goes_on_after_a_failure_and_resumes(service, client, tmp_path, monkeypatch, capsys):
    """A folder as people have it: other case, a damaged slide, bare glass, and outlines that fit nothing."""
    monkeypatch.setenv("QUARTERTURN_URL", service.url)
    monkeypatch.setenv("QUARTERTURN_KEY", KEY)
    for folder in ("slides", "outlines"):
        (tmp_path / folder).mkdir()
    good = write_pyramid(tmp_path / "slides" / "tumor_001.tif", tissue(1501, 2101, SQUARES, seed=6), MPP)
    (tmp_path / "slides" / "tumor_000.tif").write_bytes(good.read_bytes()[:60_000])
    write_pyramid(tmp_path / "slides" / "normal 1.tif", np.full((700, 800, 3), 243, np.uint8), MPP)
    (tmp_path / "slides" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "outlines" / "Tumor_001.json").write_bytes(outlines(*SQUARES))
    (tmp_path / "outlines" / "tumor_999.json").write_bytes(outlines(*SQUARES))
    request = [
        str(tmp_path / "slides"),
        str(tmp_path / "outlines"),
        "--mode",
        "strict",
        "--without-outlines",
        "tumour-free",
    ]

    def run():
        assert camelyon.main([*request, "--json", str(tmp_path / "out.json")]) == 1
        printed = capsys.readouterr()
        assert "FROC score (their mean)                    1.000" in printed.out
        for sentence in ("tumor_000.tif: the slide was rejected", "tumor_999.json: no slide has this name"):
            assert sentence in printed.err
        return json.loads((tmp_path / "out.json").read_text())["folders"]

    def rows():
        return [service.rows(f"SELECT id FROM {table} ORDER BY id") for table in ("slides", "uploads", "analyses")]

    first, before = run(), rows()
    assert first["outlines"] == {"tumor_001.tif": "Tumor_001.json"}
    assert "no tissue" in first["not_evaluated"]["normal 1.tif"]
    assert run()["analyses"] == first["analyses"]
    assert rows() == before, "nothing was sent or analysed twice"


@pytest.mark.parametrize("first", [True, False])
def test_a_deleted_slide_withdraws_the_evaluations_that_name_it(client, slides, outlined, tmp_path, first):
    """Its state becomes failed and its results are not returned, whichever of its slides was deleted."""
    path = write_pyramid(tmp_path / "DOE JOHN.tiff", tissue(1001, 1101, [(300, 300, 500)]), MPP)
    extra, analysis = analysed(client, path)
    client.call("PUT", WHERE.format(extra["id"]), content=outlines((300, 300, 500)))
    together = {**slides, "extra": (extra, analysis)}
    names = ("extra", "tumour") if first else ("tumour", "extra")
    done, other = evaluate(client, together, "strict", names), evaluate(client, slides, "strict")
    assert done["state"] == other["state"] == "succeeded"
    client.call("DELETE", f"/api/v1/slides/{extra['id']}")
    withdrawn = client.call("GET", f"/api/v1/evaluations/{done['id']}").json()
    assert (withdrawn["state"], withdrawn["figure"], withdrawn["slides"]) == ("failed", None, [])
    assert withdrawn["reason"]["detail"] == "a slide of this evaluation was deleted"
    assert "DOE" not in client.call("GET", "/api/v1/evaluations").text
    assert client.call("GET", f"/api/v1/evaluations/{other['id']}").json() == other
