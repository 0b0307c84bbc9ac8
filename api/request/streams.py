"""Server-sent events of an analysis, with a limit on open streams."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

from anyio import to_thread
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

from api.contract.analyses import AnalysisOut
from core.analyses import states
from core.errors import TooMany

EVENT_SECONDS = 0.5
MOST_STREAMS = 32  # of one principal, in this process
_open = Counter[str]()


class AnalysisEvents(EventSourceResponse):
    """Streams an analysis at every change until it has ended.

    The limit is checked and the stream counted in one step of the event loop, when the answer starts; it is taken off
    when the answer ends, however it ends. A stream that never starts is never counted.

    Args:
        read: reads the analysis; None ends the stream. It runs in a thread.
    """

    def __init__(self, principal_id: str, read: Callable[[], AnalysisOut | None]) -> None:
        super().__init__(_changes(read))
        self._principal_id = principal_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises TooMany before anything is sent."""
        if _open[self._principal_id] >= MOST_STREAMS:
            raise TooMany("too-many-streams", f"{MOST_STREAMS} streams of this visitor are open", "close some of them")
        _open[self._principal_id] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            _open[self._principal_id] -= 1
            if not _open[self._principal_id]:
                del _open[self._principal_id]


async def _changes(read: Callable[[], AnalysisOut | None]) -> AsyncIterator[ServerSentEvent]:
    last: dict[str, object] = {}
    while (analysis := await to_thread.run_sync(read)) is not None:
        # The time left differs in each read, so it does not count as a change.
        content = analysis.model_dump(exclude={"progress": {"seconds_left"}})
        if content != last:
            yield ServerSentEvent(analysis.model_dump_json(), event="analysis")
        if analysis.state not in states.ACTIVE:
            return
        last = content
        await asyncio.sleep(EVENT_SECONDS)
