"""Commands that cannot do their work say why in one sentence, without a traceback."""

import pytest

from cli import camelyon, demo
from cli.client import failure
from cli.demo_slide import DemoSlide

AWAY = {"QUARTERTURN_URL": "http://127.0.0.1:1", "QUARTERTURN_KEY": "key"}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Both commands, ready to run without a download."""
    (tmp_path / "slide.tiff").write_bytes(b"x")
    (tmp_path / "slide.json").write_text("{}")
    monkeypatch.setattr(demo, "demo_slide", lambda _: DemoSlide(tmp_path / "slide.tiff", "synthetic", "a note"))
    return {"demo": lambda: demo.main([str(tmp_path)]), "camelyon": lambda: camelyon.main([str(tmp_path)] * 2)}


@pytest.mark.parametrize("command", ["demo", "camelyon"])
def test_a_service_that_does_not_answer(commands, command, monkeypatch, capsys):
    for name, value in AWAY.items():
        monkeypatch.setenv(name, value)
    assert commands[command]() == 1
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "camelyon"])
@pytest.mark.parametrize("missing", AWAY)
def test_an_environment_that_names_no_service(commands, command, missing, monkeypatch, capsys):
    for name, value in AWAY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    assert commands[command]() == 2
    assert f"set {missing}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "withheld", "reason", "sentence"),
    [
        ("succeeded", None, None, None),
        ("succeeded", {"detail": "no tissue"}, None, "the results are withheld: no tissue"),
        ("failed", None, {"detail": "disk"}, "the analysis failed: disk"),
        ("cancelled", None, None, "the analysis was cancelled"),
    ],
)
def test_why_an_analysis_has_no_results(state, withheld, reason, sentence):
    assert failure({"state": state, "withheld": withheld, "reason": reason}) == sentence
