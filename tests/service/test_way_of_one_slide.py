"""From upload to heat map through the running service, on both engines."""

import base64
import io
import json

import httpx2 as httpx
import numpy as np
import pytest
from heat_maps import NETWORK, analysed, heat_map
from PIL import Image
from servers import PATIENCE, until, until_ended
from slides import tissue, write_pyramid, write_scn

from cli.client import TUS, ServiceError

pytestmark = pytest.mark.services
TERMINAL = ("ready", "needs_input", "rejected")


def test_analysis_results_are_consistent(client, tmp_path):
    path = write_pyramid(tmp_path / "slide.tiff", tissue(900, 1200, [(300, 400, 250)]), 0.25, (2, 4))
    slide, analysis = analysed(client, path, threshold=0.01)
    scores, affine = heat_map(client, analysis["id"])
    results = analysis["results"]
    assert scores.dtype == np.float32
    assert scores.shape == (results["grid"]["rows"], results["grid"]["cols"])
    assert affine == results["grid"]["affine_l0"]
    assert results["rotation_check"]["passed"]
    assert "self-test" in results["rotation_check"]["meaning"]
    assert results["coverage"]["share"] == 1.0
    assert analysis["preliminary"] is True
    assert analysis["provenance"]["weights_sha256"]
    small, _ = heat_map(client, analysis["id"], dtype="uint8")
    np.testing.assert_array_equal(small == 255, np.isnan(scores))
    np.testing.assert_allclose(small[small < 255] / 254, scores[small < 255], atol=0.5 / 254 + 1e-6)
    listed = client.call("GET", f"/api/v1/analyses/{analysis['id']}/regions").json()["regions"]
    over = np.nan_to_num(scores, nan=-1) >= 0.01
    assert sum(region["cells"] for region in listed) <= over.sum()
    csv = client.call("GET", f"/api/v1/analyses/{analysis['id']}/regions.csv").text.strip().splitlines()
    assert len(csv) == len(listed) + 1
    assert slide["mpp_source"] == "file"


def test_geojson_origins_on_a_slide_with_bounds(client, tmp_path):
    path = write_scn(tmp_path / "slide.scn", tissue(911, 1237, [(300, 420, 250)]), 0.5, (304, 208), (1800, 1300))
    slide, analysis = analysed(client, path, threshold=0.001)
    assert (slide["bounds_x"], slide["bounds_y"]) == (304, 208)
    base = f"/api/v1/analyses/{analysis['id']}/regions.geojson"
    level0, bounds = (client.call("GET", base, params={"origin": o}).json() for o in ("level0", "bounds"))
    assert level0["features"], "regions at so low a threshold"
    for one, other in zip(level0["features"], bounds["features"], strict=True):
        ours, theirs = (np.array(f["geometry"]["coordinates"][0]) for f in (one, other))
        np.testing.assert_allclose(ours - theirs, np.broadcast_to([304, 208], ours.shape))


def test_slide_without_mpp_needs_input(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "slide.tiff", tissue(600, 700), None), {}))
    assert slide["state"] == "needs_input"
    assert slide["reason"]["code"] == "mpp-missing"
    with pytest.raises(ServiceError, match="micrometres"):
        client.analyse(slide["id"])
    client.call("PATCH", f"/api/v1/slides/{slide['id']}", json={"mpp": 0.5})
    slide = client.wait_for_slide(slide["id"])
    assert (slide["state"], slide["mpp_x"], slide["mpp_source"]) == ("ready", 0.5, "user")


def test_slide_coarser_than_the_network_is_rejected(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "slide.tiff", tissue(600, 700), 2.0), {}))
    assert slide["state"] == "ready", "it can be looked at"
    with pytest.raises(ServiceError, match=r"2\.000 µm per pixel"):
        client.analyse(slide["id"])


def test_slide_without_tissue_is_withheld(client, tmp_path):
    blank = np.full((600, 700, 3), 245, np.uint8)
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "slide.tiff", blank, 0.5), {}))
    analysis = client.analyse(slide["id"])
    assert analysis["withheld"]["code"] == "no-tissue"
    answer = client.http.get(f"/api/v1/analyses/{analysis['id']}/heatmap")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"


def test_pen_is_left_out_and_said(client, tmp_path):
    """The mask is served, and the coverage lists what it leaves out; pale tissue beside the pen is analysed."""
    picture = np.full((800, 1000, 3), (243, 243, 244), np.uint8)
    picture[100:700, 100:500] = np.random.default_rng(0).integers((215, 190, 205), (246, 233, 246), (600, 400, 3))
    picture[100:700, 700:900] = (30, 160, 70)
    slide, analysis = analysed(client, write_pyramid(tmp_path / "slide.tiff", picture, 0.5))
    answer = client.http.get(f"/api/v1/slides/{slide['id']}/tissue")
    kinds, results = np.load(io.BytesIO(answer.content)), analysis["results"]
    affine = [float(value) for value in answer.headers["quarterturn-affine"].split(",")]
    assert affine == results["grid"]["affine_l0"]
    assert kinds.shape == (results["grid"]["rows"], results["grid"]["cols"])
    assert results["coverage"]["wanted_cells"] == (kinds == 1).sum()
    left_out = {part["reason"]["code"]: part["cells"] for part in results["left_out"]}
    assert left_out == {"glass": (kinds == 0).sum(), "ink": (kinds == 2).sum()}
    scores, _ = heat_map(client, analysis["id"])
    np.testing.assert_array_equal(np.isfinite(scores), kinds == 1)
    row, col = int(kinds.shape[0] / 2), kinds.shape[1]
    assert kinds[row, int(0.3 * col)] == 1
    assert kinds[row, int(0.8 * col)] == 2


def test_analysis_creation_is_idempotent(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "slide.tiff", tissue(400, 500), 0.5), {}))
    ask = lambda body: client.http.post(  # noqa: E731 - the same call thrice
        f"/api/v1/slides/{slide['id']}/analyses", json=body, headers={"Idempotency-Key": f"k-{slide['id']}"}
    )
    first, second, other = ask({}), ask({}), ask({"tissue": "all"})
    assert first.json()["id"] == second.json()["id"]
    assert other.status_code == 409
    cancelled = client.call("POST", f"/api/v1/analyses/{first.json()['id']}/cancel").json()
    assert cancelled["state"] in ("cancelled", "succeeded")


def test_cancel_ends_as_cancelled_and_retry_finishes(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "slide.tiff", tissue(2000, 2200), 0.5), {}))
    analysis = client.call("POST", f"/api/v1/slides/{slide['id']}/analyses", json={"tissue": "all"}).json()
    cancelled = client.call("POST", f"/api/v1/analyses/{analysis['id']}/cancel").json()
    assert cancelled["state"] == "cancelled"
    client.call("POST", f"/api/v1/analyses/{analysis['id']}/retry")
    ended = until_ended(client, f"/api/v1/analyses/{analysis['id']}")
    assert ended["state"] == "succeeded"


def test_a_profile_is_flat_at_quarter_turns(client, tmp_path):
    path = write_pyramid(tmp_path / "slide.tiff", tissue(600, 700, [(200, 250, 150)]), 0.5)
    _, analysis = analysed(client, path)
    scores, _ = heat_map(client, analysis["id"])
    row, col = (int(place[len(place) // 2]) for place in np.nonzero(np.isfinite(scores)))
    request = client.call("POST", f"/api/v1/analyses/{analysis['id']}/profiles", json={"row": row, "col": col}).json()
    profile_row = client.poll(
        f"/api/v1/analyses/{analysis['id']}/profiles/{request['id']}", lambda p: p["state"] == "done", PATIENCE
    )
    angles, profile = np.array(profile_row["result"]["angles_deg"]), np.array(profile_row["result"]["scores"])
    assert len(angles) == 24
    np.testing.assert_allclose(profile[angles % 90 == 0], scores[row, col], atol=1e-5)
    assert (
        client.http.post(f"/api/v1/analyses/{analysis['id']}/profiles", json={"row": 0, "col": 9999}).status_code == 422
    )


def test_event_stream_reports_every_change(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "slide.tiff", tissue(400, 500), 0.5), {}))
    analysis = client.call("POST", f"/api/v1/slides/{slide['id']}/analyses", json={}).json()
    with client.http.stream("GET", f"/api/v1/analyses/{analysis['id']}/events") as stream:
        readiness = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
    assert readiness[-1]["state"] == "succeeded"
    assert [event["progress"]["done"] for event in readiness] == sorted(
        event["progress"]["done"] for event in readiness
    )


def test_real_slides_upload_view_and_analyse(client, service, test_data):
    names = ["CMU-1-Small-Region.svs", "cytomine_wsi.dcm"]
    for name in names if "QUARTERTURN_BROKER_URL" not in service.environment else names[:1]:
        slide, analysis = analysed(client, test_data / "slides" / name, rotation_check=False)
        assert (slide["width"], slide["height"]) == (2220, 2967)
        tiles = client.call("GET", f"/api/v1/slides/{slide['id']}/tiles").json()
        for level in range(len(tiles["levels"])):
            content = client.call("GET", f"/api/v1/slides/{slide['id']}/tiles/{level}/0_0.jpeg").content
            assert Image.open(io.BytesIO(content)).format == "JPEG"
        assert client.call("GET", f"/api/v1/slides/{slide['id']}.dzi").text.count("2967") == 1
        assert client.call("GET", f"/api/v1/slides/{slide['id']}_files/9/0_0.jpeg").content[:2] == b"\xff\xd8"
        assert analysis["results"]["scope_notes"], "aperio and dicom are not among the card's scanners"


def test_native_tiles_have_openslide_colours(client, test_data):
    import openslide

    path = test_data / "slides" / "CMU-1-Small-Region.svs"
    slide = client.wait_for_slide(client.upload(path, {}))
    answer = client.call("GET", f"/api/v1/slides/{slide['id']}/tiles/0/3_5.jpeg")
    ours = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), int)
    with openslide.OpenSlide(path) as reference:
        theirs = np.asarray(reference.read_region((720, 1200), 0, (240, 240)).convert("RGB"), int)
    assert np.abs(ours - theirs).max() <= 2, "the same bytes, decoded by another build of libjpeg at most"
    again = client.http.get(str(answer.url), headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert "immutable" in answer.headers["cache-control"]


def test_an_upload_with_the_wrong_sha256_is_rejected(client, service, tmp_path):
    content = write_pyramid(tmp_path / "slide.tiff", tissue(400, 500), 0.5).read_bytes()
    wrong = "sha256 " + base64.b64encode(b"0" * 64).decode()
    headers = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": wrong}
    created = client.call("POST", "/api/v1/uploads", headers=headers)
    patch = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    client.call("PATCH", created.headers["Location"], headers=patch, content=content)
    slide_id = created.headers["Location"].rsplit("/", 1)[-1]
    slide = client.poll(f"/api/v1/slides/{slide_id}", lambda s: s["state"] in TERMINAL, PATIENCE)
    assert slide["reason"]["code"] == "checksum-mismatch"
    until(lambda: not (service.data / "slides" / slide_id).exists())


def test_requests_without_a_key_are_rejected(service):
    for path in ("/api/v1/slides", "/api/v1/models", f"/api/v1/slides/{'0' * 32}/tiles/0/0_0.jpeg"):
        answer = httpx.get(service.url + path)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    readiness = httpx.get(service.url + "/readyz").json()
    assert readiness["ready"] is True
    assert readiness["heard_seconds"] < 10
    assert len(readiness["models"]["p4m-densenet"]) == 64
    assert readiness["readers"]["workers"] == [readiness["readers"]["here"]], "one machine, one kernel"
    assert "rlimits" in readiness["readers"]["here"]
    assert "/api/v1/uploads" in httpx.get(service.url + "/openapi.json").json()["paths"]


def test_an_analysis_takes_its_threshold_from_a_preset_of_its_model(client, tmp_path):
    cards = {card["name"]: card for card in client.call("GET", "/api/v1/models").json()["models"]}
    presets = cards[NETWORK]["presets"]
    assert presets["screening"]["threshold"] < presets["default"]["threshold"] < presets["specific"]["threshold"]
    path = write_pyramid(tmp_path / "slide.tiff", tissue(600, 700), 0.5)
    slide, analysis = analysed(client, path, model=NETWORK, preset="screening")
    expected = presets["screening"]["threshold"]
    assert (analysis["settings"]["preset"], analysis["settings"]["threshold"]) == ("screening", expected)
    scores, _ = heat_map(client, analysis["id"])
    summed = analysis["results"]["slide_score"]
    assert summed["area_cells"] == (np.nan_to_num(scores) >= expected).sum()
    assert "not on annotated slides" in summed["meaning"]
    place = f"/api/v1/slides/{slide['id']}/analyses"
    before = client.call("GET", place).json()
    for body, code in (
        ({"model": NETWORK, "preset": "specific", "threshold": 0.5}, "threshold-and-preset"),
        ({"model": "z2-densenet", "preset": "specific"}, "no-such-preset"),
        ({"model": NETWORK, "preset": "best"}, "bad-request"),
    ):
        answer = client.http.post(place, json=body)
        assert (answer.status_code, answer.json()["type"].rsplit(":", 1)[1]) == (422, code)
    assert client.call("GET", place).json() == before, "a refused request queues nothing"
