"""A patient's name, planted wherever a scanner or a person would put it, is found nowhere that it need not be.

What a file carries (properties, descriptions, other tags) must be nowhere at all; the file's own name is shown to those
who may see the slide, and is in no log, address, header, audit, export or metric.
"""

import pytest
from slides import FILED_UNDER, PATIENT, named_svs

from cli.client import TUS

pytestmark = pytest.mark.services
EXPORTS = ("heatmap", "heatmap.png", "regions", "regions.geojson", "regions.csv", "heatmap?dtype=uint8")


def seen(client, slide, analysis):
    """(where, bytes, headers) of everything that the service answers about it."""
    place, where = f"/api/v1/slides/{slide['id']}", f"/api/v1/analyses/{analysis['id']}"
    paths = [
        place,
        f"{place}.dzi",
        f"{place}/tiles",
        f"{place}/thumbnail",
        f"{place}/analyses",
        where,
        "/api/v1/slides",
    ]
    paths += [f"{where}/{name}" for name in EXPORTS] + [f"{place}/macro", f"{place}/label"]
    paths += [f"{place}/tiles/{level}/0_0.jpeg" for level in range(2)] + [f"{place}_files/{z}/0_0.jpeg" for z in (0, 9)]
    paths += ["/api/v1/audit", "/api/v1/models", "/api/v1/evaluations", "/api/v1/keys", "/metrics", "/readyz"]
    for path in paths:
        answer = client.call("GET", path)
        yield path, answer.content, str(answer.headers.raw)


def test_a_name_is_nowhere_that_it_need_not_be(client, service, tmp_path):
    slide = client.wait_for_slide(client.upload(named_svs(tmp_path), {}))
    analysis = client.analyse(slide["id"])
    shows_name = {f"/api/v1/slides/{slide['id']}", "/api/v1/slides"}
    for path, content, headers in seen(client, slide, analysis):
        assert PATIENT.encode() not in content, path
        assert PATIENT not in headers + path
        assert FILED_UNDER not in headers + path
        assert path in shows_name or FILED_UNDER.encode() not in content, path
    client.http.get(f"/api/v1/slides/{slide['id']}/tiles/99/0_0.jpeg")
    client.http.patch(f"/api/v1/slides/{slide['id']}", json={"mpp": -1, "identifiers": {"a": FILED_UNDER}})
    client.http.post(
        "/api/v1/uploads", headers={**TUS, "Upload-Length": "x", "Upload-Metadata": f"filename {FILED_UNDER}"}
    )
    client.call("DELETE", f"/api/v1/slides/{slide['id']}")
    for log in service.data.glob("*.log"):
        told = log.read_text()
        assert PATIENT not in told, log.name
        assert FILED_UNDER not in told, log.name
    kept = str(service.rows("SELECT * FROM slides WHERE id = :id", id=slide["id"])) + str(
        service.rows("SELECT * FROM audit")
    )
    assert PATIENT not in kept
