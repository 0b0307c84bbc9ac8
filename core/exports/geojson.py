"""Regions as GeoJSON (RFC 7946's shapes, in pixels as QuPath reads them): a feature a region."""

from collections.abc import Sequence
from typing import Any

from core.analyses.results import Region


def feature_collection(regions: Sequence[Region], origin_l0: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """Polygons counted from level-0 pixel `origin_l0`. QuPath's origin is OpenSlide's bounds, not level 0."""
    return {"type": "FeatureCollection", "features": [_feature(region, origin_l0) for region in regions]}


def _feature(region: Region, origin_l0: tuple[int, int]) -> dict[str, Any]:
    rings = [[[x - origin_l0[0], y - origin_l0[1]] for x, y in ring] for ring in region.rings]
    measured = ("rank", "cells", "max_score", "mean_score", "area_um2", "area_corrected_um2")
    return {
        "type": "Feature",
        "id": region.rank,
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": {
            "objectType": "annotation",
            "name": f"Region {region.rank} (preliminary)",
            **{name: getattr(region, name) for name in measured},
        },
    }
