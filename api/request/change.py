"""What mutating calls share: idempotency, one transaction, the audit trail and the doorbell, in this order.

    change.begin(body)      the transaction starts; a replay ends here with the first answer
    …                       the route makes its change in change.session
    change.audit(subject)   in the same transaction
    change.ring()           rings after the commit
    change.answer(out)      stored for replays

The session's calls and the uploads of tus have transactions of their own, and no Idempotency-Key.

The transaction commits before the answer leaves (see api.request.transactions), and rolls back on any error.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import BackgroundTasks, Depends, Request
from pydantic import BaseModel

from api.request.idempotency import IdempotencyKey, IdempotentRequest
from api.request.trail import Trail
from api.request.transactions import Write, ring
from api.request.visitor import Visitor

Out = TypeVar("Out", bound=BaseModel)


class Changing:
    """One mutating request.

    Attributes:
        session: its transaction. It begins with the first statement, so that slow work before `begin` blocks no other
            writer.
    """

    def __init__(
        self,
        session: Write,
        visitor: Visitor,
        trail: Trail,
        request: Request,
        background: BackgroundTasks,
        key: IdempotencyKey = None,
    ) -> None:
        self.session, self.visitor = session, visitor
        self._trail, self._background = trail, background
        self._request = IdempotentRequest(visitor, request, key)

    def begin(self, body: BaseModel | None = None) -> None:
        """Takes the request's Idempotency-Key, if it has one.

        Raises:
            Replayed: the same request came before. Conflict: another request has the key. Invalid: the key is too long.
        """
        self._request.claim(self.session, body)

    def audit(self, subject: str, **detail: Any) -> None:
        """Records the change under the action that the table of calls names."""
        self._trail.changed(self.session, subject, **detail)

    def after_commit(self, task: Callable[..., Any], *arguments: Any) -> None:
        """Runs a task once the answer has left. A crash in between loses it, so it must be repeatable elsewhere."""
        self._background.add_task(task, *arguments)

    def ring(self, times: int = 1) -> None:
        """Wakes workers after the commit: a worker that woke before would not see the new work."""
        self.after_commit(ring, times)

    def answer(self, out: Out, stored: BaseModel | None = None) -> Out:
        """Returns the answer and stores it for replays, or `stored` in its place where it holds a secret."""
        self._request.store(self.session, stored or out)
        return out


Change = Annotated[Changing, Depends(Changing)]
