"""The angle profile gives calibrated scores, as the heat map does."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from core.work.leases import Claim
from model.weights.card import Card
from worker.kinds import profile as kind

CLAIM = Claim("w", "profile", 1, 1, "s", "a", 0, {"row": 2, "col": 3})
CARD = Card("n", "digest", {}, temperature=2.0, bias=0.5)


def test_scores_are_calibrated_by_temperature_and_bias(monkeypatch):
    analysis, stored = SimpleNamespace(provenance={"weights_sha256": "digest"}), []
    logits = np.array([-3.0, 0.0, 4.0], np.float32)
    for name, answer in {
        "slide_and_analysis": lambda _: (None, analysis),
        "network_pixels": lambda *_: None,
        "reader_of": lambda _: None,
        "angle_profile": lambda *_: ([0, 90, 180], logits),
        "writing": nullcontext,
    }.items():
        monkeypatch.setattr(kind, name, answer)
    monkeypatch.setattr(kind.scale, "info_of_analysis", lambda *_: None)
    monkeypatch.setattr(kind.leases, "complete", lambda session, claim, result: stored.append(result))
    kind.profile(CLAIM, SimpleNamespace(advance=lambda: None), SimpleNamespace(card=CARD, network=None))
    assert stored[0]["scores"] == pytest.approx(list(1 / (1 + np.exp(-(logits / 2 + 0.5)))), rel=1e-6)
