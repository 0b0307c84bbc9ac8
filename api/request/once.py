"""Idempotency keys: the same request is carried out once."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import BaseModel

from api.request.transactions import Write
from api.request.visitor import Analyst
from core.access import idempotency
from core.access.idempotency import Answer

SentKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        json_schema_extra={"minLength": 1, "maxLength": 255},
        description="a replay gets the first answer",
    ),
]


class Once:
    """Runs a change once for an Idempotency-Key, which belongs to this very method, path and request."""

    def __init__(
        self,
        session: Write,
        visitor: Analyst,
        request: Request,
        key: SentKey = None,
    ) -> None:
        self._session, self._visitor, self._key = session, visitor, key
        self._where = [request.method, request.url.path]

    def __call__(
        self, asked: BaseModel | None, produce: Callable[[], Answer], keep: Callable[[Answer], Answer] = dict
    ) -> Answer:
        request = [*self._where, None if asked is None else asked.model_dump(mode="json")]
        return idempotency.answer_once(self._session, self._visitor, self._key, request, produce, keep)


OnlyOnce = Annotated[Once, Depends(Once)]
