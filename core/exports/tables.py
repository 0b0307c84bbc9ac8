"""Regions as a table."""

import csv
import io
from collections.abc import Sequence

from core.analyses.results import Region

MEASURES = ("rank", "cells", "max_score", "mean_score", "area_um2", "area_corrected_um2")
PLACES = ("peak_x_l0", "peak_y_l0", "left_l0", "top_l0", "right_l0", "bottom_l0")


def regions_csv(regions: Sequence[Region]) -> str:
    """CSV (RFC 4180), one line a region: lengths in level-0 pixels, areas in µm²."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([*MEASURES, *PLACES, "preliminary"])
    for region in regions:
        writer.writerow([*(getattr(region, name) for name in MEASURES), *region.peak_l0, *region.bbox_l0, "yes"])
    return buffer.getvalue()
