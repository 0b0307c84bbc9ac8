"""kombu's filesystem transport made safe for several processes: a message appears complete or not at all.

kombu's own consumer may read a message between the creation of its file and the write, and the exchange table between
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
    """Publishes and consumes messages by rename, and locks the exchange tables.

    A rename within a folder is atomic (POSIX): a message file is complete under its name, and of several consumers
    that rename it one succeeds. A consumer that is killed between the rename and its return loses the message. The
    reconciler rings again for its work.
    """

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override] # kombu's two bases differ
        folder, name = Path(self.data_folder_out), f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        unfinished = folder / f".{name}"  # the dot makes it no message of any queue (_get)
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
            claimed = message.with_name(f".taken-{message.name}")
            try:
                message.rename(claimed)
                content = claimed.read_text()
                claimed.unlink()
                return loads(content)
            except FileNotFoundError:  # another consumer was faster
                continue
            except ValueError:  # cut off, by an older version that wrote in place: treat it as lost
                continue
        raise Empty

    # kombu locks a table's file only after it has truncated it. This lock is on another file, and taken before.
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
    """The `broker_transport` of the embedded mode."""

    Channel = Channel
