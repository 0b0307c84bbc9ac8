"""Sign-in attempts: only wrong passwords are counted."""

import pytest

from api.edge import sign_in_tries
from api.edge.sign_in_tries import MOST_TRIES, check_password
from core.access import passwords
from core.errors import TooMany, Unauthenticated

PROOF = object()


class FromHere:
    """A request with a client address."""

    class client:  # noqa: N801 - Starlette's name
        host = "10.0.0.1"


@pytest.fixture(autouse=True)
def verification(monkeypatch):
    """`right` succeeds, `away` finds no database, `crowded` no slot, all others are wrong."""
    sign_in_tries._tries.clear()

    def authenticate(_, password):
        if password == "away":
            raise OSError("the database is away")
        if password == "crowded":
            raise TooMany("too-many-sign-ins", "too many passwords are checked at once", "try again")
        if password != "right":
            raise Unauthenticated("not-signed-in", "the name or the password is wrong", "try again")
        return PROOF

    monkeypatch.setattr(passwords, "authenticate", authenticate)


def wrong(times):
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            check_password(FromHere, "mia", "a guess")


def test_a_fault_of_the_service_is_no_failed_attempt():
    for _ in range(3 * MOST_TRIES):
        with pytest.raises(OSError, match="away"):
            check_password(FromHere, "mia", "away")
    assert check_password(FromHere, "mia", "right") is PROOF


def test_an_attempt_refused_for_concurrency_counts():
    for _ in range(MOST_TRIES):
        with pytest.raises(TooMany, match="at once"):
            check_password(FromHere, "mia", "crowded")
    with pytest.raises(TooMany, match="failed"):
        check_password(FromHere, "mia", "right")


def test_wrong_tries_are_limited():
    wrong(MOST_TRIES)
    with pytest.raises(TooMany):
        check_password(FromHere, "mia", "right")


def test_successful_sign_in_resets_the_failure_count():
    wrong(MOST_TRIES - 1)
    assert check_password(FromHere, "mia", "right") is PROOF
    wrong(MOST_TRIES)
    with pytest.raises(TooMany):
        check_password(FromHere, "mia", "right")
