"""python -m worker.healthcheck: exit 0 when a worker process of this host was heard of lately."""

import socket
import sys

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from core.database import clock, reading
from core.records import Worker
from core.settings import get_settings


def main() -> int:
    try:
        with reading() as session:
            heard = clock(session) - get_settings().worker_silent_seconds
            mine = select(Worker.id).where(Worker.id.startswith(socket.gethostname()[:60]), Worker.seen_at > heard)
            return 0 if session.scalars(mine).first() else 1
    except DBAPIError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
