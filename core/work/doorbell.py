"""The doorbell: a Celery message that says only "there may be work". The work itself is in rows (core.work.leases).

The API and the reconciler ring. A lost message costs time, never work, because the reconciler rings again for every
open row. Messages travel through Redis in production, and through files in the embedded mode.
"""

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core.settings import EMBEDDED, Settings, get_settings

if TYPE_CHECKING:
    from celery import Celery

RING = "worker.ring"
QUEUE = "quarterturn"
# Messages that queued up during hours of work are dropped, not delivered one by one: they would find nothing to claim.
RING_EXPIRES_SECONDS = 3600
FILES = "core.work.file_transport:Transport"
log = logging.getLogger(__name__)


def transport_options(settings: Settings) -> dict[str, Any]:
    """Returns kombu's options: the message folders of the embedded mode, or timeouts for Redis."""
    if settings.broker() != EMBEDDED:
        # Redis redelivers an unacknowledged message after the visibility timeout. A second delivery is harmless.
        return {"visibility_timeout": 60, "socket_connect_timeout": 2, "socket_timeout": 5}
    folders = {name: settings.data.resolve() / "broker" / name for name in ("messages", "control")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "control_folder": str(folders["control"]),
        "polling_interval": 0.1,
    }


def make_celery(settings: Settings | None = None) -> "Celery":
    """Returns the Celery application: of a process that rings, or of a worker."""
    from celery import Celery  # here, not above: its import takes a good part of a second of every start

    settings = settings or get_settings()
    app = Celery("quarterturn", broker=settings.broker())
    app.conf.update(
        broker_transport=FILES if settings.broker() == EMBEDDED else None,
        broker_transport_options=transport_options(settings),
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2,  # a request waits for a ring, so an absent broker must not hold it up
        task_ignore_result=True,
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,  # a message that waits in one process cannot wake another that is idle
        worker_pool_start_method="spawn",  # a forked child cannot use CUDA, nor the threads of its parent
        worker_soft_shutdown_timeout=10.0,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_publish_retry=False,
    )
    return app


@lru_cache(maxsize=1)
def doorbell() -> "Celery":
    """Returns the application that this process rings with, created at the first ring so that the API starts sooner."""
    return make_celery()


def is_reachable() -> bool:
    """Whether the broker can be reached."""
    from kombu.exceptions import OperationalError

    try:
        with doorbell().connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except (OperationalError, OSError):
        return False
    return True


def ring(app: "Celery", times: int = 1) -> bool:
    """Rings the doorbell; False when the broker cannot be reached. The rows wait, and the reconciler rings again."""
    from kombu.exceptions import OperationalError

    try:
        for _ in range(times):
            app.send_task(RING, queue=QUEUE, retry=False, expires=RING_EXPIRES_SECONDS)
    except (OperationalError, OSError) as error:
        log.warning("broker unreachable; work waits in its rows", extra={"fields": {"error": type(error).__name__}})
        return False
    return True
