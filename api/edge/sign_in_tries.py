"""Limits password guessing: failed sign-ins are counted by name and address, and by address."""

import threading

from cachetools import TTLCache
from fastapi import Request

from api.request.trail import origin_of
from core.access import passwords
from core.errors import QuarterturnError, TooMany

MOST_TRIES, MOST_OF_ADDRESS, TRIES_SECONDS = 10, 100, 60.0
_tries: TTLCache[str, int] = TTLCache(4096, TRIES_SECONDS)
_lock = threading.Lock()


def check_password(request: Request, login: str, password: str) -> passwords.Proof:
    """Checks a name and a password. The hash is slow on purpose: do not call it inside a transaction.

    A try is counted before the hash is computed, so that parallel guesses are limited like successive ones. One that
    succeeds, or that ends in a fault such as a database that is away, is taken off again.

    Raises:
        Unauthenticated: the name or the password is wrong. TooMany: too many tries failed within a minute.
    """
    origin = origin_of(request)
    limits = {f"{origin} {login}": MOST_TRIES, origin: MOST_OF_ADDRESS}
    with _lock:
        if any(_tries.get(place, 0) >= most for place, most in limits.items()):
            raise TooMany(
                "too-many-sign-ins", "too many sign-ins under this name, or from this address, failed", "wait a minute"
            )
        for place in limits:
            _tries[place] = _tries.get(place, 0) + 1
    counts = False
    try:
        proof = passwords.authenticate(login, password)
        _take_off(f"{origin} {login}", MOST_TRIES)  # one who knows the password may have mistyped it before
        return proof
    except QuarterturnError:
        counts = True  # also where too many passwords are checked at once: guessing in parallel must not be free
        raise
    finally:
        if not counts:
            _take_off(f"{origin} {login}")
            _take_off(origin)


def _take_off(place: str, tries: int = 1) -> None:
    with _lock:
        _tries[place] = max(0, _tries.get(place, 0) - tries)
