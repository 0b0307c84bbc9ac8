"""Regions as a table."""

from collections.abc import Sequence

from core.analyses.results import Region
from core.database.slides import Slide
from core.exports import csv_text
from core.exports.csv_text import Style

IDENTITY = ("slide", "accession")
MEASURES = ("rank", "cells", "max_score", "mean_score", "area_um2", "area_corrected_um2")
PLACES = ("peak_x_l0", "peak_y_l0", "left_l0", "top_l0", "right_l0", "bottom_l0")


def regions_csv(slide: Slide, regions: Sequence[Region], style: Style) -> str:
    """CSV, one line a region: the slide's file name and accession, lengths in level-0 pixels, areas in µm²."""
    identity = (slide.filename, str(slide.identifiers.get("accession", "")))
    rows = [
        (*identity, *(getattr(region, name) for name in MEASURES), *region.peak_l0, *region.bbox_l0, "yes")
        for region in regions
    ]
    return csv_text.write([*IDENTITY, *MEASURES, *PLACES, "preliminary"], rows, style)
