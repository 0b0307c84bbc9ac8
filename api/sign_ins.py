"""Tries at a password, counted: ten a minute for each name from each address; a good one costs none."""

import threading

from cachetools import TTLCache
from fastapi import Request

from api.trail import origin_of
from core import people
from core.errors import TooMany

MOST_TRIES, TRIES_SECONDS = 10, 60.0
_tries: TTLCache[str, int] = TTLCache(4096, TRIES_SECONDS)
_lock = threading.Lock()


def proved(request: Request, login: str, password: str) -> people.Proof:
    """Who a name and a password prove. Slow on purpose: not within a transaction.

    Raises:
        Unauthenticated, TooMany.
    """
    place = f"{origin_of(request)} {login}"
    with _lock:
        tried = _tries.get(place, 0)
        if tried >= MOST_TRIES:
            raise TooMany("too-many-sign-ins", "too many sign-ins under this name failed", "wait a minute")
        _tries[place] = tried + 1
    proof = people.recognise(login, password)
    with _lock:
        _tries.pop(place, None)
    return proof
