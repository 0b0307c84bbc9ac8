"""The table from errors to HTTP: complete, and every temporary refusal has Retry-After."""

import json

import pytest

from api.contract import problems
from core import errors


def kinds(base):
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize(
    "kind", [k for k in kinds(errors.QuarterturnError) if k.__module__ == "core.errors"][1:], ids=lambda k: k.__name__
)
def test_every_error_of_the_domain_has_a_status(kind):
    answer = problems.from_error(kind("a-code", "what is wrong", "what to do"))
    assert 400 <= answer.status_code < 600
    if answer.status_code in (429, 503):
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.ReaderFailed, 503), (errors.ReaderTimedOut, 503), (errors.ReaderOutOfMemory, 503),
        (errors.StorageFault, 503), (errors.NoSuchPart, 404), (errors.SlideUnreadable, 422),
        (errors.SlideUnsupported, 422), (errors.Unavailable, 503), (errors.Foreign, 404),
    ],
)  # fmt: skip
def test_a_cause_has_its_status(kind, status):
    assert problems.from_error(kind("a-code", "what is wrong", "what to do")).status_code == status


def test_a_refusal_may_name_a_longer_wait():
    answer = problems.from_error(errors.TooMany("too-many-sign-ins", "too many", "wait a minute"))
    assert answer.headers["Retry-After"] == "60"


def test_an_unreachable_or_busy_database_answers_with_retry_after():
    for answer in (problems.pool_exhausted(), problems.problem(503, "database-away", "no answer")):
        assert answer.headers["Retry-After"] == "2"


def test_a_problem_carries_the_numbers_of_its_sentence():
    error = errors.TooMany("quota-slides", "you have 3 slides", "delete some", most=3)
    assert json.loads(problems.from_error(error).body)["parameters"] == {"most": 3}
    assert "parameters" not in json.loads(problems.from_error(errors.Gone("gone", "gone", "leave")).body)
