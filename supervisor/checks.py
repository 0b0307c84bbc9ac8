"""Checks before anything starts: each failure is one sentence that says what to do."""

import fcntl
import os
import shutil
import socket
from pathlib import Path
from typing import IO

from core.settings import GIB, SHORTEST_ADMIN_KEY, Settings

NEEDED_FREE = GIB // 2  # bytes


class CannotStart(Exception):
    """The service cannot start; the message is the sentence for the user."""


def lock_data(data: Path) -> IO[str]:
    """Locks the data folder, so that one instance uses it: two would each think that the SQLite file is theirs alone.

    The kernel releases the lock when the file is closed, also when the process is killed: no stale lock is left.

    Raises:
        CannotStart: the folder cannot be created, or another instance uses it.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = (data / "instance.lock").open("a+")
    except OSError as error:
        raise CannotStart(f"The data folder {data} cannot be used: {error.strerror}.") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise CannotStart(
            f"Another Quarterturn (process {holder}) uses the data folder {data}: "
            "stop it, or set QUARTERTURN_DATA to another folder."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def require_port(host: str, port: int) -> None:
    """Raises CannotStart when another process listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise CannotStart(
                f"Port {port} on {host} is taken: stop what uses it, or set QUARTERTURN_PORT to another one."
            ) from None


def require_space(data: Path) -> None:
    """Raises CannotStart when the disk is nearly full."""
    free = shutil.disk_usage(data).free
    if free < NEEDED_FREE:
        raise CannotStart(
            f"Only {free >> 20} MiB are free where {data} lies and {NEEDED_FREE >> 20} MiB are needed: "
            "free some space, or set QUARTERTURN_DATA to a folder on another disk."
        )


def require_loopback(host: str) -> None:
    """Raises CannotStart for an address beyond loopback: the embedded mode has one user and no TLS."""
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise CannotStart(f"make run serves this machine only, not {host}: use docker-compose.yml behind a TLS proxy.")


def require_long_key(settings: Settings) -> None:
    """Raises CannotStart when the operator's own key is too short, or its file cannot be read."""
    try:
        key = settings.admin_secret()
    except OSError as error:
        raise CannotStart(f"The key file {settings.admin_key_file} cannot be read: {error.strerror}.") from None
    if key and len(key) < SHORTEST_ADMIN_KEY:
        raise CannotStart(
            f"QUARTERTURN_ADMIN_KEY is shorter than {SHORTEST_ADMIN_KEY} characters: choose a longer one."
        )


def check_all(settings: Settings) -> IO[str]:
    """Runs all checks; returns the lock on the data folder, which lasts until the file is closed."""
    require_loopback(settings.host)
    require_long_key(settings)
    lock = lock_data(settings.data)
    require_space(settings.data)
    require_port(settings.host, settings.port)
    return lock
