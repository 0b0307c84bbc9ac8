"""The results of an analysis: heat map, regions, and their exports."""

import json
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from api.contract.analyses import AnalysisScale, RegionsOut
from api.contract.media import Csv, GeoJson, Npy, Png
from api.request.trail import Trail
from api.request.transactions import Read
from api.request.visitor import Visitor
from core.analyses import requests
from core.analyses.parts import plane
from core.analyses.results import Results, require_results
from core.database.analyses import Analysis
from core.database.slides import Slide
from core.errors import NotFound
from core.exports import geojson, pictures, tables
from core.exports.csv_text import LOCALE, Style
from core.heatmap import planes
from core.pixels.levels import SlideInfo
from core.slides import scale

router = APIRouter(tags=["analyses"])
LANGUAGE = "language of the spreadsheet, as de or fr-CA: decimal mark and separator; default: point and commas"
# The pattern is documented here and checked in Style, whose answer lists the languages.
Locale = Annotated[str | None, Query(description=LANGUAGE, json_schema_extra={"pattern": LOCALE})]


def _results(session: Session, visitor: Visitor, analysis_id: str) -> tuple[Analysis, SlideInfo, Results]:
    """Raises NotFound, or Conflict and Withheld where there are no results to show."""
    analysis = requests.find(session, visitor, analysis_id)
    results = require_results(analysis)
    return analysis, scale.info_of_analysis(analysis, session.get_one(Slide, analysis.slide_id)), results


def _scale_headers(info: SlideInfo) -> dict[str, str]:
    """Quarterturn-Mpp: µm per level-0 pixel along x and y that the analysis was made at."""
    return {"Quarterturn-Mpp": f"{info.mpp_x!r}, {info.mpp_y!r}"}


@router.get("/analyses/{analysis_id}/heatmap", response_class=Npy)
def get_heat_map(
    session: Read,
    visitor: Visitor,
    analysis_id: str,
    trail: Trail,
    dtype: Literal["float32", "uint8"] = "float32",
    quantity: Literal["score", "logit", "strangeness"] = "score",
) -> Response:
    """The grid as NumPy .npy. float32 is the record, NaN where nothing was analysed; uint8 is for display, 255 there.

    `strangeness` measures how unlike the network's training patches a cell is; as uint8, 127 is the threshold.

    Quarterturn-Affine has a, b, c, d, e, f: the centre of cell (row, col) is at level-0 pixel
    x = a·col + b·row + c, y = d·col + e·row + f.
    """
    analysis, info, results = _results(session, visitor, analysis_id)
    if dtype == "uint8":  # what the viewer fetches; the record itself is an export
        trail.viewed(session, analysis.id)
    else:
        trail.exported(session, analysis.id, what=f"heatmap.{quantity}")
    if quantity == "strangeness":
        values = _strangeness(session, analysis, info, results, dtype)
    else:
        logits = plane(session, analysis, info)
        values = logits if quantity == "logit" and dtype == "float32" else planes.to_scores(logits)
    array = planes.to_uint8(values) if dtype == "uint8" else values
    headers = {**_scale_headers(info), "Cache-Control": "private, max-age=3600"}
    return Npy.from_cells(array, info.frame(), headers)


def _strangeness(session: Session, analysis: Analysis, info: SlideInfo, results: Results, dtype: str) -> planes.Values:
    """Distances (rows, cols), as float32; for uint8 scaled to 0..1 with the threshold at one half.

    Raises:
        NotFound: no reference for this network's training patches is stored.
    """
    if results.familiarity is None:
        raise NotFound("no-strangeness", "this network has no familiarity to compare with", "request the score")
    distances = plane(session, analysis, info, "strangeness")
    if dtype == "float32":
        return distances
    scaled: planes.Values = np.clip(distances / np.float32(2 * results.familiarity.threshold), 0, 1)
    return scaled


@router.get("/analyses/{analysis_id}/heatmap.png", response_class=Png)
def get_picture(session: Read, visitor: Visitor, analysis_id: str, trail: Trail) -> Response:
    """One grey pixel a cell (0 to 254 for scores 0 to 1), transparent where nothing was analysed."""
    analysis, info, _ = _results(session, visitor, analysis_id)
    trail.exported(session, analysis.id, what="heatmap.png")
    return Png(pictures.heatmap_png(planes.to_scores(plane(session, analysis, info))))


@router.get("/analyses/{analysis_id}/regions")
def get_regions(session: Read, visitor: Visitor, analysis_id: str, trail: Trail) -> RegionsOut:
    """Returns the regions in level-0 pixels, ranked by their highest cell, then by area."""
    analysis, _, results = _results(session, visitor, analysis_id)
    made_at = AnalysisScale.from_records(analysis, session.get_one(Slide, analysis.slide_id))
    trail.viewed(session, analysis_id)
    return RegionsOut.from_results(results, made_at)


@router.get("/analyses/{analysis_id}/regions.geojson", response_class=GeoJson)
def get_regions_geojson(
    session: Read, visitor: Visitor, analysis_id: str, trail: Trail, origin: Literal["level0", "bounds"] = "level0"
) -> Response:
    """GeoJSON annotations as QuPath reads them: a valid polygon each, with class, name and measurements.

    `origin=bounds` counts from the corner of the scanned area, as QuPath does. The file's member `origin` states it.
    """
    _, info, results = _results(session, visitor, analysis_id)
    trail.exported(session, analysis_id, what="regions.geojson")
    origin_l0 = (info.bounds_x, info.bounds_y) if origin == "bounds" else (0, 0)
    # Non-ASCII is escaped: QuPath before 0.4.1 reads files in the computer's own character set.
    collection = geojson.feature_collection(results.regions, analysis_id, origin_l0)
    content = json.dumps({**collection, "origin": origin})
    return GeoJson(content, headers={**_scale_headers(info), **_attachment(f"regions-{analysis_id}.geojson")})


@router.get("/analyses/{analysis_id}/regions.csv", response_class=Csv)
def get_regions_csv(
    session: Read, visitor: Visitor, analysis_id: str, trail: Trail, locale: Locale = None, bom: bool = False
) -> Response:
    """One line a region with the slide's file name and accession; lengths in level-0 pixels, areas in µm².

    Text that a spreadsheet would take for a formula has an apostrophe before it. `bom=true` begins the file with a
    byte order mark, by which Excel knows UTF-8.
    """
    style = Style.from_locale(locale, mark=bom)
    analysis, info, results = _results(session, visitor, analysis_id)
    slide = session.get_one(Slide, analysis.slide_id)
    trail.exported(session, analysis_id, what="regions.csv")
    content = tables.regions_csv(slide, results.regions, style)
    return Csv(content, headers={**_scale_headers(info), **_attachment(f"regions-{analysis_id}.csv")})


def _attachment(filename: str) -> dict[str, str]:
    """The header that saves an answer as a file, whose name has ids only."""
    return {"Content-Disposition": f'attachment; filename="{filename}"'}
