"""A patient's name, planted wherever a scanner or a person would put it, is found nowhere that it need not be.

What a file carries (properties, descriptions, comments) must be nowhere at all; the file's own name is shown to those
who may see the slide, and is in no log, address, header, audit, export or metric.
"""

import numpy as np
import pytest
import tifffile
from slides import tissue, write_svs

from cli.client import TUS

pytestmark = pytest.mark.services
INSIDE, NAMED = "ROE^JANE", "DOE^JOHN"
EXPORTS = ("heatmap", "heatmap.png", "regions", "regions.geojson", "regions.csv", "heatmap?dtype=uint8")


def planted(folder):
    """A slide with the name in every text that the format has."""
    picture = np.full((60, 90, 3), 200, np.uint8)
    told = f"Patient = {INSIDE}|User = {INSIDE}|ScanScope ID = {INSIDE}|Title = {INSIDE}|Barcode = {INSIDE}"
    path = write_svs(folder / f"{NAMED}.svs", tissue(500, 600, [(200, 200, 101)]), 0.5, picture, picture, told)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        description = tiff.pages[1].tags["ImageDescription"]
        description.overwrite(f"Aperio Image Library v12 {INSIDE}")
    assert path.read_bytes().count(INSIDE.encode()) >= 6
    return path


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
    slide = client.wait_for_slide(client.upload(planted(tmp_path), {}))
    analysis = client.analyse(slide["id"])
    shows_name = {f"/api/v1/slides/{slide['id']}", "/api/v1/slides"}
    for path, content, headers in seen(client, slide, analysis):
        assert INSIDE.encode() not in content, path
        assert INSIDE not in headers + path
        assert NAMED not in headers + path
        assert path in shows_name or NAMED.encode() not in content, path
    client.http.get(f"/api/v1/slides/{slide['id']}/tiles/99/0_0.jpeg")
    client.http.patch(f"/api/v1/slides/{slide['id']}", json={"mpp": -1, "identifiers": {"a": NAMED}})
    client.http.post("/api/v1/uploads", headers={**TUS, "Upload-Length": "x", "Upload-Metadata": f"filename {NAMED}"})
    client.call("DELETE", f"/api/v1/slides/{slide['id']}")
    for log in service.data.glob("*.log"):
        told = log.read_text()
        assert INSIDE not in told, log.name
        assert NAMED not in told, log.name
    kept = str(service.rows("SELECT * FROM slides WHERE id = :id", id=slide["id"])) + str(
        service.rows("SELECT * FROM audit")
    )
    assert INSIDE not in kept
