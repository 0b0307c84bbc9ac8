"""Label and macro stay in the reader child until a role requests them, and each request is audited."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image
from slides import tissue, write_pyramid, write_svs

from cli.client import Client

pytestmark = pytest.mark.services
NAME, RED, GREEN = "DOE^JOHN", (250, 10, 10), (20, 200, 20)


def painted(height, width, colour, **parts):
    pixels = np.full((height, width, 3), colour, np.uint8)
    for left, right, ink in parts.values():
        pixels[:, left:right] = ink
    return pixels


@pytest.fixture
def labelled(client, tmp_path):
    """A slide whose label is red, and whose macro shows the label at one end and green tissue in the middle."""
    macro = painted(100, 300, (240, 240, 240), label=(0, 90, RED), tissue=(120, 180, GREEN))
    path = write_svs(
        tmp_path / "labelled.svs", tissue(500, 600), 0.5, painted(120, 200, RED), macro, f"Patient = {NAME}"
    )
    return client.wait_for_slide(client.upload(path, {}))


def colours(answer):
    assert answer.headers["content-type"] == "image/jpeg"
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), int)


def near(pixels, colour):
    return (np.abs(pixels - colour).max(-1) < 40).any()


def told_of(client, slide):
    rows = client.call("GET", "/api/v1/audit").json()["rows"]
    return [(row["action"], row["who"]) for row in rows if row["subject"] == slide["id"] and "reveal" in row["action"]]


def key_of(client, service, name, role):
    key = client.call("POST", "/api/v1/keys", json={"name": name, "role": role}).json()
    return Client(service.url, key["key"])


def test_label_and_macro_require_a_role_and_are_audited(client, service, labelled):
    place = f"/api/v1/slides/{labelled['id']}"
    analyst, viewer = key_of(client, service, "ann", "analyst"), key_of(client, service, "vera", "viewer")
    assert analyst.http.get(f"{place}/label").status_code == 403
    assert viewer.http.get(f"{place}/macro").status_code == 403
    assert viewer.http.get("/api/v1/audit").status_code == 403
    assert told_of(client, labelled) == [], "nothing was shown"
    label = client.call("GET", f"{place}/label")
    assert near(colours(label), RED)
    assert label.headers["cache-control"] == "no-store"
    macro = colours(analyst.call("GET", f"{place}/macro"))
    assert near(macro, GREEN)
    assert not near(macro, RED), "the end with the label is painted over"
    assert told_of(client, labelled) == [("slide.macro.reveal", "ann"), ("slide.label.reveal", "administrator")]
    assert client.call("GET", "/api/v1/audit/check").json() == {"holds": True, "broken_at": None}


def test_label_text_appears_nowhere_else(client, labelled):
    place = f"/api/v1/slides/{labelled['id']}"
    for path in (place, "/api/v1/slides", f"{place}/tiles", "/api/v1/audit"):
        assert NAME not in client.call("GET", path).text
    assert not near(colours(client.call("GET", f"{place}/thumbnail")), RED)


def test_slide_without_label_or_macro_answers_404(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "bare.tiff", tissue(400, 400), 0.5), {}))
    for name in ("label", "macro"):
        answer = client.http.get(f"/api/v1/slides/{slide['id']}/{name}")
        assert answer.status_code == 404
        assert answer.json()["type"].endswith(f"no-{name}")


def test_audit_pages_run_from_newest_to_oldest(client, labelled):
    for _ in range(3):
        client.call("GET", f"/api/v1/slides/{labelled['id']}/label")
    first = client.call("GET", "/api/v1/audit", params={"limit": 2}).json()
    after = client.call("GET", "/api/v1/audit", params={"limit": 500, "cursor": first["next_cursor"]}).json()
    numbers = [row["number"] for row in first["rows"] + after["rows"]]
    assert numbers == list(range(numbers[0], 0, -1))
    assert after["next_cursor"] is None


def test_label_is_withheld_when_the_audit_cannot_be_written(client, service, labelled):
    service.change("ALTER TABLE audit RENAME TO audit_away")
    try:
        answer = client.http.get(f"/api/v1/slides/{labelled['id']}/label")
        assert answer.status_code >= 500
        assert answer.headers["content-type"] == "application/problem+json"
    finally:
        service.change("ALTER TABLE audit_away RENAME TO audit")
    assert client.http.get(f"/api/v1/slides/{labelled['id']}/label").status_code == 200


def test_damaged_label_is_rejected_and_the_slide_stays_usable(client, tmp_path):
    """OpenSlide's handle stays in the error state, so the reader opens the slide again."""
    label = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    path = write_svs(tmp_path / "hurt.svs", tissue(500, 600), 0.5, label, painted(100, 300, GREEN), "x")
    with tifffile.TiffFile(path) as tiff:
        page = next(page for page in tiff.pages if "label" in page.description)
        start, tag = page.dataoffsets[0], page.tags["Compression"]
    content = bytearray(path.read_bytes())
    content[tag.valueoffset : tag.valueoffset + 2] = (8).to_bytes(2, "little")  # deflate, it says
    content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)
    slide = client.wait_for_slide(client.upload(path, {}))
    zoom = f"/api/v1/slides/{slide['id']}_files/8/0_0.jpeg"
    before = client.call("GET", zoom).content
    answer = client.http.get(f"/api/v1/slides/{slide['id']}/label")
    assert answer.status_code == 404
    assert "label is damaged" in answer.json()["detail"]
    assert client.call("GET", zoom).content == before
    assert near(colours(client.call("GET", f"/api/v1/slides/{slide['id']}/macro")), GREEN)
