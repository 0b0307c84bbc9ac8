"""Media types beside JSON: response classes, so that the OpenAPI document names each, and the constants of tus."""

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

from core.heatmap import planes
from core.heatmap.grid import affine_to_l0
from core.pixels.frame import Frame

TUS_VERSION = "1.0.0"
OFFSET_TYPE = "application/offset+octet-stream"  # the body of a tus PATCH


class Jpeg(Response):
    media_type = "image/jpeg"


class Png(Response):
    media_type = "image/png"


class Npy(Response):
    """A NumPy array in NPY format, for numpy.load."""

    media_type = "application/x-npy"

    @classmethod
    def from_cells(cls, cells: NDArray[np.generic], frame: Frame, headers: dict[str, str]) -> "Npy":
        """A value for each cell, (rows, cols), with the affine map of cells to level-0 pixels in Quarterturn-Affine."""
        affine = ", ".join(repr(value) for value in affine_to_l0(frame))
        return cls(planes.to_npy(cells), headers={**headers, "Quarterturn-Affine": affine})


class GeoJson(Response):
    """The format of RFC 7946, with coordinates in the slide's level-0 pixels in place of degrees."""

    media_type = "application/geo+json"


class Csv(Response):
    media_type = "text/csv"


class Xml(Response):
    media_type = "application/xml"
