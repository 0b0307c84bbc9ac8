"""Media types beside JSON: response classes, so that the OpenAPI document names each, and the constants of tus."""

from fastapi import Response

TUS_VERSION = "1.0.0"
OFFSET_TYPE = "application/offset+octet-stream"  # the body of a tus PATCH


class Jpeg(Response):
    media_type = "image/jpeg"


class Png(Response):
    media_type = "image/png"


class Npy(Response):
    """A NumPy array in NPY format, for numpy.load."""

    media_type = "application/x-npy"


class GeoJson(Response):
    """The format of RFC 7946, with coordinates in the slide's level-0 pixels in place of degrees."""

    media_type = "application/geo+json"


class Csv(Response):
    media_type = "text/csv"


class Xml(Response):
    media_type = "application/xml"
