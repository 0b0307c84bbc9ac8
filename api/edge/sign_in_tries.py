"""Tries at a password, counted: ten a minute for each name from each address, a hundred for all names; a good one costs
none.
"""

import threading

from cachetools import TTLCache
from fastapi import Request

from api.request.trail import origin_of
from core.access import people
from core.errors import TooMany

MOST_TRIES, MOST_OF_ADDRESS, TRIES_SECONDS = 10, 100, 60.0
_tries: TTLCache[str, int] = TTLCache(4096, TRIES_SECONDS)
_lock = threading.Lock()


def proved(request: Request, login: str, password: str) -> people.Proof:
    """Who a name and a password prove. Slow on purpose: not within a transaction.

    Raises:
        Unauthenticated, TooMany.
    """
    origin = origin_of(request)
    places = {f"{origin} {login}": MOST_TRIES, origin: MOST_OF_ADDRESS}
    with _lock:
        if any(_tries.get(place, 0) >= most for place, most in places.items()):
            raise TooMany(
                "too-many-sign-ins", "too many sign-ins under this name, or from here, failed", "wait a minute"
            )
        for place in places:
            _tries[place] = _tries.get(place, 0) + 1
    proof = people.authenticate(login, password)
    with _lock:
        _tries.pop(f"{origin} {login}", None)
        _tries[origin] = max(0, _tries.get(origin, 0) - 1)
    return proof
