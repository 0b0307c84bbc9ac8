"""What a finished analysis says of its checks and of the unfamiliar: no more than was looked at."""

import numpy as np
import pytest

from model.checks.density import Density
from model.checks.familiarity import Familiarity
from model.networks.autoencoder import Autoencoder
from worker.compute.findings import familiarity, rotation_summary, unfamiliar_notes
from worker.kinds.check import _NOTHING_TURNED

READ = {"drift": 0.0, "residual": 2e-6, "tolerance": 1e-3, "elements": ["turned by 90°"], "spread": None, "outside": []}


def known(usual):
    return Familiarity(Autoencoder(), Density(np.zeros(1), np.eye(1), 0.0, 1.0, 4.0), {"usual_shares": [0.0, usual]})


def test_regions_that_could_not_be_read_are_not_called_checked():
    none = rotation_summary([_NOTHING_TURNED, _NOTHING_TURNED])
    assert (none["regions"], none["passed"], none["residual_logits"]) == (0, None, None)
    one = rotation_summary([_NOTHING_TURNED, READ])
    assert (one["regions"], one["passed"], one["residual_logits"]) == (1, True, 2e-6)
    assert rotation_summary([]) is None


def test_the_drift_is_the_worst_of_the_regions():
    assert rotation_summary([{**READ, "drift": 0.02}, READ])["drift_logits"] == 0.02


def test_a_network_without_symmetry_was_looked_at_and_promised_nothing():
    plain = rotation_summary([{**READ, "elements": [], "spread": 0.7, "outside": ["mirrored"]}])
    assert (plain["regions"], plain["passed"], plain["spread_logits"]) == (1, None, 0.7)


@pytest.mark.parametrize(("usual", "told"), [(0.3, False), (0.1, True)])
def test_a_slide_with_more_of_the_unfamiliar_than_any_held_out_one_gets_a_banner(usual, told):
    plane = np.array([[1.0, 5.0, np.nan], [2.0, 3.0, 3.9]], np.float32)
    found = familiarity(plane, known(usual))
    assert found["unfamiliar_share"] == pytest.approx(1 / 5)
    notes = unfamiliar_notes(found)
    assert bool(notes) == found["unusual"] == told
    assert not told or "20% of this tissue looks unlike" in notes[0]["sentence"]


def test_where_nobody_can_say_nothing_is_said():
    assert familiarity(np.full((2, 2), np.nan, np.float32), known(0.1)) is None
    assert familiarity(np.ones((2, 2), np.float32), None) is None
    assert unfamiliar_notes(None) == []
