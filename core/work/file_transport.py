"""kombu's filesystem transport, made safe for several processes: a message is there whole, or not at all.

As it stands, a consumer may take a message between its file's creation and its writing, and the exchange table between
its truncation and its lock. Either reads as broken JSON, which ends a Celery worker.
"""

import fcntl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    """Messages appear by a rename; tables of exchanges are read and written under one lock."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override] # kombu's two bases differ
        folder, name = Path(self.data_folder_out), f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        unfinished = folder / f".{name}"  # by its dot no message of any queue
        try:
            unfinished.write_text(dumps(payload))
            unfinished.replace(folder / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for message in sorted(Path(self.data_folder_in).iterdir()):
            if message.name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = message.with_name(f".taken-{message.name}")
            try:
                message.rename(taken)  # of several consumers one succeeds
                content = taken.read_text()
                taken.unlink()
                return loads(content)
            except FileNotFoundError:
                continue
            except ValueError:  # cut off by a version that wrote in place: as good as lost
                continue
        raise Empty

    @contextmanager
    def _table_lock(self) -> Iterator[None]:
        self.control_folder.mkdir(exist_ok=True)
        with (self.control_folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def get_table(self, exchange: str) -> Any:
        with self._table_lock():
            return super().get_table(exchange)

    def _queue_bind(self, *names: str) -> None:
        with self._table_lock():
            super()._queue_bind(*names)

    def _delete(self, *names: str, **more: Any) -> None:
        with self._table_lock():
            super()._delete(*names, **more)


class Transport(filesystem.Transport):
    """`broker_transport` of the embedded mode."""

    Channel = Channel
