"""Processes of a running service, as the system shows them: stopped inside a claim, files held open, children."""

import contextlib
import os
import signal
from pathlib import Path

from servers import until
from sqlalchemy.exc import OperationalError

LOCK_SECONDS = 0.3  # far below the tests' lease: a worker that stands still inside a transaction is let on at once
TRANSACTIONS = """
    SELECT 1 FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
    AND datname = current_database()
"""


def stop_inside_claim(service, name, kind="band"):
    """Stops a worker's processes while they hold a claim and are inside no transaction.

    An update that changes nothing waits for a commit that is on its way, and fails while the worker has the row locked
    or, in SQLite, writes anything. In PostgreSQL the worker may hold another row: no transaction may be open. After
    that only the lease's end can end the claim.
    """
    group = service.processes[name].pid
    touch = "UPDATE work SET worker = worker WHERE state = 'claimed' AND kind = :kind"
    postgresql = "QUARTERTURN_DATABASE_URL" in service.environment

    def stopped():
        os.killpg(group, signal.SIGSTOP)
        with contextlib.suppress(OperationalError):
            claimed = service.change(touch, wait=LOCK_SECONDS, kind=kind)
            if claimed and not (postgresql and service.rows(TRANSACTIONS)):
                return True
        os.killpg(group, signal.SIGCONT)
        return False

    until(stopped, every=0.02)


def has_open(service, name, part):
    """Whether a process of the service has a file open whose path contains `part`."""
    return any(part in path for path in _open_paths(service.processes[name].pid))


def _open_paths(pid):
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(link.readlink())


def children(pid, command):
    """Ids of a process's children whose command line contains `command`."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and command.encode() in (stat.parent / "cmdline").read_bytes():
                pids.append(int(stat.parent.name))
    return pids


def is_alive(pid):
    return Path(f"/proc/{pid}").exists()
