"""Files that are no slides, contain false statements, or would do harm: the running service rejects each with a reason
and a cure; nothing of it stays, and the service goes on.
"""

import base64
import io
import struct

import numpy as np
import pytest
import tifffile
from many_files import hostile, jpeg, mrxs, vms, zipped
from PIL import Image
from servers import PATCH, PATIENCE, until
from slides import leading_to_itself, tissue, write_pyramid, write_svs

from cli.client import TUS
from core.database.slides import KEPT

pytestmark = pytest.mark.services
READY, MISSING = "ready", "ROE JANE"
MAY_OPEN = ("cut.svs", "tile.tiff", "loop.tiff")  # whatever OpenSlide makes of them
PICTURE = np.full((60, 90, 3), 200, np.uint8)
NAMES = {
    "a\0b.svs": "ab.svs",
    "a\r\nX-Other: 1.svs": "aX-Other 1.svs",
    "\u202egpj.svs": "gpj.svs",
    "<script>alert(1)</script>.svs": "script.svs",
    "../../etc/passwd": "passwd",
    "C:\\slides\\b.svs": "b.svs",
    "n" * 2900 + ".svs": "n" * 200,
    ". .": "slide",
}


def send(client, name, content):
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    headers = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    location = client.call("POST", "/api/v1/uploads", headers=headers).headers["Location"]
    return client.call("PATCH", location, headers={**PATCH, "Upload-Offset": "0"}, content=content).headers[
        "Location-Slide"
    ]


def changed_tags(content, page, **lies):
    """A TIFF with some tags of a page changed."""
    damaged = bytearray(content)
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        for field, value in lies.items():
            tag = tiff.pages[page].tags[field]
            struct.pack_into("<H", damaged, tag.offset + 2, 4)  # LONG
            struct.pack_into("<I", damaged, tag.valueoffset, value)
    return bytes(damaged)


def files(folder):
    """(name, bytes, expected reason code, `ready`, or None where either is correct)."""
    tiff = write_pyramid(folder / "good.tiff", tissue(700, 800), 0.5).read_bytes()
    svs = write_svs(folder / "good.svs", tissue(500, 600), 0.5, PICTURE, PICTURE, "x = y").read_bytes()
    empty = np.zeros((5000, 5000, 3), np.uint8)
    bomb = write_svs(folder / "bomb.svs", tissue(300, 300), 0.5, empty, PICTURE, "x = y")
    picture = io.BytesIO()
    Image.new("RGB", (50, 50)).save(picture, "PNG")
    tall = dict.fromkeys(("ImageWidth", "ImageLength", "TileWidth", "TileLength"), 200_000)
    return [
        ("text.svs", b"this is no slide\n" * 100, "not-a-slide"),
        ("one.svs", b"I", "not-a-slide"),
        ("eight.svs", b"II*\0\x08\0\0\0", "not-a-slide"),
        ("picture.png", picture.getvalue(), "not-a-slide"),
        ("cut.svs", tiff[: len(tiff) // 3], None),
        ("claim.tiff", changed_tags(tiff, 0, **tall), "empty-claim"),
        ("tile.tiff", changed_tags(tiff, 0, TileLength=0x7FFFFF00), None),
        ("loop.tiff", leading_to_itself(tiff), None),
        ("bomb.svs", bomb.read_bytes(), READY),
        ("alone.mrxs", jpeg(PICTURE), "not-a-slide"),
        ("no-index.zip", zipped({k: v for k, v in mrxs(tissue(512, 768), 0.5).items() if "Index" not in k}), None),
        ("no-image.zip", zipped(vms(tissue(512, 768), 0.5, image=f"{MISSING}.jpg")), None),
        ("passwd.vms", vms(tissue(512, 768), 0.5, image="/etc/passwd")["case 7.vms"], None),
        ("another.vms", vms(tissue(512, 768), 0.5, image="../../another/slide.jpg")["case 7.vms"], None),
        ("named-otherwise.zip", svs, READY),
        ("honest.zip", zipped(mrxs(tissue(512, 768), 0.5)), READY),
        ("named-otherwise.svs", zipped(vms(tissue(512, 768), 0.5)), READY),
        *((f"{number}.zip", content, code) for number, (_, content, code) in enumerate(hostile())),
    ]


def test_hostile_uploads_are_rejected_and_the_service_stays_up(client, service, tmp_path):
    api, uploads = service.processes["api"].pid, {}
    for name, content, code in files(tmp_path):
        uploads[name] = (send(client, name, content), code)
    for name, (place, code) in uploads.items():
        slide = client.poll(place, lambda s: s["state"] not in ("uploading", "inspecting"), PATIENCE)
        outcome = (slide["reason"] or {}).get("code", slide["state"])
        print(f"{name}: {slide['state']}, {outcome}")
        assert code in (None, outcome), name
        assert code == READY or slide["state"] == "rejected" or name in MAY_OPEN, name
        if slide["state"] == "rejected":
            assert slide["reason"]["detail"]
            assert str(service.data) not in str(slide["reason"]), "a reason contains no path of the server"
            assert not any(secret in str(slide["reason"]) for secret in (MISSING, "passwd", "another/"))
            assert slide["reason"]["action"], name
            folder = service.data / "slides" / slide["id"]
            if outcome in KEPT:  # a machine with more memory, or a later version, may read it
                assert folder.exists(), name
            else:
                until(lambda folder_gone=folder: not folder_gone.exists())
    assert service.processes["api"].pid == api
    assert service.processes["api"].poll() is None
    for name in ("honest.zip", "named-otherwise.svs"):
        place = uploads[name][0]
        tile = Image.open(io.BytesIO(client.call("GET", f"{place}/tiles/0/1_1.jpeg").content)).convert("RGB")
        assert np.abs(np.asarray(tile, int) - tissue(512, 768)[256:512, 256:512]).mean() < 6, name
        folder = service.data / "slides" / place[-32:]
        assert (folder / "parts").is_dir()
        client.call("DELETE", place)
        until(lambda folder_gone=folder: not folder_gone.exists())
    bombed = client.http.get(f"{uploads['bomb.svs'][0]}/label")
    assert (bombed.status_code, bombed.json()["type"]) == (404, "urn:quarterturn:problem:no-label")
    assert "claims 5000×5000 pixels" in bombed.json()["detail"], "it was not decoded"


def test_file_names_are_sanitised(client):
    for name, cleaned in NAMES.items():
        place = send(client, name, b"x")
        answer = client.http.get(place)
        assert answer.json()["filename"] == cleaned, name
        assert "X-Other" not in answer.headers
        client.call("DELETE", place)
