"""Calls reject query parameters that they do not know, so that a filter is never ignored."""

import pytest
from asgi import ID, sample
from slides import tissue, write_pyramid

from api.contract.calls import CALLS, PREFIX

pytestmark = pytest.mark.services
READS = [call for call in CALLS if call.method == "GET" and call.path.startswith(PREFIX)]


@pytest.mark.parametrize("call", READS, ids=[call.path for call in READS])
def test_every_read_rejects_an_unknown_parameter(client, call):
    answer = client.http.get(sample(call), params={"surprise": "1"})
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["type"].endswith("unknown-parameter")
    assert "'surprise'" in problem["detail"]


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_change_with_an_unknown_parameter_changes_nothing(client, tmp_path, method):
    slide = client.upload(write_pyramid(tmp_path / "slide.tiff", tissue(300, 300), 0.5), {})
    path = {"POST": f"{PREFIX}/slides/{slide}/analyses", "PUT": f"{PREFIX}/slides/{slide}/annotation"}.get(
        method, f"{PREFIX}/slides/{slide}"
    )
    answer = client.http.request(method, path, params={"dry_run": "true"}, json={"identifiers": {"accession": "x"}})
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("unknown-parameter")
    record = client.call("GET", f"{PREFIX}/slides/{slide}").json()
    assert record["identifiers"] == {}
    assert record["state"] != "deleted"


def test_the_error_names_what_was_likely_meant(client):
    problem = client.http.get(f"{PREFIX}/slides", params={"acession": "S26-1"}).json()
    assert "did you mean 'accession'?" in problem["action"]


def test_a_parameter_that_comes_twice_is_rejected(client):
    answer = client.http.get(f"{PREFIX}/slides?query=a&query=b")
    assert (answer.status_code, answer.json()["type"][-18:]) == (422, "repeated-parameter")


def test_a_parameter_that_is_a_list_comes_twice(client):
    place = f"{PREFIX}/slides/{ID}/annotation"
    empty = {"positive": [], "negative": []}
    assert client.http.put(f"{place}?tumour=a&tumour=b&hole=c", json=empty).status_code == 404, "there is no such slide"
    problem = client.http.put(f"{place}?exhaustive=true&exhaustive=false", json=empty).json()
    assert problem["type"].endswith("repeated-parameter")


def test_pages_keep_the_state_of_a_view_in_their_address(client):
    assert client.http.get(f"/slides/{ID}", params={"x": "1"}).status_code == 200


def test_a_tile_takes_its_version_alone(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "slide.tiff", tissue(300, 300), 0.5), {}))
    tiles = client.call("GET", f"{PREFIX}/slides/{slide['id']}/tiles").json()
    address = tiles["tile_url"].format(level=0, col=0, row=0)
    assert client.http.get(address, params={"v": tiles["version"]}).status_code == 200
    assert client.http.get(address, params={"w": "1"}).status_code == 422


def test_a_filter_by_identifier_answers_those_slides_alone(client, tmp_path):
    path = write_pyramid(tmp_path / "slide.tiff", tissue(300, 300), 0.5)
    slide = client.upload(path, {"accession": "S26-STRICT", "barcode": "LIS-STRICT"})
    for filters in ({"accession": "S26-STRICT"}, {"barcode": "LIS-STRICT"}, {"query": "s26-strict"}):
        listed = client.call("GET", f"{PREFIX}/slides", params=filters).json()["slides"]
        assert [one["id"] for one in listed] == [slide], filters
    assert client.call("GET", f"{PREFIX}/slides", params={"accession": "S26-NONE"}).json()["slides"] == []
