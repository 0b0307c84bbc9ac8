"""The OpenAPI document as callers need it: what FastAPI writes, and what it does not know.

Tiles are served below the framework; problems (RFC 9457) may answer any call; tus' version is a constant; and a key or
a session must come with all calls but a few.
"""

import re
import threading
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

PREFIX = "/api/v1"
PLACE = re.compile(r"\{[^}]+\}")
TILES = {
    "/slides/{slide_id}/tiles/{level}/{col}_{row}.jpeg": "A tile of the slide's own grid, as the file has it.",
    "/slides/{slide_id}_files/{dz_level}/{col}_{row}.jpeg": "A Deep Zoom tile.",
}
OPEN = {("/api/v1/session", "post"), ("/api/v1/session", "delete"), ("/healthz", "get"), ("/readyz", "get")}
TUS = {  # what its headers must be; the routes answer with the protocol's own statuses when they are not
    "tus-resumable": {"const": "1.0.0"},
    "upload-offset": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "upload-length": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
}
OFFSET_TYPE = "application/offset+octet-stream"
SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "an API key (POST /keys)"},
    "session": {"type": "apiKey", "in": "cookie", "name": "quarterturn", "description": "a browser's session"},
}
PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457: what is wrong, and what to do.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "urn:quarterturn:problem:CODE, stable"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong, in a sentence"},
        "action": {"type": "string", "description": "what to do"},
        "errors": {"type": "array", "items": {"type": "object"}, "description": "each value that cannot be used"},
    },
}
ANSWERED = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS = {
    "4XX": {"description": "refused: the request, its sender or the state of things", "content": ANSWERED},
    "5XX": {"description": "not possible now, or a fault of the server", "content": ANSWERED},
}
BYTES = {"schema": {"type": "string", "format": "binary"}}
GEOJSON = "application/geo+json"
METHODS = ("get", "put", "post", "delete", "head", "patch", "options")


def install(api: FastAPI) -> None:
    """Complete the document when it is first asked for."""
    made, lock, finished = api.openapi, threading.Lock(), list[dict[str, Any]]()

    def openapi() -> dict[str, Any]:
        with lock:
            if not finished:
                complete(document := made())
                finished.append(document)
        return finished[0]

    api.openapi = openapi  # type: ignore[method-assign] # as FastAPI's documentation says


def complete(document: dict[str, Any]) -> None:
    """Add to a document, in place, what FastAPI could not know."""
    document["paths"].update({PREFIX + path: {"get": _tile(sentence)} for path, sentence in TILES.items()})
    parts = document.setdefault("components", {})
    parts.setdefault("schemas", {})["Problem"] = PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(unused, None)
    parts["securitySchemes"] = SCHEMES
    for path, method, operation in _operations(document):
        operation["responses"].pop("422", None)
        for answer in operation["responses"].values():
            if GEOJSON in answer.get("content", {}):
                answer["content"][GEOJSON] = {"schema": {"type": "object"}}  # FastAPI says text
        operation["responses"].update(PROBLEMS)
        if (path, method) not in OPEN and method != "options":
            operation["security"] = [{"key": []}, {"session": []}]
        _complete_parameters(path, operation)
        if path.startswith(f"{PREFIX}/uploads/") and method == "patch":
            operation["requestBody"] = {"required": True, "content": {OFFSET_TYPE: BYTES}}


def _complete_parameters(path: str, operation: dict[str, Any]) -> None:
    """OpenAPI says of Content-Type by the body's description alone."""
    given = [one for one in operation.get("parameters", []) if one["name"].lower() != "content-type"]
    for parameter in given:
        if parameter["in"] == "header" and parameter["name"].lower() in TUS:
            parameter.update(required=True, schema=TUS[parameter["name"].lower()])
    known = {one["name"] for one in given}
    missing = [name for name in _names(path) if name not in known]
    operation["parameters"] = [*given, *(_in_path(name) for name in missing)]


def methods_of(document: dict[str, Any], path: str) -> list[str]:
    """The methods that an address takes (RFC 9110, 10.2.1); none where the document does not know it."""
    fitting = [t for t in document["paths"] if re.fullmatch(PLACE.sub("[^/]+", t.replace(".", r"\.")), path)]
    if not fitting:
        return []
    closest = document["paths"][max(fitting, key=lambda template: len(PLACE.sub("", template)))]
    return sorted(method.upper() for method in METHODS if method in closest)


def _tile(sentence: str) -> dict[str, Any]:
    shown = {"description": "JPEG", "content": {"image/jpeg": {}}}
    answers = {"200": shown, "304": {"description": "unchanged"}}
    return {"tags": ["slides"], "summary": sentence, "responses": answers}


def _names(path: str) -> list[str]:
    return [part.split("}")[0] for part in path.split("{")[1:]]


def _in_path(name: str) -> dict[str, Any]:
    kind = {"type": "string"} if name.endswith("_id") else {"type": "integer", "minimum": 0}
    return {"name": name, "in": "path", "required": True, "schema": kind}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]
