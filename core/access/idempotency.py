"""Idempotency-Key: stores the first answer to a key and replays it; refuses the same key with another request.

The header of draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import json
from typing import Any

from sqlalchemy.orm import Session

from core.access.visitor import Visitor
from core.database.people import Idempotency
from core.database.transactions import clock, insert_if_absent
from core.errors import Conflict, Invalid

LONGEST_KEY = 255
Answer = dict[str, Any]


def replay(session: Session, visitor: Visitor, key: str | None, request: Any) -> Answer | None:
    """The answer that a key got before; None for a new key, whose change and `store` belong to the same transaction.

    Of two callers with the same key the second waits here until the first one's transaction has ended.

    Args:
        request: the request, JSON-ready. Its hash is stored with the key.

    Raises:
        Conflict: the key was used for another request. Invalid: the key is too long.
    """
    if key is None:
        return None
    if not 0 < len(key) <= LONGEST_KEY:
        raise Invalid("bad-idempotency-key", f"an Idempotency-Key has 1 to {LONGEST_KEY} characters", "use a UUID")
    request_hash = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    place = {"principal_id": visitor.principal_id, "key": key}
    fields = {"request_hash": request_hash, "answer": {}, "created_at": clock(session)}
    # The row is inserted before the change is made: a second request with the key waits for this transaction.
    if insert_if_absent(session, Idempotency, **place, **fields):
        return None
    # The session may hold the row as it was before the wait for the first caller: read it again.
    row = session.get_one(Idempotency, place, populate_existing=True)
    if row.request_hash != request_hash:
        raise Conflict("idempotency-key-reused", "this Idempotency-Key was used for another request", "use a new key")
    return dict(row.answer)


def store(session: Session, visitor: Visitor, key: str | None, answer: Answer) -> None:
    """Stores the answer for replays of the same key."""
    if key is not None:
        session.get_one(Idempotency, {"principal_id": visitor.principal_id, "key": key}).answer = answer
