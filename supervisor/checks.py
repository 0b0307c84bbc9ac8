"""What must hold before anything starts; each failure is one clear sentence."""

import fcntl
import os
import shutil
import socket
from pathlib import Path
from typing import IO

from core.settings import GIB, Settings

NEEDED_FREE = GIB // 2


class CannotStart(Exception):
    """The sentence for the user."""


def lock_data(data: Path) -> IO[str]:
    """One instance a data folder: the lock lasts as long as the file stays open.

    Raises:
        CannotStart: the folder cannot be made or another instance holds it.
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
    """Raises CannotStart when something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise CannotStart(
                f"Port {port} on {host} is taken: stop what uses it, or set QUARTERTURN_PORT to another one."
            ) from None


def require_space(data: Path) -> None:
    """Raises CannotStart on a disk that is nearly full."""
    free = shutil.disk_usage(data).free
    if free < NEEDED_FREE:
        raise CannotStart(
            f"Only {free >> 20} MiB are free where {data} lies and {NEEDED_FREE >> 20} MiB are needed: "
            "free some space, or set QUARTERTURN_DATA to a folder on another disk."
        )


def require_loopback(host: str) -> None:
    """Raises CannotStart beyond this machine: the embedded mode has one user and no TLS."""
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise CannotStart(f"make run serves this machine only, not {host}: use docker-compose.yml behind a TLS proxy.")


def require_own_key(key: str) -> None:
    if key and len(key) < 32:
        raise CannotStart("QUARTERTURN_ADMIN_KEY is shorter than 32 characters: choose a longer one.")


def check_all(settings: Settings) -> IO[str]:
    """All of them; the lock on the data folder comes back and must be kept."""
    require_loopback(settings.host)
    require_own_key(settings.admin_secret())
    lock = lock_data(settings.data)
    require_space(settings.data)
    require_port(settings.host, settings.port)
    return lock
