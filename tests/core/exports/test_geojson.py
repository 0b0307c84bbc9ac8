"""Regions as QuPath reads them: its parsing rules, from its sources (0.3.2 to 0.7.0), and shapely for the shapes."""

import json
from uuid import UUID

import numpy as np
import pytest
import shapely.geometry
from hypothesis import given
from hypothesis import strategies as st

from core.analyses.results import Region
from core.exports.geojson import feature_collection
from core.heatmap.grid import grid_shape
from core.heatmap.outlines import signed_area
from core.heatmap.regions import find_regions
from core.pixels.frame import Frame

ANALYSIS = "5f84e79927574578a67c71d718bcc131"
OBJECT_TYPES = {"annotation", "detection", "tile", "cell"}


def regions_of(seed, density=0.6):
    frame = Frame.from_slide(2000, 1500, 0.5, 0.5)
    scores = np.random.default_rng(seed).random(grid_shape(frame)).astype(np.float32)
    regions = find_regions(1 - scores, 1 - density, frame)
    return [Region(**region.to_dict()) for region in regions], frame


def exported(regions, origin=(0, 0)):
    """The file's bytes as they are written, parsed again."""
    content = json.dumps(feature_collection(regions, ANALYSIS, origin))
    content.encode("ascii")  # QuPath before 0.4.1 reads files in the computer's own character set
    return json.loads(content)


def qupath_reads(feature, measurements_as_map=True):
    """An object as `PathObjectTypeAdapter.parseObject` makes it; an AssertionError is an exception in QuPath.

    `measurements_as_map`: since 0.4 a map is read as well as a list.
    """
    properties = feature["properties"]
    classification = properties["classification"]  # PathClassTypeAdapter: a text, or an object with name and colour
    if isinstance(classification, dict):
        assert {"name", "color"} <= set(classification) or "colorRGB" in classification
        assert len(classification["color"]) in (1, 3, 4)
        assert all(type(value) is int and 0 <= value <= 255 for value in classification["color"])
        classification = classification["name"]
    assert not set(classification) & set(":\n\r"), "no characters that PathClass refuses or splits at"
    measurements = properties["measurements"]
    if isinstance(measurements, list):
        measurements = {str(entry["name"]): float(entry["value"]) for entry in measurements}
    else:
        assert measurements_as_map
        measurements = {name: float(value) for name, value in measurements.items()}
    return {
        "id": UUID(feature["id"]),  # any other text is dropped, and a new id drawn
        "type": properties.get("objectType", properties.get("object_type", properties.get("type", "unknown"))),
        "class": classification,
        "name": properties["name"],
        "measurements": measurements,
        "shape": qupath_shape(feature["geometry"]),
    }


def qupath_shape(geometry):
    """`ROITypeAdapters.parseGeometry`: of a polygon the first ring is the shell, whatever its direction.

    Coordinates are then reduced to 0.01 px and stored as float32.
    """
    assert geometry["type"] in ("Polygon", "MultiPolygon")
    several = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    polygons = []
    for rings in several:
        assert all(ring[0] == ring[-1] and len(ring) >= 4 for ring in rings), "JTS refuses other linear rings"
        shell, *holes = (np.round(np.array(ring), 2).astype(np.float32).astype(float) for ring in rings)
        polygons.append(shapely.Polygon(shell, holes))
    return shapely.MultiPolygon(polygons)


@given(st.integers(0, 2**31), st.sampled_from([0.1, 0.4, 0.6, 0.8, 0.95]))
def test_every_geometry_is_valid_and_has_the_area_of_its_cells(seed, density):
    regions, frame = regions_of(seed, density)
    features = exported(regions)["features"]
    side_area = frame.cell_area_um2() / 0.5**2
    for region, feature in zip(regions, features, strict=True):
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.area == pytest.approx(region.cells * side_area, rel=1e-9)
        outer, *holes = feature["geometry"]["coordinates"]
        assert signed_area(outer) > 0, "RFC 7946: counter-clockwise outside"
        assert all(signed_area(hole) < 0 for hole in holes), "clockwise holes"
        assert qupath_shape(feature["geometry"]).is_valid


@pytest.mark.parametrize("measurements_as_map", [False, True], ids=["0.3", "0.4 to 0.7"])
def test_qupath_reads_type_class_name_and_measurements(measurements_as_map):
    regions, _ = regions_of(1)
    collection = exported(regions)
    assert collection["type"] == "FeatureCollection"
    read = [qupath_reads(feature, measurements_as_map) for feature in collection["features"]]
    assert len({item["id"] for item in read}) == len(read) == len(regions) > 3
    for item, region in zip(read, regions, strict=True):
        assert item["type"] in OBJECT_TYPES
        assert item["type"] == "annotation"
        assert "preliminary" in item["class"] and "preliminary" in item["name"]
        assert str(region.rank) in item["name"]
        assert f"{region.max_score:.3f}" in item["name"]
        values = item["measurements"]
        assert values["Max score"] == region.max_score
        assert values["Mean score"] == region.mean_score
        assert (values["Rank"], values["Cells"]) == (region.rank, region.cells)
        assert values["Area um^2"] == region.area_um2
        assert values["Corrected area um^2"] == region.area_corrected_um2


def test_ids_are_the_same_in_every_export_and_differ_between_analyses():
    regions, _ = regions_of(2)
    ids = [feature["id"] for feature in exported(regions)["features"]]
    assert [feature["id"] for feature in exported(regions, (300, 200))["features"]] == ids
    other = feature_collection(regions, ANALYSIS[::-1])["features"]
    assert not set(ids) & {feature["id"] for feature in other}


def test_properties_stay_readable_as_columns():
    """As geopandas reads a feature's properties: before QuPath's measurements there were only these."""
    regions, _ = regions_of(3)
    for region, feature in zip(regions, exported(regions)["features"], strict=True):
        for name in ("rank", "cells", "max_score", "mean_score", "area_um2", "area_corrected_um2"):
            assert feature["properties"][name] == getattr(region, name)


def test_origin_shifts_every_point():
    regions, _ = regions_of(4)
    for one, other in zip(exported(regions)["features"], exported(regions, (304, 208))["features"], strict=True):
        for ours, theirs in zip(one["geometry"]["coordinates"], other["geometry"]["coordinates"], strict=True):
            np.testing.assert_allclose(np.subtract(ours, theirs), np.broadcast_to([304, 208], np.shape(ours)))


def region(*rings):
    numbers = {"rank": 1, "cells": 7, "max_score": 0.9, "mean_score": 0.8, "area_um2": 7.0, "area_corrected_um2": 4.0}
    return Region(**numbers, peak_l0=(1, 1), bbox_l0=(0, 0, 3, 3), rings=rings)


# Seven cells around a gap that is open at a corner, as version 0.1 stored them: through (1, 1) twice.
TOUCHING = ((1, 0), (3, 0), (3, 3), (0, 3), (0, 1), (1, 1), (1, 2), (2, 2), (2, 1), (1, 1), (1, 0))


def test_stored_regions_whose_ring_touches_itself_are_mended():
    assert not shapely.Polygon(TOUCHING).is_valid
    stored = region(TOUCHING)
    (feature,) = exported([stored])["features"]
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.is_valid
    assert (shape.geom_type, shape.area, len(shape.interiors)) == ("Polygon", 7, 1)
    assert len(stored.rings) == 2, "the regions of the API are the same"


def test_parts_that_touch_at_a_corner_only_are_a_multipolygon():
    corner = ((0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (1, 2), (1, 1), (0, 1), (0, 0))
    (feature,) = exported([region(corner)])["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.is_valid
    assert shape.area == 2
    assert qupath_shape(feature["geometry"]).is_valid
