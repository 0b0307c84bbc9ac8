"""The digits benchmark: every system gets the same digits, and one learns."""

import pytest
import torch

from model.evidence.digits import DigitNet, test_error, turned_digits
from model.networks.registry import SYSTEMS

test_error.__test__ = False  # a measure, no test


def test_digits_are_drawn_by_seed_and_turned():
    first, again, other = (turned_digits(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    torch.testing.assert_close(first[0], again[0])
    assert first[0].shape == (1797, 3, 28, 28)
    assert 0 <= first[0].min() < 1 < 200 < first[0].max() <= 255
    assert (first[0] != other[0]).any()


@pytest.mark.slow
def test_every_system_answers_ten_classes_and_one_learns():
    picture = turned_digits(torch.Generator().manual_seed(0))[0][:2]
    for system in SYSTEMS.values():
        assert DigitNet(system)(picture).shape == (2, 10)
    assert test_error(SYSTEMS["p4-densenet"], few=200, epochs=5, seed=0) < 0.75, "chance is 0.9"
