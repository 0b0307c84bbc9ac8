"""GET requests change no row and no file."""

import hashlib
import re

import pytest
from slides import tissue, write_pyramid
from tables import TABLES

pytestmark = pytest.mark.services
OF_THEMSELVES = ("audit", "workers", "credentials")  # views, workers' reports, a key's last use
ENDLESS = re.compile(r"/events$")


def rows(service):
    """Every row of every table that only a request may change; SQLite and PostgreSQL give them in any order."""
    tables = sorted({table.name for table in TABLES} - set(OF_THEMSELVES))
    return {name: sorted(map(repr, service.rows(f"SELECT * FROM {name}"))) for name in tables}


def credentials(service):
    return sorted(service.rows("SELECT hash, kind, principal_id, expires_at, revoked FROM credentials"))


def files(service):
    paths = (path for path in service.data.rglob("*") if path.is_file() and "slides" in path.parts)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_get_requests_change_nothing(client, service, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "s.tiff", tissue(600, 700), 0.5), {}))["id"]
    client.call("PUT", f"/api/v1/slides/{slide}/annotation", content=b'{"positive": [], "negative": []}')
    analysis = client.analyse(slide, rotation_check=False)["id"]
    parameters = {"slide_id": slide, "analysis_id": analysis, "level": "0", "tile": "0_0", "col": "0", "row": "0"}
    document = client.call("GET", "/openapi.json").json()["paths"]
    before, gotten = (rows(service), credentials(service), files(service)), 0
    for path in (path for path, methods in document.items() if "get" in methods):
        place = re.sub(r"\{(\w+)\}", lambda match: parameters.get(match.group(1), "0"), path)
        if ENDLESS.search(path):
            with client.http.stream("GET", place) as answer:
                gotten += answer.status_code == 200
        else:
            gotten += client.http.get(place).status_code == 200
            client.http.head(place)
    assert gotten > 20
    assert (rows(service), credentials(service), files(service)) == before
