"""Completes the OpenAPI document that FastAPI writes.

FastAPI does not know of the tiles, which are served below it, of the problem documents (RFC 9457) that may answer any
call, of the constants of tus, or of the credential and scope that a call needs. The table of calls does.
"""

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI

from api.contract import calls
from api.contract.calls import PLACEHOLDER, Call
from api.contract.media import OFFSET_TYPE, TUS_VERSION
from core.settings import get_settings

TUS = {  # the values of its headers; the routes answer others with the statuses of the protocol
    "tus-resumable": {"const": TUS_VERSION},
    "upload-offset": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "upload-length": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
}
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
        "parameters": {
            "type": "object",
            "description": "the numbers and names that `detail` and `action` contain",
            "additionalProperties": {"type": ["string", "number"]},
        },
        "errors": {
            "type": "array",
            "description": "each value that cannot be used",
            "items": {
                "type": "object",
                "required": ["where", "what"],
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}
CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS = {
    "4XX": {
        "description": "refused because of the request, its visitor or the state of an object",
        "content": CONTENT,
    },
    "5XX": {
        "description": "not possible now (503, with Retry-After), or a fault of the server",
        "content": CONTENT,
    },
}
BYTES = {"schema": {"type": "string", "format": "binary"}}
GEOJSON = "application/geo+json"
METHODS = ("get", "put", "post", "delete", "head", "patch", "options")


def install(api: FastAPI) -> None:
    """Replaces an app's `openapi` by one that completes the document at the first request and caches it."""
    generate, lock, cached = api.openapi, threading.Lock(), list[dict[str, Any]]()

    def openapi() -> dict[str, Any]:
        with lock:
            if not cached:
                complete(document := generate())
                if prefix := get_settings().prefix():
                    document["servers"] = [{"url": quote(prefix)}]
                cached.append(document)
        return cached[0]

    api.openapi = openapi  # type: ignore[method-assign] # as FastAPI's documentation does


def complete(document: dict[str, Any]) -> None:
    """Adds to a document, in place, what FastAPI cannot know."""
    document["paths"].update({call.path: {"get": _tile(call)} for call in calls.TILES})
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = SCHEMES
    table = {(call.path, call.method.lower()): call for call in calls.CALLS}
    for path, method, operation in _operations(document):
        _complete_operation(table[path, method], operation)


def _complete_operation(call: Call, operation: dict[str, Any]) -> None:
    operation["responses"].pop("422", None)  # a problem like all others
    for answer in operation["responses"].values():
        if GEOJSON in answer.get("content", {}):
            answer["content"][GEOJSON] = {"schema": {"type": "object"}}  # FastAPI says text
    operation["responses"].update(PROBLEMS)
    if not call.public:
        needs = [] if call.scope is None else [call.scope]
        operation["security"] = [{"key": needs}, {"session": needs}]
    _complete_parameters(call.path, operation)
    if call.streamed and call.method == "PATCH":
        operation["requestBody"] = {"required": True, "content": {OFFSET_TYPE: BYTES}}


def _complete_parameters(path: str, operation: dict[str, Any]) -> None:
    """OpenAPI describes Content-Type by the request body alone, so it is no parameter."""
    parameters = [one for one in operation.get("parameters", []) if one["name"].lower() != "content-type"]
    for parameter in parameters:
        if parameter["in"] == "header" and parameter["name"].lower() in TUS:
            parameter.update(required=True, schema=TUS[parameter["name"].lower()])
    described = {parameter["name"] for parameter in parameters}
    missing = [name for name in PLACEHOLDER.findall(path) if name not in described]
    operation["parameters"] = [*parameters, *(_in_path(name) for name in missing)]


def _tile(call: Call) -> dict[str, Any]:
    jpeg = {"description": "JPEG", "content": {"image/jpeg": {}}}
    answers = {"200": jpeg, "304": {"description": "unchanged"}}
    return {"tags": ["slides"], "summary": call.summary, "responses": answers}


def _in_path(name: str) -> dict[str, Any]:
    kind = {"type": "string"} if name.endswith("_id") else {"type": "integer", "minimum": 0}
    return {"name": name, "in": "path", "required": True, "schema": kind}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]
