"""Rejects query parameters that a call does not know.

A parameter that is ignored changes what the answer means: `?accession=…` on a server that does not know it would list
all slides, as if each had that accession.
"""

from difflib import get_close_matches
from typing import get_args, get_origin
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.contract.calls import PREFIX
from core.errors import Invalid


def reject_unknown_parameters(request: Request) -> None:
    """Raises Invalid for the first query parameter that the matched route does not declare, or that comes twice.

    A parameter that is declared as a list may come more than once. Pages are exempt: their address may
    carry the state of a view.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not request.scope["path"].startswith(f"{PREFIX}/"):
        return  # the route's own path lacks the prefix of its router
    if not request.query_params:
        return  # most requests: nothing to compare
    is_list = _is_list_by_name(route.dependant)
    for name in request.query_params:
        if name not in is_list:
            raise unknown_parameter(name, sorted(is_list))
        if len(request.query_params.getlist(name)) > 1 and not is_list[name]:
            raise Invalid(
                "repeated-parameter", f"the query parameter {name[:50]!r} came more than once", "send it once"
            )


def reject_others(query: bytes, declared: list[str]) -> None:
    """Raises Invalid for the first parameter of a raw query string that is not declared."""
    if not query:
        return  # most requests: parsing an empty string is a measurable part of a tile
    for name, _ in parse_qsl(query.decode("latin1"), keep_blank_values=True):
        if name not in declared:
            raise unknown_parameter(name, declared)


def unknown_parameter(name: str, declared: list[str]) -> Invalid:
    """The error for a parameter; it names those that the call knows, and the one that was likely meant."""
    close = get_close_matches(name, declared, 1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    choice = f"this call takes {', '.join(declared)}" if declared else "this call takes none"
    return Invalid("unknown-parameter", f"the query parameter {name[:50]!r} is not known", f"{guess}{choice}")


def _is_list_by_name(dependant: Dependant) -> dict[str, bool]:
    """Whether each declared parameter is a list, also those of dependencies."""
    names = {field.alias: _is_list(field.field_info.annotation) for field in dependant.query_params}
    for other in dependant.dependencies:
        names |= _is_list_by_name(other)
    return names


def _is_list(annotation: object) -> bool:
    """Whether a type is a list, or a union with one."""
    return any(get_origin(option) is list for option in (annotation, *get_args(annotation)))
