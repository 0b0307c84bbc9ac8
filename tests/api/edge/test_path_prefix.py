"""The service under a path prefix: its own paths within, the prefix in every address that it gives."""

import pytest
from asgi import call
from pydantic import ValidationError

from api.contract.calls import CALLS
from api.edge.path_prefix import PrefixedAddresses, StripPrefix
from core.addresses import OWN_SEGMENTS
from core.settings import Settings, describe_errors


def answering(headers=(), status=200):
    """An application that answers the path it got."""

    async def app(scope, _receive, send):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": scope["path"].encode() + b" " + scope["raw_path"]})

    return app


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        ("/one/two/slides/x", "/slides/x"), ("/slides/x", "/slides/x"), ("/one/two/", "/"), ("/", "/"),
        ("//one//two//slides//x", "/slides/x"), ("//slides/x", "/slides/x"), ("/one/twofold/x", "/one/twofold/x"),
        ("/one/two/one/two/x", "/one/two/x"), ("/ONE/two/x", "/ONE/two/x"),
    ],
)  # fmt: skip
def test_paths_within_are_the_services_own(path, inner):
    answer = call(StripPrefix(answering(), "/one/two"), "GET", path)
    assert answer.body.decode() == f"{inner} {inner}"


def test_the_bare_prefix_leads_to_the_first_page():
    answer = call(StripPrefix(answering(), "/pathologie é"), "GET", "/pathologie é?x=1")
    assert (answer.status, answer.headers["location"]) == (307, "/pathologie%20%C3%A9/?x=1")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("/api/v1/uploads/7", "/one/api/v1/uploads/7"), ("http://inner:8000/people?a=b", "/one/people?a=b"),
        ("http://inner//evil.example/x", "/one/evil.example/x"), ("//evil.example/x", "/one/x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [b"location", b"location-slide"])
def test_addresses_in_headers_get_the_prefix(name, value, address):
    answer = call(PrefixedAddresses(answering([(name, value.encode())]), "/one"), "POST", "/x")
    assert answer.headers[name.decode()] == address


def test_a_redirect_stays_on_the_clients_host_without_a_prefix_too():
    answer = call(PrefixedAddresses(answering([(b"location", b"http://127.0.0.1/people")], 307), ""), "GET", "/people/")
    assert answer.headers["location"] == "/people", "a proxy ends TLS: http would be wrong"


@pytest.mark.parametrize(
    ("value", "prefix"),
    [
        ("", ""), ("/", ""), ("qt", "/qt"), ("/qt", "/qt"), ("/qt/", "/qt"), (" /qt ", "/qt"), ("one/two/", "/one/two"),
        ("/patholog%C3%ADa", "/pathología"), ("/path/slides", "/path/slides"), ("/v1.2~x_y-z", "/v1.2~x_y-z"),
    ],
)  # fmt: skip
def test_a_prefix_has_one_form(value, prefix):
    assert Settings(root_path=value).prefix() == prefix


@pytest.mark.parametrize(
    "value", ["/a b", "/a//b", "/a/../b", "/..", "/%2e%2e/a", "/a?b", "/a#b", "/a\\b", '/a"b', "/a<b", "/a%0Ab",
              "https://x.example/qt", "/api", "/slides/x", "/static", "/docs"],
)  # fmt: skip
def test_a_prefix_that_cannot_be_is_refused_with_a_sentence(value):
    with pytest.raises(ValidationError) as refused:
        Settings(root_path=value)
    assert describe_errors(refused.value).startswith("QUARTERTURN_ROOT_PATH is not valid: ")


def test_the_services_own_paths_are_no_prefix():
    assert {row.path.split("/")[1] for row in CALLS} - {""} == OWN_SEGMENTS


@pytest.mark.parametrize(
    ("public", "root", "base"),
    [
        ("", "", "http://127.0.0.1:8000"), ("", "/qt", "http://127.0.0.1:8000/qt"),
        ("https://h.example", "", "https://h.example"), ("https://h.example/", "/qt", "https://h.example/qt"),
        ("https://h.example/qt/", "", "https://h.example/qt"), ("https://h.example/qt", "qt/", "https://h.example/qt"),
        ("https://h.example/patolog%C3%ADa", "", "https://h.example/patolog%C3%ADa"),
    ],
)  # fmt: skip
def test_the_address_of_users_has_the_prefix_once(public, root, base):
    settings = Settings(public_url=public, root_path=root)
    assert settings.base_url() == base
    assert settings.local_url() == "http://127.0.0.1:8000", "the service answers without the prefix, too"


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError) as refused:
        Settings(public_url="https://h.example/a", root_path="/b")
    assert describe_errors(refused.value) == (
        "QUARTERTURN_PUBLIC_URL and QUARTERTURN_ROOT_PATH name different path prefixes."
    )
