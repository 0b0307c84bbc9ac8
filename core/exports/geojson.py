"""Exports regions as GeoJSON for QuPath: one annotation a region.

Shapes are those of RFC 7946, but coordinates are pixels rather than degrees, with y downward, as QuPath reads them.
Properties are named as QuPath's `QuPathTypeAdapters` reads them (decision 22).
"""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from core.analyses.results import Region
from core.heatmap.outlines import polygons

# QuPath reads an object as a class only where it has both name and colour. The name is not "Tumor", which is QuPath's
# class for what a person outlines: a preliminary score must not pass for a diagnosis.
CLASSIFICATION = {"name": "Tumour score above threshold (preliminary)", "color": [0, 183, 199]}
MEASUREMENTS = {
    "Rank": "rank",
    "Cells": "cells",
    "Max score": "max_score",
    "Mean score": "mean_score",
    "Area um^2": "area_um2",
    "Corrected area um^2": "area_corrected_um2",
}


def feature_collection(
    regions: Sequence[Region], analysis_id: str, origin_l0: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """Returns polygons in level-0 pixels, counted from `origin_l0` (x, y).

    QuPath counts from the corner of OpenSlide's bounds, which is not level 0's origin where a scanner states bounds.
    """
    features = [_feature(region, analysis_id, origin_l0) for region in regions]
    return {"type": "FeatureCollection", "features": features}


def _feature(region: Region, analysis_id: str, origin_l0: tuple[int, int]) -> dict[str, Any]:
    """A region as a feature. Its id is the same in every export, so that a repeated import can be recognised."""
    return {
        "type": "Feature",
        "id": str(uuid5(NAMESPACE_URL, f"urn:quarterturn:{analysis_id}:region:{region.rank}")),
        "geometry": _geometry(region, origin_l0),
        "properties": {
            "objectType": "annotation",
            "name": f"Region {region.rank}, score {region.max_score:.3f} (preliminary)",
            "classification": CLASSIFICATION,
            # A list of names and values is read by QuPath since 0.3, a map only since 0.4.
            "measurements": [{"name": name, "value": getattr(region, key)} for name, key in MEASUREMENTS.items()],
            **{key: getattr(region, key) for key in MEASUREMENTS.values()},
        },
    }


def _geometry(region: Region, origin_l0: tuple[int, int]) -> dict[str, Any]:
    """A Polygon, or a MultiPolygon where the rings have several outlines."""
    left, top = origin_l0
    parts = [[[[x - left, y - top] for x, y in ring] for ring in polygon] for polygon in polygons(region.rings)]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}
