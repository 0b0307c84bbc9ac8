"""Rejects query parameters that a call does not know.

A parameter that is ignored changes what the answer means: `?accession=…` on a server that does not know it would list
all slides, as if each had that accession.
"""

from difflib import get_close_matches

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.contract.calls import PREFIX
from core.errors import Invalid


def reject_unknown_parameters(request: Request) -> None:
    """Raises Invalid for the first query parameter that the matched route does not declare, or that comes twice.

    Pages are exempt: their address may carry the state of a view.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not request.scope["path"].startswith(f"{PREFIX}/"):
        return  # the route's own path lacks the prefix of its router
    declared = sorted(_names(route.dependant))
    for name in request.query_params:
        if name not in declared:
            raise unknown_parameter(name, declared)
        if len(request.query_params.getlist(name)) > 1:
            raise Invalid(
                "repeated-parameter", f"the query parameter {name[:50]!r} came more than once", "send it once"
            )


def unknown_parameter(name: str, declared: list[str]) -> Invalid:
    """The error for a parameter; it names those that the call knows, and the one that was likely meant."""
    close = get_close_matches(name, declared, 1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    choice = f"this call takes {', '.join(declared)}" if declared else "this call takes none"
    return Invalid("unknown-parameter", f"the query parameter {name[:50]!r} is not known", f"{guess}{choice}")


def _names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*(_names(other) for other in dependant.dependencies))
