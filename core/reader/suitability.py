"""Decides whether a slide that can be viewed can be analysed: the network was trained on bright-field H&E."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import SlideUnsupported
from core.pixels.bright_field import light_of
from core.reader import dicom_kind, picture_kind
from core.reader.picture_kind import EXPORT

CODE = "not-bright-field"
ACTION = "view it here, and analyse a bright-field H&E scan"
PLANES = 3
WORDS = {
    "dark": "its background is dark, as in fluorescence",
    "grey": "it has no colour",
}


def refuse_unsupported(path: Path, sizes: Sequence[tuple[int, int]], vendor: str) -> None:
    """Raises SlideUnsupported for a slide that would be shown as another picture than it is, by its tags alone."""
    dicom_kind.refuse_series(path)
    picture_kind.refuse_unsupported(path, sizes, vendor)


def refusal_to_analyse(
    path: Path, sizes: Sequence[tuple[int, int]], vendor: str, overview: NDArray[np.uint8]
) -> dict[str, Any] | None:
    """Returns why the slide must not be analysed, as a stored reason; None where it may be.

    Args:
        sizes: of the levels of the file, in pixels. overview: uint8 (height, width, 3).

    Raises:
        SlideUnsupported: the slide is one plane of a picture in colour.
    """
    light, pictures = light_of(overview), picture_kind.pictures_of(path)
    levels = picture_kind.used(pictures, sizes, vendor)
    if not levels or not levels[0].is_grey:
        return None if light == "bright-field" else _reason(WORDS[light])
    pages = len(picture_kind.full_size(pictures)) if vendor == "generic-tiff" else 1
    _refuse_planes(pages, light)
    return _reason("it has one channel, shown grey" + (f" (the first of {pages})" if pages > 1 else ""))


def _refuse_planes(pages: int, light: str) -> None:
    """Three bright grey pictures of full size are the red, green and blue of one: one of them would be shown."""
    if pages == PLANES and light != "dark":
        detail = f"unsupported: colour as {PLANES} grey planes (PhotometricInterpretation 1, one plane a directory)"
        raise SlideUnsupported("unsupported", detail, EXPORT, tag="PhotometricInterpretation", value=1, pictures=PLANES)


def _reason(cause: str) -> dict[str, Any]:
    detail = f"not a bright-field H&E image: {cause}"
    return {"code": CODE, "detail": detail, "action": ACTION, "parameters": {"cause": cause}}
