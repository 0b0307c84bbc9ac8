"""Exports of regions over HTTP: as QuPath and spreadsheets fetch them, and of analyses stored by an older version."""

import csv
import io
import json
import re
import unicodedata
from uuid import UUID

import pytest
import shapely.geometry
from slides import tissue, write_pyramid

from core.heatmap.outlines import signed_area

pytestmark = pytest.mark.services
NAME = "=cmd;@über 1.tiff"


@pytest.fixture(scope="module")
def slide(service, tmp_path_factory):
    client = service.client()
    path = write_pyramid(tmp_path_factory.mktemp("slides") / NAME, tissue(900, 1200), 0.5)
    return client.wait_for_slide(client.upload(path, {"accession": "S26-1"}))


@pytest.fixture(scope="module")
def base(service, slide):
    analysis = service.client().analyse(slide["id"], rotation_check=False, threshold=0.001)
    assert analysis["state"] == "succeeded"
    return f"/api/v1/analyses/{analysis['id']}"


def rows(client, base, separator=",", **parameters):
    answer = client.call("GET", f"{base}/regions.csv", params=parameters)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="regions-[0-9a-f]{32}\.csv"', answer.headers["content-disposition"])
    text = answer.content.decode()
    assert not re.search(r"(?<!\r)\n", text), "lines end with CR LF"
    return text, list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), delimiter=separator, strict=True))


def test_csv_names_the_slide_and_follows_a_locale(client, base):
    regions = client.call("GET", f"{base}/regions").json()["regions"]
    assert regions
    text, plain = rows(client, base)
    assert not text.startswith("\ufeff")
    marked, german = rows(client, base, ";", locale="de", bom=True)
    assert marked.startswith("\ufeff")
    for region, one, other in zip(regions, plain, german, strict=True):
        for row in (one, other):
            assert unicodedata.normalize("NFC", row["slide"]) == "'=cmd;'@über 1.tiff"
            assert row["accession"] == "S26-1"
        assert float(one["max_score"]) == region["max_score"] == float(other["max_score"].replace(",", "."))
        assert "." not in other["max_score"] + other["left_l0"]


def test_unknown_locales_are_refused_with_those_that_are_read(client, base):
    answer = client.http.get(f"{base}/regions.csv", params={"locale": "xx"})
    assert answer.status_code == 422
    assert "'xx'" in answer.json()["detail"]
    assert "de" in answer.json()["action"]


def test_geojson_is_what_qupath_reads(client, base):
    answer = client.call("GET", f"{base}/regions.geojson")
    assert answer.headers["content-type"] == "application/geo+json"
    assert ".geojson" in answer.headers["content-disposition"]
    assert answer.content.isascii()
    features = answer.json()["features"]
    again = client.call("GET", f"{base}/regions.geojson").json()["features"]
    assert [feature["id"] for feature in again] == [str(UUID(feature["id"])) for feature in features]
    for feature in features:
        assert shapely.geometry.shape(feature["geometry"]).is_valid
        properties = feature["properties"]
        values = {entry["name"]: entry["value"] for entry in properties["measurements"]}
        assert properties["objectType"] == "annotation"
        assert values["Max score"] == properties["max_score"]
        assert len(properties["classification"]["color"]) == 3


def test_rings_that_an_older_version_stored_are_mended(client, service, slide, base):
    """Seven cells around a gap that is open at a corner, as version 0.1 drew them."""
    touching = [[1, 0], [3, 0], [3, 3], [0, 3], [0, 1], [1, 1], [1, 2], [2, 2], [2, 1], [1, 1], [1, 0]]
    assert not shapely.Polygon(touching).is_valid
    analysis = client.analyse(slide["id"], rotation_check=False, threshold=0.002)["id"]
    (stored,) = service.rows("SELECT results FROM analyses WHERE id = :id", id=analysis)
    content = stored[0] if isinstance(stored[0], dict) else json.loads(stored[0])
    region = {**content["regions"][0], "cells": 7, "rings": [touching]}
    statement = "UPDATE analyses SET results = :results WHERE id = :id"
    service.change(statement, results=json.dumps({**content, "regions": [region]}), id=analysis)
    mine = base.rsplit("/", 1)[0] + f"/{analysis}"
    (listed,) = client.call("GET", f"{mine}/regions").json()["regions"]
    (feature,) = client.call("GET", f"{mine}/regions.geojson").json()["features"]
    for shape in (
        shapely.Polygon(listed["rings"][0], listed["rings"][1:]),
        shapely.geometry.shape(feature["geometry"]),
    ):
        assert shape.is_valid
        assert shape.area == 7
    assert [signed_area(ring) > 0 for ring in listed["rings"]] == [True, False]
