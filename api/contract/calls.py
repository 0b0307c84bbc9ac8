"""The table of every call that the API answers.

Everything that has to agree about a call reads it here: the scopes and roles that a visitor needs, what the gate lets
through, the names in the audit, the words that may stand in a log, the OpenAPI document and the tile addresses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.access.visitor import Scope
from core.errors import NotFound

PREFIX = "/api/v1"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
PLACEHOLDER = re.compile(r"\{(\w+)\}")
ID = re.compile(r"[0-9a-f]{16}([0-9a-f]{16})?(_files|\.dzi)?")
NUMBERS = re.compile(r"[0-9]{1,7}(_[0-9]{1,7}\.jpe?g)?")


@dataclass(frozen=True)
class Call:
    """One method on one address.

    Attributes:
        path: the address, with placeholders as in a route.
        scope: what a key that is limited to scopes must be for; None: any key.
        role: the lowest role of a visitor.
        change, view, export: the audit's name for what the call changes, for a first view, and for what leaves the
            service. Empty: not audited.
        public: answered without a visitor.
        streamed: the route reads the body itself and bounds it; the gate does not buffer it.
        bare: answered by the tile application, below the framework; `summary` is its line in the OpenAPI document.
    """

    method: str
    path: str
    scope: Scope | None = "read"
    role: str = "viewer"
    change: str = ""
    view: str = ""
    export: str = ""
    public: bool = False
    streamed: bool = False
    bare: bool = False
    summary: str = ""


def _v1(
    method: str,
    path: str,
    scope: Scope | None = "read",
    role: str = "viewer",
    *,
    change: str = "",
    view: str = "",
    export: str = "",
    public: bool = False,
    streamed: bool = False,
) -> Call:
    return Call(method, PREFIX + path, scope, role, change, view, export, public, streamed)


def _page(path: str, method: str = "GET") -> Call:
    """A page or a file of the viewer: public, since it holds nothing of a workspace."""
    return Call(method, path, None, public=True)


SLIDE, ANALYSIS = "/slides/{slide_id}", "/analyses/{analysis_id}"
NATIVE_TILE = Call(
    "GET", f"{PREFIX}{SLIDE}/tiles/{{level}}/{{col}}_{{row}}.jpeg", view="slide.view", bare=True,
    summary="A tile of the slide's own grid, as stored in the file.",
)  # fmt: skip
DEEP_ZOOM_TILE = Call(
    "GET", f"{PREFIX}{SLIDE}_files/{{dz_level}}/{{col}}_{{row}}.jpeg", view="slide.view", bare=True,
    summary="A Deep Zoom tile.",
)  # fmt: skip
TILES = (NATIVE_TILE, DEEP_ZOOM_TILE)

CALLS = (
    _v1("POST", "/session", None, change="session.open", public=True),
    _v1("GET", "/session", None),
    _v1("DELETE", "/session", None, change="session.close", public=True),
    _v1("GET", "/keys", "manage", "admin"),
    _v1("POST", "/keys", "manage", "admin", change="key.create"),
    _v1("DELETE", "/keys/{key_id}", "manage", "admin", change="key.revoke"),
    _v1("GET", "/people", "manage", "admin"),
    _v1("POST", "/people", "manage", "admin", change="person.create"),
    _v1("PUT", "/people/{person_id}/password", "manage", change="person.password"),  # one's own, or an admin
    _v1("DELETE", "/people/{person_id}", "manage", "admin", change="person.remove"),
    _v1("OPTIONS", "/uploads", "upload", public=True),
    _v1("OPTIONS", "/uploads/{upload_id}", "upload", public=True),
    _v1("POST", "/uploads", "upload", "analyst", change="upload.create"),
    _v1("HEAD", "/uploads/{upload_id}", "upload", change="upload.finish"),
    _v1("PATCH", "/uploads/{upload_id}", "upload", "analyst", change="upload.finish", streamed=True),
    _v1("DELETE", "/uploads/{upload_id}", "upload", "analyst", change="upload.terminate"),
    _v1("GET", "/uploads/{upload_id}", "upload"),
    _v1("GET", "/slides"),
    _v1("POST", "/slides", "upload", "analyst", change="slide.refer"),
    _v1("GET", f"{SLIDE}.dzi", view="slide.view"),
    _v1("GET", SLIDE),
    _v1("PATCH", SLIDE, "upload", "analyst", change="slide.change"),
    _v1("DELETE", SLIDE, "manage", "analyst", change="slide.delete"),
    _v1("POST", f"{SLIDE}/inspect", "upload", "analyst", change="slide.inspect"),
    _v1("GET", f"{SLIDE}/thumbnail"),
    _v1("GET", f"{SLIDE}/macro", role="analyst", export="slide.macro.reveal"),
    _v1("GET", f"{SLIDE}/label", "manage", "admin", export="slide.label.reveal"),
    _v1("GET", f"{SLIDE}/tiles", view="slide.view"),
    _v1("GET", f"{SLIDE}/tissue", view="slide.view"),
    *TILES,
    _v1("PUT", f"{SLIDE}/annotation", "analyse", "analyst", change="annotation.write", streamed=True),
    _v1("GET", f"{SLIDE}/annotation", view="annotation.view"),
    _v1("DELETE", f"{SLIDE}/annotation", "analyse", "analyst", change="annotation.remove"),
    _v1("POST", f"{SLIDE}/analyses", "analyse", "analyst", change="analysis.create"),
    _v1("GET", f"{SLIDE}/analyses"),
    _v1("GET", ANALYSIS),
    _v1("POST", f"{ANALYSIS}/cancel", "analyse", "analyst", change="analysis.cancel"),
    _v1("POST", f"{ANALYSIS}/retry", "analyse", "analyst", change="analysis.retry"),
    _v1("GET", f"{ANALYSIS}/events"),
    _v1("GET", f"{ANALYSIS}/heatmap", view="analysis.view", export="analysis.export"),
    _v1("GET", f"{ANALYSIS}/heatmap.png", export="analysis.export"),
    _v1("GET", f"{ANALYSIS}/regions", view="analysis.view"),
    _v1("GET", f"{ANALYSIS}/regions.geojson", export="analysis.export"),
    _v1("GET", f"{ANALYSIS}/regions.csv", export="analysis.export"),
    _v1("POST", f"{ANALYSIS}/profiles", "analyse", "analyst", change="analysis.profile"),
    _v1("GET", f"{ANALYSIS}/profiles/{{profile_id}}"),
    _v1("POST", "/evaluations", "analyse", "analyst", change="evaluation.create"),
    _v1("GET", "/evaluations"),
    _v1("GET", "/evaluations/{evaluation_id}", view="evaluation.view"),
    _v1("GET", "/audit", "manage", "admin", view="audit.view"),
    _v1("GET", "/audit/check", "manage", "admin"),
    _v1("GET", "/models"),
    Call("GET", "/metrics"),
    *(_page(path) for path in ("/healthz", "/readyz", "/openapi.json")),
    _page("/openapi.json", "HEAD"),
    *(_page(path) for path in ("/", f"{SLIDE}", "/people", "/docs", "/favicon.ico")),
    *(
        _page(f"/{folder}/{{file}}")
        for folder in ("static", "libraries/hashes", "libraries/openseadragon", "libraries/tus")
    ),
    _page("/libraries/swagger/{file}"),
)
# What a request needs that the table does not name: as much as any call.
UNLISTED = Call("", "", "manage", "admin")
WORDS = {part for call in CALLS for part in call.path.split("/") if part and "{" not in part}


def _pattern(path: str) -> re.Pattern[str]:
    """The addresses that fit a template: a placeholder stands for one segment, or a part of one."""
    parts = PLACEHOLDER.split(path)  # text, name, text, name, … text
    anything = {"file": ".+"}
    fits = [anything.get(part, "[^/]+") if i % 2 else re.escape(part) for i, part in enumerate(parts)]
    return re.compile("".join(fits))


_PATTERNS = [(call, _pattern(call.path)) for call in CALLS]


def find(method: str, path: str) -> Call | None:
    """The call whose template fits a path, before routing; None: there is none. HEAD without a row counts as GET."""
    place = path.rstrip("/") or "/"
    for name in (method, "GET") if method == "HEAD" else (method,):
        for call, pattern in _PATTERNS:
            if call.method == name and pattern.fullmatch(place):
                return call
    return None


_BY_TEMPLATE = {(call.method, call.path): call for call in CALLS}


def of_route(scope: Mapping[str, Any]) -> Call:
    """The call of the route that answers a request.

    It is taken from the matched route. A second match of the path could disagree with the framework's: Starlette's
    `$` also matches before a final line break, so `/keys%0A` reaches the route of `/keys`.

    Args:
        scope: the ASGI scope, after routing.

    Raises:
        NotFound: the table does not name the route, so nobody may call it.
    """
    path: str = scope["route"].path
    if scope["path"].startswith(f"{PREFIX}/") and not path.startswith(f"{PREFIX}/"):
        path = PREFIX + path  # FastAPI gives the path within the included router
    for method in (scope["method"], "GET") if scope["method"] == "HEAD" else (scope["method"],):
        if (method, path) in _BY_TEMPLATE:
            return _BY_TEMPLATE[method, path]
    raise NotFound("not-found", "there is no such call", "see /docs for the calls there are")


def methods_of(path: str) -> list[str]:
    """The methods that an address takes (RFC 9110, section 10.2.1), by its closest template.

    HEAD is answered wherever GET is, and OPTIONS wherever anything is. `*` is the server as a whole.
    """
    if path == "*":
        return sorted({call.method for call in CALLS})
    place = path.rstrip("/") or "/"
    fitting = [call.path for call, pattern in _PATTERNS if pattern.fullmatch(place)]
    if not fitting:
        return []
    closest = max(fitting, key=lambda template: len(PLACEHOLDER.sub("", template)))
    methods = {call.method for call in CALLS if call.path == closest}
    return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))


def plain(path: str) -> str:
    """A path for logs and the audit: ids, numbers and the table's words. Anything else may name a patient."""
    return "/".join(part if _is_plain(part) else "…" for part in path[:300].split("/"))


def _is_plain(part: str) -> bool:
    return not part or part in WORDS or bool(ID.fullmatch(part) or NUMBERS.fullmatch(part))
