"""Response classes of the media types beside JSON, so that the OpenAPI document names each."""

from fastapi import Response


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
