"""Errors of the domain carry parameters that JSON has."""

import json
from decimal import Decimal

import pytest

from core.errors import Invalid


@pytest.mark.parametrize(
    ("value", "stored"), [(Decimal(7), 7), (Decimal("0.5"), 0.5), (float("nan"), "nan"), ("x" * 300, "x" * 200), (3, 3)]
)
def test_parameters_can_be_sent(value, stored):
    """PostgreSQL sums integers to a Decimal, which the encoder of an answer refuses."""
    error = Invalid("x", "detail", "action", value=value)
    assert error.parameters == {"value": stored}
    json.dumps(error.parameters, allow_nan=False)
