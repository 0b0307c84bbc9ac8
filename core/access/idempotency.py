"""Idempotency-Key: the first answer to a key is kept and given again; the same key for another request is refused."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from core.access.visitor import Visitor
from core.database.people import Idempotency
from core.database.transactions import clock, insert_if_absent
from core.errors import Conflict, Invalid

LONGEST_KEY = 255
Answer = dict[str, Any]


def answer_once(
    session: Session,
    visitor: Visitor,
    key: str | None,
    request: Any,
    produce: Callable[[], Answer],
    keep: Callable[[Answer], Answer] = dict,
) -> Answer:
    """`produce()`'s answer, or the one it gave the first time, in the caller's transaction.

    Of two callers at once the second waits for the first.

    Args:
        request: what was asked, JSON-ready; another one under the same key is refused.
        keep: what of the answer is kept for a replay (a secret is not).

    Raises:
        Conflict: the key was used for another request. Invalid: the key is too long.
    """
    if key is None:
        return produce()
    if not 0 < len(key) <= LONGEST_KEY:
        raise Invalid("bad-idempotency-key", f"an Idempotency-Key has 1 to {LONGEST_KEY} characters", "use a UUID")
    asked = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    place = {"principal_id": visitor.principal_id, "key": key}
    if insert_if_absent(session, Idempotency, **place, request_hash=asked, answer={}, created_at=clock(session)):
        answer = produce()
        session.get_one(Idempotency, place).answer = keep(answer)
        return answer
    known = session.get_one(Idempotency, place, populate_existing=True)
    if known.request_hash != asked:
        raise Conflict("idempotency-key-reused", "this Idempotency-Key was used for another request", "use a new key")
    return dict(known.answer)
