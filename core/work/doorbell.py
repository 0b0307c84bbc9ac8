"""The doorbell: a Celery message that says only "there may be work". The rows are the truth (core.work.leases).

The API and the reconciler ring; a lost ring costs time, never work. Redis in production, files in the embedded mode
(which lose messages when their consumer is killed: the reconciler rings again).
"""

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core.settings import EMBEDDED, Settings, get_settings

if TYPE_CHECKING:
    from celery import Celery

RING = "worker.ring"
QUEUE = "quarterturn"
RING_EXPIRES_SECONDS = 3600  # what piled up behind hours of work is not walked through one by one
FILES = "core.work.file_transport:Transport"
log = logging.getLogger(__name__)


def transport_options(settings: Settings) -> dict[str, Any]:
    """Folders of the embedded mode, or Redis's patience."""
    if settings.broker() != EMBEDDED:
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
    """The Celery application, for ringing and for answering."""
    from celery import Celery

    settings = settings or get_settings()
    app = Celery("quarterturn", broker=settings.broker())
    app.conf.update(
        broker_transport=FILES if settings.broker() == EMBEDDED else None,
        broker_transport_options=transport_options(settings),
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2,
        task_ignore_result=True,
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_pool_start_method="spawn",
        worker_soft_shutdown_timeout=10.0,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_publish_retry=False,
    )
    return app


@lru_cache(maxsize=1)
def doorbell() -> "Celery":
    """This process's application for ringing; made when somebody first rings, so that the API is there sooner."""
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
    """Ring the doorbell; False when the broker is away (the reconciler rings again)."""
    from kombu.exceptions import OperationalError

    try:
        for _ in range(times):
            app.send_task(RING, queue=QUEUE, retry=False, expires=RING_EXPIRES_SECONDS)
    except (OperationalError, OSError) as error:
        log.warning("the broker is away (%s); work waits in its rows", type(error).__name__)
        return False
    return True
