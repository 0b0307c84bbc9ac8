"""Idempotency keys: replays of a request get the first answer."""

from typing import Annotated, Any

from fastapi import Header, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import JSONResponse, Response

from core.access import idempotency
from core.access.visitor import Visitor

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        json_schema_extra={"minLength": 1, "maxLength": 255},
        description="a replay gets the first answer",
    ),
]


class Replayed(Exception):
    """The request was carried out before. Its handler (`replay`) sends the first answer again."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__("replay of an Idempotency-Key")
        self.answer = answer


class IdempotentRequest:
    """One request and its key. A key belongs to one principal, method, path and body."""

    def __init__(self, visitor: Visitor, request: Request, key: str | None) -> None:
        self._visitor, self._key = visitor, key
        self._place = [request.method, request.url.path]

    def claim(self, session: Session, body: BaseModel | None) -> None:
        """Takes the key for this request.

        Raises:
            Replayed: the same request came before. Conflict: another request has the key. Invalid: it is too long.
        """
        request = [*self._place, None if body is None else body.model_dump(mode="json")]
        answer = idempotency.replay(session, self._visitor, self._key, request)
        if answer is not None:
            raise Replayed(answer)

    def store(self, session: Session, answer: BaseModel) -> None:
        idempotency.store(session, self._visitor, self._key, answer.model_dump(mode="json"))


def replay(request: Request, replayed: Exception) -> Response:
    """Answers as the first time: with the route's status and the stored answer."""
    assert isinstance(replayed, Replayed)
    status = request.scope["route"].status_code or 200
    return Response(status_code=status) if status == 204 else JSONResponse(replayed.answer, status)
