"""Answers that are no JSON, each by the name of its media type, so that the API's document tells of it."""

from fastapi import Response


class Jpeg(Response):
    media_type = "image/jpeg"


class Png(Response):
    media_type = "image/png"


class Npy(Response):
    """A NumPy array: numpy.load reads it."""

    media_type = "application/x-npy"


class GeoJson(Response):
    """RFC 7946's form, in the slide's level-0 pixels."""

    media_type = "application/geo+json"


class Csv(Response):
    media_type = "text/csv"


class Xml(Response):
    media_type = "application/xml"
