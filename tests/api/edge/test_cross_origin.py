"""Pages of other sites call the API only where the settings name them, and never with a browser's session."""

import pytest
from asgi import ID, call
from pydantic import ValidationError
from starlette.responses import JSONResponse

from api import app as application
from api.edge.cross_origin import CrossOrigin
from api.edge.same_origin import SameOriginWrites
from core.settings import Settings, get_settings

VIEWER, OTHER = "https://viewer.example.org", "https://other.example.org"
DZI = f"/api/v1/slides/{ID}.dzi"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}


def serve(method, path, headers, status=200):
    app = SameOriginWrites(JSONResponse({}, status), lambda *_: None)
    return call(CrossOrigin(app, frozenset({VIEWER})), method, path, headers)


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_a_page_of_the_list_reads_every_answer(status):
    answer = serve("GET", DZI, {"Origin": VIEWER}, status)
    assert answer.headers["access-control-allow-origin"] == VIEWER
    assert {"ETag", "Location", "Location-Slide", "Upload-Offset", "X-Request-Id"} <= set(
        answer.headers["access-control-expose-headers"].split(", ")
    )
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "*", VIEWER + ":8443", VIEWER.upper(), VIEWER.replace("https", "http"), VIEWER + ".evil"]
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_page_that_is_not_on_the_list_reads_nothing(method, origin):
    answer = serve(method, DZI, {"Origin": origin, **(PREFLIGHT if method == "OPTIONS" else {})})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["vary"] == "Origin", "a cache keeps both answers apart"


def test_a_preflight_is_answered_without_a_credential():
    answer = serve("OPTIONS", f"/api/v1/uploads/{ID}", {"Origin": VIEWER, **PREFLIGHT}, 500)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, VIEWER)
    assert {"PATCH", "HEAD", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "tus-resumable", "upload-offset", "content-type", "x-http-method-override"} <= set(allowed)
    assert "access-control-allow-credentials" not in answer.headers
    assert serve("OPTIONS", DZI, {"Origin": VIEWER}, 405).status == 405, "no preflight without a method to ask for"


def test_a_page_of_the_list_writes_with_a_key_alone():
    assert serve("POST", "/api/v1/slides", {"Origin": VIEWER}).status == 403, "a browser's session is not enough"
    assert serve("POST", "/api/v1/slides", {"Origin": VIEWER, "Authorization": "Bearer x"}).status == 200


def test_pages_are_not_shared():
    assert "access-control-allow-origin" not in serve("GET", "/", {"Origin": VIEWER}).headers


def test_without_a_list_nothing_is_shared(monkeypatch):
    for value, shared in (("", False), (VIEWER, True)):
        monkeypatch.setenv("QUARTERTURN_CORS_ORIGINS", value)
        get_settings.cache_clear()
        answer = call(application.create_app(), "OPTIONS", DZI, {"Origin": VIEWER, **PREFLIGHT})
        assert ("access-control-allow-origin" in answer.headers) == shared
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", set()), (" , ", set()), ("https://A.example", {"https://a.example"}),
        ("https://a.example:443, http://b.example:80,http://c.example:8080",
         {"https://a.example", "http://b.example", "http://c.example:8080"}),
        ("http://[::1]:3000", {"http://[::1]:3000"}), ("http://localhost:3000", {"http://localhost:3000"}),
    ],
)  # fmt: skip
def test_origins_have_the_form_that_browsers_send(value, origins):
    assert Settings(cors_origins=value).origins() == origins


@pytest.mark.parametrize(
    "value", ["*", "null", "a.example", "https://a.example/", "https://a.example/x", "https://*.example", "file://",
              "https://u@a.example", "https://a.example https://b.example", "ftp://a.example"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(value):
    with pytest.raises(ValidationError, match="an origin looks like"):
        Settings(cors_origins=value)
