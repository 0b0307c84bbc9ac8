"""A patient's name, planted wherever a scanner or a person puts it, appears only where it is needed.

What a file carries (properties, descriptions, tags, comments of its JPEGs, names within a zip) must be nowhere at all;
the file's own name is shown to those who may see the slide, also in the CSV of its regions, and is in no log, address,
header, audit, other export or metric.
"""

import base64
import zipfile

import openslide
import pytest
from named_slides import FILED_UNDER, KINDS, PATIENT

from cli.client import TUS

pytestmark = pytest.mark.services
EXPORTS = ("heatmap", "heatmap.png", "regions", "regions.geojson", "regions.csv", "heatmap?dtype=uint8")


def answers(client, slide, analysis):
    """(place, bytes, headers) of every answer of the service about the slide."""
    place, base = f"/api/v1/slides/{slide['id']}", f"/api/v1/analyses/{analysis['id']}"
    paths = [
        place,
        f"{place}.dzi",
        f"{place}/tiles",
        f"{place}/thumbnail",
        f"{place}/analyses",
        base,
        "/api/v1/slides",
    ]
    paths += [f"{base}/{name}" for name in EXPORTS] + [f"{place}_files/{z}/0_0.jpeg" for z in (0, 9)]
    not_all_have = [f"{place}/macro", f"{place}/label", *(f"{place}/tiles/{level}/0_0.jpeg" for level in range(2))]
    paths += ["/api/v1/audit", "/api/v1/models", "/api/v1/evaluations", "/api/v1/keys", "/metrics", "/readyz"]
    for path in [*paths, *not_all_have]:
        answer = client.http.get(path)
        assert answer.status_code == 200 or path in not_all_have, (path, answer.text)
        yield path, answer.content, str(answer.headers.raw)


@pytest.mark.parametrize("make", KINDS)
def test_patient_name_is_planted(make, tmp_path):
    """The name is in OpenSlide's properties and in other parts of the file."""
    path = make(tmp_path)
    content = path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / "all")
        parts = sorted((tmp_path / "all").rglob("*.*"), key=lambda part: part.stat().st_size)
        content = b"".join(part.read_bytes() for part in parts if part.is_file())
        path = next(part for part in reversed(parts) if part.suffix in (".mrxs", ".vms", ".dcm"))
    properties = openslide.OpenSlide(path).properties
    property_count = sum(PATIENT in value for value in properties.values())
    assert property_count >= 3
    assert content.count(PATIENT.encode()) + content.count(base64.b64encode(PATIENT.encode())) > property_count


@pytest.mark.parametrize("make", KINDS)
def test_patient_name_appears_only_where_needed(client, service, tmp_path, make):
    slide = client.wait_for_slide(client.upload(make(tmp_path), {}))
    analysis = client.analyse(slide["id"], rotation_check=False)
    assert analysis["state"] == "succeeded"
    shows_name = {f"/api/v1/slides/{slide['id']}", "/api/v1/slides", f"/api/v1/analyses/{analysis['id']}/regions.csv"}
    for path, content, headers in answers(client, slide, analysis):
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
        text = log.read_text()
        assert PATIENT not in text, log.name
        assert FILED_UNDER not in text, log.name
    stored = str(service.rows("SELECT * FROM slides WHERE id = :id", id=slide["id"])) + str(
        service.rows("SELECT * FROM audit")
    )
    assert PATIENT not in stored
