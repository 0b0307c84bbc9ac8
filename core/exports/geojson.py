"""Exports regions as GeoJSON for QuPath: one feature a region.

The shapes are those of RFC 7946, but coordinates are pixels rather than degrees, with y downward, as QuPath reads them.
"""

from collections.abc import Sequence
from typing import Any

from core.analyses.results import Region


def feature_collection(regions: Sequence[Region], origin_l0: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """Returns polygons in level-0 pixels, counted from `origin_l0` (x, y).

    QuPath counts from the corner of OpenSlide's bounds, which is not level 0's origin where a scanner states bounds.
    """
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
