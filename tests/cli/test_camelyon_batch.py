"""The evaluation command over folders as people have them, against a small service in memory."""

import base64
import hashlib
import json
import os
import re

import httpx2 as httpx
import pytest

from cli import camelyon, demo
from cli.client import Client
from cli.demo_slide import DemoSlide

CARD = {"name": "net", "digest": "d" * 64, "threshold": 0.5}
FIGURE = {"slides": 1, "lesions": 1, "ignored_lesions": 0, "sensitivity_at": {"1": 1.0}, "score": 1.0}
BAD = b"bad"  # a file that begins so is rejected
BARE = b"bare"  # a slide without tissue


class FakeService:
    """Slides, outlines and analyses of one workspace. `calls` counts what a second run must not repeat."""

    def __init__(self):
        self.slides, self.annotations, self.analyses, self.evaluated = [], {}, {}, []
        self.uploads = self.posted = self.retried = 0
        self.refused_outlines = set()
        self.parameters = []
        self.broken = {}  # {(method, last part of the path): the answer instead}
        self.card = dict(CARD)

    def client(self):
        client = Client("http://service", "key")
        client.http = httpx.Client(base_url="http://service", transport=httpx.MockTransport(self.answer))
        return client

    def answer(self, request):
        if (request.method, request.url.path.rsplit("/", 1)[-1]) in self.broken:
            return self.broken[request.method, request.url.path.rsplit("/", 1)[-1]]
        for pattern, handler in self.ROUTES:
            match = re.fullmatch(pattern, f"{request.method} {request.url.path}")
            if match:
                return handler(self, request, *match.groups())
        raise AssertionError(f"{request.method} {request.url}")

    def models(self, _):
        return httpx.Response(200, json={"models": [self.card], "default": "net"})

    def page(self, request):
        """One slide a page: the client must follow the cursor."""
        start = int(request.url.params.get("cursor") or 0)
        newest = self.slides[::-1]
        more = str(start + 1) if start + 1 < len(newest) else None
        return httpx.Response(200, json={"slides": newest[start : start + 1], "next_cursor": more})

    def begin_upload(self, request):
        fields = dict(pair.split(" ") for pair in request.headers["Upload-Metadata"].split(","))
        self.metadata = {name: base64.b64decode(value).decode() for name, value in fields.items()}
        return httpx.Response(201, headers={"Location": "/api/v1/uploads/1"})

    def patch(self, request):
        self.uploads += 1
        digest = hashlib.sha256(request.content).hexdigest()
        assert digest == self.metadata["sha256"]
        rejected = request.content.startswith(BAD)
        reason = {"code": "unreadable", "detail": "it is damaged", "action": ""} if rejected else None
        slide = {"id": f"{len(self.slides):032x}", "filename": self.metadata["filename"], "reason": reason}
        slide |= {"state": "rejected" if rejected else "ready", "declared_sha256": digest}
        slide |= {"sha256": None if rejected else digest, "bare": request.content.startswith(BARE)}
        self.slides.append(slide)
        return httpx.Response(204, headers={"Location-Slide": f"/api/v1/slides/{slide['id']}"})

    def slide(self, _, slide_id):
        return httpx.Response(200, json=next(slide for slide in self.slides if slide["id"] == slide_id))

    def inspect(self, request, slide_id):
        slide = next(slide for slide in self.slides if slide["id"] == slide_id)
        slide |= {"state": "ready", "reason": None}
        return self.slide(request, slide_id)

    def get_annotation(self, _, slide_id):
        if slide_id not in self.annotations:
            return httpx.Response(404, json={"detail": "none", "action": ""})
        return httpx.Response(200, json={"polygons": self.annotations[slide_id]["positive"]})

    def put_annotation(self, request, slide_id):
        if request.content in self.refused_outlines:
            return httpx.Response(422, json={"detail": "Annotation 3 is of the group 'x'", "action": "name it"})
        self.parameters.append(request.url.params)
        self.annotations[slide_id] = json.loads(request.content)
        marks = [{"name": "dot", "kind": "Dot", "group": "_0", "reason": "encloses nothing"}]
        return httpx.Response(200, json={"ignored": marks if "dots" in self.annotations[slide_id] else []})

    def list_analyses(self, _, slide_id):
        return httpx.Response(200, json=[one for one in self.analyses.values() if one["slide"] == slide_id][::-1])

    def analyse(self, _, slide_id):
        self.posted += 1
        bare = next(slide for slide in self.slides if slide["id"] == slide_id)["bare"]
        analysis = {"id": f"a{len(self.analyses)}", "slide": slide_id, "state": "succeeded", "model": "net"}
        analysis |= {"withheld": {"detail": "no tissue"} if bare else None, "reason": None}
        analysis |= {"settings": {"threshold": self.card["threshold"], "tissue": "auto"}}
        analysis |= {"provenance": {"weights_sha256": self.card["digest"]}, "results": {"summary": "s"}, "notice": "n"}
        analysis["progress"] = {"done": 1, "total": 1}
        self.analyses[analysis["id"]] = analysis
        return httpx.Response(201, json=analysis)

    def analysis(self, _, analysis_id):
        return httpx.Response(200, json=self.analyses[analysis_id])

    def retry(self, request, analysis_id):
        self.retried += 1
        self.analyses[analysis_id]["state"] = "succeeded"
        return self.analysis(request, analysis_id)

    def evaluate(self, request):
        self.evaluated = json.loads(request.content)["analyses"]
        return httpx.Response(202, json={"id": "e"})

    def evaluation(self, _):
        names = {slide["id"]: slide["filename"] for slide in self.slides}
        miss = {"centre_l0": [1, 2], "major_axis_um": 3.0}
        slides = [
            {"filename": names[self.analyses[one]["slide"]], "analysis_id": one, "misses": [miss]}
            for one in self.evaluated
        ]
        body = {"state": "succeeded", "figure": FIGURE, "slides": slides, "mode": "strict", "notice": "n"}
        return httpx.Response(200, json={**body, "weights_sha256": CARD["digest"]})

    ROUTES = (
        ("GET /api/v1/models", models),
        ("GET /api/v1/slides", page),
        ("POST /api/v1/uploads", begin_upload),
        ("PATCH /api/v1/uploads/1", patch),
        ("GET /api/v1/slides/(\\w+)", slide),
        ("POST /api/v1/slides/(\\w+)/inspect", inspect),
        ("GET /api/v1/slides/(\\w+)/annotation", get_annotation),
        ("PUT /api/v1/slides/(\\w+)/annotation", put_annotation),
        ("GET /api/v1/slides/(\\w+)/analyses", list_analyses),
        ("POST /api/v1/slides/(\\w+)/analyses", analyse),
        ("GET /api/v1/analyses/(\\w+)", analysis),
        ("POST /api/v1/analyses/(\\w+)/retry", retry),
        ("POST /api/v1/evaluations", evaluate),
        ("GET /api/v1/evaluations/e", evaluation),
    )


def outlines(**more):
    return json.dumps({"positive": [{"name": "a", "vertices": [[0, 0], [9, 0], [9, 9]]}], "negative": [], **more})


@pytest.fixture
def fake(monkeypatch):
    service = FakeService()
    monkeypatch.setattr(Client, "from_environment", classmethod(lambda _: service.client()))
    return service


@pytest.fixture
def folders(tmp_path):
    for name in ("slides", "outlines"):
        (tmp_path / name).mkdir()
    (tmp_path / "slides" / "tumor_001.tif").write_bytes(b"one")
    (tmp_path / "outlines" / "Tumor_001.json").write_text(outlines())
    return tmp_path


def run(folders, *more):
    """The exit status, and what the report file says of each file."""
    result = folders / "out.json"
    status = camelyon.main([str(folders / "slides"), str(folders / "outlines"), "--json", str(result), *more])
    return status, json.loads(result.read_text())["folders"]


def test_a_folder_without_fault_is_evaluated_whole(fake, folders):
    (folders / "slides" / "normal_001.tif").write_bytes(b"two")
    (folders / "slides" / ".DS_Store").write_bytes(b"\0")
    status, report = run(folders)
    assert status == 0
    assert set(report["analyses"]) == {"tumor_001.tif", "normal_001.tif"}
    assert report["outlines"] == {"tumor_001.tif": "Tumor_001.json"}
    assert report["free"] == ["normal_001.tif"]
    assert list(report["left_out"].values()) == ["a hidden file"]


@pytest.mark.parametrize(
    "place",
    ["slides/b.xml", "outlines/b.tif.ndpa", "outlines/b.annotations", "outlines/b.geojson.gz", "outlines/b.qpdata",
     "outlines/other.qpdata", "outlines/other.ndpa", "outlines/b_mask.png", "slides/b.annotations", "slides/B.qpdata",
     "outlines/b.txt", "slides/more/", "outlines/more/", "slides/b.lnk"],
)  # fmt: skip
def test_what_may_be_outlines_and_is_not_read_leaves_the_lone_slides_out(fake, folders, capsys, place):
    """A slide whose outlines are not read is not free of tumour."""
    (folders / "slides" / "b.tif").write_bytes(b"b")
    if place.endswith("/"):
        (folders / place).mkdir()
    else:
        (folders / place).write_bytes(b"")
    status, report = run(folders)
    assert (status, list(report["analyses"]), report["free"]) == (1, ["tumor_001.tif"], [])
    assert list(report["not_evaluated"]) == ["b.tif"]
    assert list(report["unread"]) == [str(folders / place)]
    assert str(folders / place) in capsys.readouterr().err
    assert run(folders, "--without-outlines", "tumour-free")[1]["free"] == ["b.tif"]


def test_what_needs_no_reading_is_no_problem(fake, folders):
    for place in ("slides/tumor_001.tif.md5", "slides/notes.txt", "outlines/README.md", "outlines/._tumor_001.xml"):
        (folders / place).write_bytes(b"")
    (folders / "slides" / "m.mrxs").write_bytes(b"m")
    (folders / "slides" / "m").mkdir()
    status, report = run(folders)
    assert (status, report["unread"], report["free"]) == (0, {}, ["m.mrxs"])


@pytest.mark.parametrize("name", ["", "empty"])
def test_a_folder_without_outlines_is_refused(fake, folders, capsys, name):
    """The parent folder instead of the folder of outlines."""
    (folders / "empty").mkdir()
    arguments = [str(folders / "slides"), str(folders / name)]
    assert camelyon.main(arguments) == 1
    printed = capsys.readouterr().err
    assert "has no outlines" in printed
    assert ("outlines: a folder, which is not searched" in printed) == (name == "")
    assert fake.uploads == 0
    assert camelyon.main([*arguments, "--without-outlines", "tumour-free"]) == (1 if name == "" else 0)


def test_slides_that_count_as_free_are_printed(fake, folders, capsys):
    (folders / "slides" / "normal_001.tif").write_bytes(b"two")
    run(folders)
    assert "Free of tumour, since they have no outlines:\n  normal_001.tif" in capsys.readouterr().out


def test_one_bad_slide_does_not_end_the_others(fake, folders, capsys):
    (folders / "slides" / "tumor_000.tif").write_bytes(BAD)
    (folders / "slides" / "zero.tif").write_bytes(BARE)
    status, report = run(folders)
    assert status == 1
    assert list(report["analyses"]) == ["tumor_001.tif"]
    assert report["not_evaluated"] == {
        "tumor_000.tif": "the slide was rejected: it is damaged",
        "zero.tif": "the results are withheld: no tissue",
    }
    printed = capsys.readouterr()
    assert "FROC score" in printed.out
    assert "tumor_000.tif: the slide was rejected: it is damaged" in printed.err
    assert printed.err.strip().splitlines()[-1].startswith("1 slides evaluated, 2 not evaluated")


def test_a_second_run_does_nothing_twice(fake, folders):
    (folders / "slides" / "tumor_000.tif").write_bytes(BAD)
    (folders / "slides" / "normal_001.tif").write_bytes(b"two")
    run(folders)
    counts = fake.uploads, fake.posted
    assert counts == (3, 2)
    (folders / "slides" / "normal_001.tif").rename(folders / "slides" / "normal_9.tif")
    status, report = run(folders)
    assert (fake.uploads, fake.posted) == counts
    assert status == 1
    assert "rejected in an earlier run: it is damaged" in report["not_evaluated"]["tumor_000.tif"]
    assert set(report["analyses"]) == {"tumor_001.tif", "normal_9.tif"}


def test_a_miss_names_the_file_of_the_folder(fake, folders, capsys):
    """The service has the same bytes under another name."""
    run(folders)
    fake.slides[0]["filename"] = "export of somebody.tif"
    capsys.readouterr()
    run(folders)
    assert "missed: tumor_001.tif at (1, 2)" in capsys.readouterr().out


def test_a_file_exported_again_is_another_slide(fake, folders):
    """Same name, same size, other pixels."""
    run(folders)
    (folders / "slides" / "tumor_001.tif").write_bytes(b"eno")
    _, report = run(folders)
    assert fake.uploads == 2
    slide = fake.analyses[report["analyses"]["tumor_001.tif"]]["slide"]
    assert next(one for one in fake.slides if one["id"] == slide)["sha256"] == hashlib.sha256(b"eno").hexdigest()


def test_another_network_or_threshold_is_another_analysis(fake, folders):
    run(folders)
    fake.card["digest"] = "e" * 64
    run(folders)
    fake.card["threshold"] = 0.7
    run(folders)
    assert (fake.uploads, fake.posted) == (1, 3)


def test_what_failed_by_chance_is_tried_again(fake, folders):
    run(folders)
    (analysis,) = fake.analyses.values()
    analysis["state"] = "failed"
    fake.slides[0] |= {"state": "rejected", "reason": {"code": "inspect-failed", "detail": "disk", "action": ""}}
    assert run(folders)[0] == 0
    assert (fake.uploads, fake.posted, fake.retried) == (1, 1, 1)


def test_bytes_that_changed_on_their_way_are_sent_again(fake, folders):
    run(folders)
    fake.slides[0] |= {"state": "rejected", "reason": {"code": "checksum-mismatch", "detail": "", "action": ""}}
    assert run(folders)[0] == 0
    assert fake.uploads == 2


def test_outlines_without_a_slide_leave_the_lone_slides_out(fake, folders, capsys):
    (folders / "slides" / "tumor_002.tif").write_bytes(b"two")
    (folders / "outlines" / "tumour-two.json").write_text(outlines())
    status, report = run(folders)
    assert status == 1
    assert list(report["analyses"]) == ["tumor_001.tif"]
    assert list(report["not_evaluated"]) == ["tumor_002.tif"]
    assert report["unmatched_outlines"] == {"tumour-two.json": "no slide has this name"}
    assert "tumour-two.json: no slide has this name" in capsys.readouterr().err
    status, report = run(folders, "--without-outlines", "tumour-free")
    assert (status, report["free"]) == (1, ["tumor_002.tif"])
    assert len(fake.evaluated) == 2


def test_slides_without_outlines_may_be_left_out(fake, folders):
    (folders / "slides" / "tumor_002.tif").write_bytes(b"two")
    status, report = run(folders, "--without-outlines", "left-out")
    assert (status, list(report["analyses"]), list(report["not_evaluated"])) == (
        1,
        ["tumor_001.tif"],
        ["tumor_002.tif"],
    )


def test_outlines_in_the_service_alone_are_not_erased(fake, folders):
    run(folders)
    (folders / "outlines" / "Tumor_001.json").unlink()
    (folders / "slides" / "b.tif").write_bytes(b"b")
    (folders / "outlines" / "b.json").write_text(outlines())
    status, report = run(folders)
    assert status == 1
    assert "the service has" in report["not_evaluated"]["tumor_001.tif"]
    assert fake.annotations[fake.slides[0]["id"]]["positive"]


@pytest.mark.parametrize("status", [500, 503, 403, 302])
def test_an_answer_that_does_not_say_whether_there_are_outlines_erases_none(fake, folders, status):
    run(folders)
    (folders / "outlines" / "Tumor_001.json").unlink()
    fake.broken["GET", "annotation"] = httpx.Response(status, text="<html>")
    status, report = run(folders, "--without-outlines", "tumour-free")
    assert status == 1
    assert "annotation answered" in report["not_evaluated"]["tumor_001.tif"]
    assert fake.annotations[fake.slides[0]["id"]]["positive"]


@pytest.mark.parametrize(
    ("place", "answer", "sentence"),
    [
        (("PUT", "annotation"), httpx.Response(200, text="<html>"), "that is not JSON"),
        (("PUT", "annotation"), httpx.Response(502, json=["x"]), "annotation answered 502"),
        (("PUT", "annotation"), httpx.Response(200, json={}), "KeyError"),
        (("PATCH", "1"), httpx.Response(204), "without the header Location-Slide"),
        (("POST", "uploads"), httpx.Response(201), "without the header Location"),
        (("POST", "analyses"), httpx.Response(200, text=""), "that is not JSON"),
    ],
)
def test_an_answer_of_a_proxy_fails_the_slide_and_is_reported(fake, folders, place, answer, sentence):
    fake.broken[place] = answer
    status, report = run(folders)
    assert status == 1
    assert sentence in report["not_evaluated"]["tumor_001.tif"]


@pytest.mark.parametrize("place", ["models", "slides"])
def test_a_proxy_instead_of_the_service_is_one_sentence(fake, folders, place, capsys):
    fake.broken["GET", place] = httpx.Response(200, text="<html>")
    assert run(folders)[0] == 1
    assert f"Not evaluated: GET /api/v1/{place} answered 200 with a body that is not JSON" in capsys.readouterr().err


def test_file_names_that_are_not_utf8(fake, folders, capsys):
    """Each is evaluated, and named with its bytes escaped."""
    bad = os.fsdecode(b"m\xfcller")
    (folders / "slides" / f"{bad}.tif").write_bytes(b"two")
    (folders / "outlines" / f"{bad}.json").write_text(outlines())
    (folders / "slides" / f"{bad}2.tif").write_bytes(b"")
    (folders / "outlines" / f"{bad}2.json").write_text(outlines())
    (folders / "slides" / f"{bad}.txt").write_bytes(b"")
    status, report = run(folders)
    assert status == 1
    assert set(report["analyses"]) == {"tumor_001.tif", f"{bad}.tif"}
    assert fake.slides[0]["filename"] == "m\\udcfcller.tif"
    printed = capsys.readouterr()
    assert "m\\udcfcller.tif" in printed.out
    assert "m\\udcfcller2.tif: the file is empty" in printed.err


def test_refused_outlines_name_their_file(fake, folders):
    fake.refused_outlines.add(outlines().encode())
    status, report = run(folders)
    assert status == 1
    assert report["not_evaluated"] == {"tumor_001.tif": "Tumor_001.json: Annotation 3 is of the group 'x' name it"}
    assert fake.posted == 0, "a refusal costs no analysis"


def test_ignored_marks_are_printed(fake, folders, capsys):
    (folders / "outlines" / "Tumor_001.json").write_text(outlines(dots=[]))
    assert run(folders)[0] == 0
    assert "Ignored in Tumor_001.json:\n  dot (Dot, group _0): encloses nothing" in capsys.readouterr().out


@pytest.mark.parametrize("copy", ["tumor_001 - Copy.tif", "a.tif", "z.tif", "TUMOR_001x.tiff"])
def test_one_file_under_two_names_is_evaluated_once_with_the_outlines_of_either(fake, folders, copy):
    """A copy without outlines, which may sort first, does not take the truth away."""
    (folders / "slides" / copy).write_bytes(b"one")
    status, report = run(folders)
    assert status == 1
    assert len(fake.evaluated) == 1
    assert report["not_evaluated"] == {copy: "the file is the same as tumor_001.tif, byte by byte"}
    assert fake.annotations[fake.slides[0]["id"]]["positive"], "the outlines were sent"


def test_copies_with_the_same_outlines_are_one_and_with_others_are_unclear(fake, folders):
    (folders / "slides" / "copy.tif").write_bytes(b"one")
    (folders / "outlines" / "copy.json").write_text(outlines())
    status, report = run(folders)
    assert (status, list(report["analyses"])) == (1, ["copy.tif"])
    (folders / "outlines" / "copy.json").write_text(outlines(x=[]))
    (folders / "slides" / "third.tif").write_bytes(b"one")
    (folders / "slides" / "other.tif").write_bytes(b"other")
    (folders / "outlines" / "other.json").write_text(outlines())
    status, report = run(folders)
    assert (status, list(report["analyses"])) == (1, ["other.tif"])
    assert set(report["not_evaluated"]) == {"copy.tif", "third.tif", "tumor_001.tif"}
    assert set(report["unmatched_outlines"]) == {"copy.json", "Tumor_001.json"}
    assert all("their outlines differ" in reason for reason in report["not_evaluated"].values())


def test_a_copy_of_an_unclear_slide_is_not_free_of_tumour(fake, folders):
    for name in ("tumor_001.svs", "b.tif"):
        (folders / "slides" / name).write_bytes(b"one")
    status, report = run(folders, "--without-outlines", "tumour-free")
    assert (status, report["analyses"], report["free"]) == (1, {}, [])
    assert "the outlines of one of them are unclear" in report["not_evaluated"]["b.tif"]


def test_a_copy_on_the_list_of_partly_outlined_slides(fake, folders):
    (folders / "slides" / "a.tif").write_bytes(b"one")
    (folders / "ignore.txt").write_text("a")
    run(folders, "--ignore", str(folders / "ignore.txt"))
    assert [parameters["exhaustive"] for parameters in fake.parameters] == ["false"]


def test_a_list_of_partly_outlined_slides(fake, folders, capsys):
    """Names with spaces and a byte order mark; a name that fits no slide is reported."""
    (folders / "slides" / "tumor 114.tif").write_bytes(b"two")
    (folders / "outlines" / "tumor 114.json").write_text(outlines())
    (folders / "ignore.txt").write_text("Tumor 114\r\n\r\ntumor_999\n", "utf-8-sig")
    status, report = run(folders, "--ignore", str(folders / "ignore.txt"))
    assert status == 1
    assert report["unmatched_names"] == ["tumor_999"]
    assert [parameters["exhaustive"] for parameters in fake.parameters] == ["false", "true"]
    assert "tumor_999" in capsys.readouterr().err


def test_groups_are_named_on_the_command_line(fake, folders):
    run(folders, "--tumour", "CIS", "--tumour", "none", "--hole", "necrosis", "--ignore-group", "stroma")
    (parameters,) = fake.parameters
    assert parameters.get_list("tumour") == ["CIS", "none"]
    assert (parameters["hole"], parameters["ignore"]) == ("necrosis", "stroma")


def test_one_folder_for_slides_and_outlines(fake, tmp_path):
    (tmp_path / "a.tif").write_bytes(b"a")
    (tmp_path / "a.json").write_text(outlines())
    (tmp_path / "README.md").write_text("")
    result = tmp_path.parent / "one.json"
    assert camelyon.main([str(tmp_path), str(tmp_path), "--json", str(result)]) == 0
    assert list(json.loads(result.read_text())["folders"]["left_out"]) == [str(tmp_path / "README.md")]


def test_nothing_to_evaluate(fake, folders, capsys):
    (folders / "slides" / "tumor_001.tif").write_bytes(BAD)
    status, report = run(folders)
    assert (status, report["analyses"]) == (1, {})
    assert "no slide of the folder could be evaluated" in capsys.readouterr().err


def test_an_empty_file_is_a_slide_that_fails(fake, folders):
    (folders / "slides" / "empty.tif").write_bytes(b"")
    status, report = run(folders)
    assert (status, list(report["analyses"])) == (1, ["tumor_001.tif"])
    assert report["not_evaluated"] == {"empty.tif": "the file is empty"}


def test_a_network_that_nobody_offers(fake, folders, capsys):
    assert camelyon.main([str(folders / "slides"), str(folders / "outlines"), "--model", "other"]) == 1
    assert "no worker offers the network 'other': choose one of net" in capsys.readouterr().err
    assert fake.uploads == 0


def test_the_demo_joins_its_slide_by_its_content_too(fake, tmp_path, monkeypatch, capsys):
    path = tmp_path / "synthetic.tiff"
    path.write_bytes(b"one")
    monkeypatch.setattr(demo, "demo_slide", lambda _: DemoSlide(path, "synthetic", "a note"))
    assert demo.main([str(tmp_path)]) == 0
    path.write_bytes(b"two")
    assert demo.main([str(tmp_path)]) == 0
    assert fake.uploads == 2, "another file of the same name"
    assert demo.main([str(tmp_path)]) == 0
    assert fake.uploads == 2
    assert capsys.readouterr().out.count("here from an earlier start") == 1
