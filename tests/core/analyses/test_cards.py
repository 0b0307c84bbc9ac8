"""The threshold of a request: its own, its preset's, or the card's."""

import pytest

from core.analyses.cards import threshold_of
from core.errors import Invalid

CARD = {"name": "net", "threshold": 0.5, "presets": {"screening": {"threshold": 0.17}, "specific": {"threshold": 0.95}}}


@pytest.mark.parametrize(
    ("threshold", "preset", "expected"),
    [(None, None, 0.5), (0.3, None, 0.3), (None, "screening", 0.17), (None, "specific", 0.95)],
)
def test_threshold_is_the_requests_or_its_presets_or_the_cards(threshold, preset, expected):
    assert threshold_of(CARD, threshold, preset) == expected


@pytest.mark.parametrize(
    ("card", "threshold", "preset", "code", "action"),
    [
        (CARD, 0.3, "screening", "threshold-and-preset", "name one of them"),
        (CARD, None, "default", "no-such-preset", "name one of screening, specific"),
        ({"name": "net", "threshold": 0.5}, None, "screening", "no-such-preset", "name a threshold"),
        ({**CARD, "presets": {}}, None, "specific", "no-such-preset", "name a threshold"),
    ],
)
def test_a_preset_that_the_model_does_not_have_is_refused_with_what_it_has(card, threshold, preset, code, action):
    with pytest.raises(Invalid) as refusal:
        threshold_of(card, threshold, preset)
    assert (refusal.value.code, refusal.value.action) == (code, action)
