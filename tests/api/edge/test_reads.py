"""HEAD wherever GET is, and conditional reads, on small applications. tests/service/test_proxy.py has the service."""

import asyncio
from email.utils import formatdate

import pytest
from asgi import ID, call
from hypothesis import given
from hypothesis import strategies as st
from sse_starlette import EventSourceResponse
from starlette.responses import FileResponse, Response, StreamingResponse

from api.contract.entity_tags import matches, tag_of
from api.edge.conditional import LARGE, ConditionalReads
from api.edge.head_requests import HeadRequests

SLIDE = f"/api/v1/slides/{ID}"
TAGS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), max_size=20)


def served(answer):
    return HeadRequests(ConditionalReads(answer))


@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_head_has_the_headers_of_get_without_its_body(size):
    app = served(Response(b"x" * size, headers={"Quarterturn-Affine": "1"}, media_type="image/png"))
    get, head = call(app, "GET", SLIDE), call(app, "HEAD", SLIDE)
    assert (head.status, head.headers, head.body) == (200, get.headers, b"")
    assert head.headers["content-length"] == str(size)
    assert len(get.body) == size


def test_head_of_an_endless_stream_ends():
    left = []

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        while (message := (await receive())["type"]) != "http.disconnect":
            continue
        left.append(message)

    assert call(served(endless), "HEAD", f"/api/v1/analyses/{ID}/events").status == 200
    assert left == ["http.disconnect"]


def test_head_of_events_of_the_library_ends():
    async def endless():
        while True:
            yield {"data": "1"}
            await asyncio.sleep(0)

    answer = call(served(EventSourceResponse(endless())), "HEAD", f"/api/v1/analyses/{ID}/events")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_stream_of_events_begins_before_its_first_event():
    began = asyncio.Event()

    async def events():
        await asyncio.wait_for(began.wait(), 60)
        yield b"data: 1\n\n"

    app = ConditionalReads(StreamingResponse(events(), media_type="text/event-stream"))
    answer = call(app, "GET", f"/api/v1/analyses/{ID}/events", on_start=began.set)
    assert answer.body == b"data: 1\n\n"
    assert "etag" not in answer.headers


def test_head_where_tus_has_its_own_is_passed_on():
    async def own(scope, _receive, send):
        assert scope["method"] == "HEAD"
        await Response()(scope, _receive, send)

    assert call(HeadRequests(own), "HEAD", f"/api/v1/uploads/{ID}").status == 200


@pytest.mark.parametrize("condition", ["{}", "W/{}", '"a", {}', '"a,b" ,W/"c",{}', "*", " * "])
def test_a_client_that_has_the_content_gets_304_with_the_other_headers(condition):
    content = b'{"id": 1}'
    app = served(Response(content, headers={"Quarterturn-Affine": "1"}, media_type="application/json"))
    full = call(app, "GET", SLIDE)
    for method in ("GET", "HEAD"):
        answer = call(app, method, SLIDE, {"If-None-Match": condition.format(full.headers["etag"])})
        assert (answer.status, answer.body) == (304, b"")
        expected = {key: full.headers[key] for key in full.headers if key not in ("content-length", "content-type")}
        assert answer.headers == expected
    assert full.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("condition", ['"a"', "", "x", 'W/"', '"a", "b"', '**"'])
def test_others_get_the_content(condition):
    answer = call(served(Response(b"content")), "GET", SLIDE, {"If-None-Match": condition})
    assert (answer.status, answer.body) == (200, b"content")


@given(TAGS, st.lists(TAGS, max_size=5), st.booleans())
def test_a_list_matches_exactly_its_tags(tag, others, weak):
    listed = ", ".join(f'{"W/" if weak else ""}"{other}"' for other in others)
    assert matches(listed, f'"{tag}"') == (tag in others)


@given(st.binary(), st.binary())
def test_a_tag_is_the_contents_own(one, other):
    assert (tag_of(one) == tag_of(other)) == (one == other)
    assert matches(tag_of(one), tag_of(one))


@pytest.mark.parametrize("status", [404, 409, 503])
def test_an_answer_that_is_no_success_is_never_unchanged(status):
    answer = call(served(Response(b"{}", status)), "GET", SLIDE, {"If-None-Match": "*"})
    assert answer.status == status
    assert answer.headers["cache-control"] == "private, no-cache", "404 and 410 may be stored otherwise"


def test_what_must_not_be_stored_gets_no_tag():
    answer = call(served(Response(b"label", headers={"Cache-Control": "no-store"})), "GET", SLIDE)
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("value", ["bytes=9-2", "bytes=-", "bytes=", "lines=1-2", "x", "bytes=1-2,x", "bytes=a-b"])
def test_what_is_no_range_is_ignored(tmp_path, value):
    path = tmp_path / "thumbnail.jpeg"
    path.write_bytes(b"0123456789")
    answer = call(served(FileResponse(path)), "GET", SLIDE, {"Range": value})
    assert (answer.status, answer.body) == (200, b"0123456789")


@pytest.mark.parametrize(("value", "part"), [("bytes=2-3", b"23"), ("bytes=8-", b"89"), ("bytes=-3", b"789")])
def test_a_range_of_a_file_is_answered(tmp_path, value, part):
    path = tmp_path / "thumbnail.jpeg"
    path.write_bytes(b"0123456789")
    answer = call(served(FileResponse(path)), "GET", SLIDE, {"Range": value})
    assert (answer.status, answer.body) == (206, part)


def test_writes_are_untouched():
    answer = call(served(Response(b"{}")), "POST", SLIDE, {"If-None-Match": "*"})
    assert (answer.status, answer.headers.get("etag"), answer.headers.get("cache-control")) == (200, None, None)


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_file_is_unchanged_by_tag_or_by_date(tmp_path, size):
    path = tmp_path / "thumbnail.jpeg"
    path.write_bytes(b"x" * size)
    app, changed = served(FileResponse(path)), path.stat().st_mtime
    full = call(app, "GET", SLIDE)
    later, earlier = formatdate(changed + 1, usegmt=True), formatdate(changed - 10, usegmt=True)
    for conditions, status in [
        ({"If-None-Match": full.headers["etag"]}, 304), ({"If-Modified-Since": later}, 304),
        ({"If-Modified-Since": full.headers["last-modified"]}, 304), ({"If-Modified-Since": earlier}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": later}, 200), ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-None-Match": full.headers["etag"], "Range": "bytes=0-3"}, 304), ({"Range": "bytes=0-3"}, 206),
    ]:  # fmt: skip
        answer = call(app, "GET", SLIDE, conditions)
        assert answer.status == status, conditions
        assert (answer.body == b"") == (status == 304)
        if status == 304:
            assert answer.headers["etag"] == full.headers["etag"]
            assert "content-range" not in answer.headers
