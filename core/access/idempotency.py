"""Idempotency-Key: stores the first answer to a key and replays it; refuses the same key with another request.

The header of draft-ietf-httpapi-idempotency-key-header.
"""

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
    """Returns `produce()`'s answer, or the stored one of the first call, in the caller's transaction.

    The row is inserted before `produce` runs. A second caller with the same key therefore waits for the first one's
    transaction, and then reads its answer, or produces its own when that transaction was rolled back.

    Args:
        key: None: nothing is stored.
        request: the request as JSON-ready values; only its hash is stored.
        keep: what of the answer is stored for a replay. A secret is left out here.

    Raises:
        Conflict: the key was used for another request.
        Invalid: the key is empty or too long.
    """
    if key is None:
        return produce()
    if not 0 < len(key) <= LONGEST_KEY:
        raise Invalid("bad-idempotency-key", f"an Idempotency-Key has 1 to {LONGEST_KEY} characters", "use a UUID")
    request_hash = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    row_id = {"principal_id": visitor.principal_id, "key": key}
    row = {**row_id, "request_hash": request_hash, "answer": {}, "created_at": clock(session)}
    if insert_if_absent(session, Idempotency, **row):
        answer = produce()
        session.get_one(Idempotency, row_id).answer = keep(answer)
        return answer
    stored = session.get_one(Idempotency, row_id, populate_existing=True)
    if stored.request_hash != request_hash:
        raise Conflict("idempotency-key-reused", "this Idempotency-Key was used for another request", "use a new key")
    return dict(stored.answer)
