"""X-HTTP-Method-Override: for tus alone, and with all limits of the overriding method."""

import pytest
from asgi import ID, call

from api.edge.method_override import MethodOverride
from api.edge.same_origin import SameOriginWrites

UPLOAD = f"/api/v1/uploads/{ID}"


async def echo(scope, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["method"].encode() + b" " + body})


def answer_to(method, path, override, app=echo):
    return call(MethodOverride(app), method, path, {"X-HTTP-Method-Override": override}, b"body")


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", [UPLOAD, "/api/v1/uploads"])
def test_a_post_of_tus_becomes_the_method_that_it_names(method, path):
    assert answer_to("POST", path, method).body == f"{method} body".encode()
    assert answer_to("POST", path, f" {method} ").body == f"{method} body".encode()


@pytest.mark.parametrize("override", ["GET", "PUT", "TRACE", "CONNECT", "patch", "", "PATCH, DELETE", "é"])
def test_other_values_are_refused(override):
    answer = answer_to("POST", UPLOAD, override)
    assert (answer.status, answer.json()["type"]) == (422, "urn:quarterturn:problem:bad-method-override")
    assert answer.headers["connection"] == "close", "the body is not read"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"/api/v1/slides/{ID}"), ("POST", "/api/v1/uploadsx"), ("POST", "/api/v1/session"), ("GET", UPLOAD),
     ("PATCH", UPLOAD), ("POST", f"/api/v1/analyses/{ID}/cancel")],
)  # fmt: skip
def test_it_is_refused_elsewhere(method, path):
    """Ignoring it would carry out a POST where the client meant DELETE."""
    answer = answer_to(method, path, "DELETE")
    assert (answer.status, answer.json()["type"]) == (422, "urn:quarterturn:problem:method-override-misplaced")


def test_the_method_itself_is_no_override():
    for path in (UPLOAD, f"/api/v1/slides/{ID}"):
        assert answer_to("DELETE", path, "DELETE").body == b"DELETE body"
    assert answer_to("GET", "/", "DELETE").body == b"GET body", "pages are no calls"


def test_two_different_values_are_refused():
    async def doubled(scope, receive, send):
        header = (b"x-http-method-override", b"PATCH")
        await MethodOverride(echo)({**scope, "headers": [*scope["headers"], header]}, receive, send)

    assert call(doubled, "POST", UPLOAD, {"X-HTTP-Method-Override": "DELETE"}).status == 422
    assert call(doubled, "POST", UPLOAD, {"X-HTTP-Method-Override": "PATCH"}, b"x").body == b"PATCH x"


def test_an_overridden_write_of_another_site_is_refused():
    checked = MethodOverride(SameOriginWrites(echo, lambda *_: None))
    headers = {"X-HTTP-Method-Override": "DELETE", "Origin": "https://evil.example"}
    assert call(checked, "POST", UPLOAD, headers).status == 403
