"""`python -m worker.healthcheck`: exits with 0 while a worker process of this host has a recent heartbeat."""

import socket
import sys

from core.analyses import cards
from core.database.transactions import reading
from worker.life.rounds import DATABASE_AWAY


def main() -> int:
    try:
        with reading() as session:
            alive = cards.live_workers(session)
        return 0 if any(worker.id.startswith(f"{socket.gethostname()[:60]}:") for worker in alive) else 1
    except DATABASE_AWAY:
        return 1


if __name__ == "__main__":
    sys.exit(main())
