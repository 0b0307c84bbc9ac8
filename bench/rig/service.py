"""A service for one measurement: migrated, with API and workers, in a folder of its own."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from cli.client import Client

ROOT = Path(__file__).resolve().parents[2]
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Usage:
    """CPU seconds and resident MiB."""

    cpu_s: float
    mib: float


def usage_of(pid: int) -> Usage:
    """The usage of a process and of its living descendants. Pages that they share count in each."""
    children: dict[int, list[int]] = {}
    usage: dict[int, Usage] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        one = int(stat.parent.name)
        children.setdefault(int(fields[1]), []).append(one)
        usage[one] = Usage((int(fields[11]) + int(fields[12])) / TICK, int(fields[21]) * PAGE / 2**20)
    tree, waiting = list[Usage](), [pid]
    while waiting:
        one = waiting.pop()
        tree += [usage[one]] if one in usage else []
        waiting += children.get(one, [])
    return Usage(sum(one.cpu_s for one in tree), sum(one.mib for one in tree))


def cpu_of(pid: int) -> float:
    return usage_of(pid).cpu_s


def tree_mib(pid: int) -> float:
    return usage_of(pid).mib


def resident_mib(pid: int) -> float:
    """Resident memory of one process, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class OwnService:
    """API and workers on SQLite, as a context manager that ends the processes it started."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port, self.key = free_port(), secrets.token_hex(24)
        own = {"QUARTERTURN_DATA": str(folder), "QUARTERTURN_PORT": str(self.port), "QUARTERTURN_ADMIN_KEY": self.key}
        self.environment = {**os.environ, **own, "QUARTERTURN_MIN_FREE_BYTES": "0", **settings}
        self.processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "admin", "migrate"], check=True, cwd=ROOT, env=self.environment)

    def start(self, module: str) -> int:
        """Start `python -m module`; its process id."""
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, env=self.environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.processes.append(process)
        return process.pid

    def start_api(self) -> int:
        """The API, ready; its process id."""
        pid = self.start("api")
        wait_for(self.port)
        return pid

    def start_workers(self, count: int) -> list[int]:
        """Workers, each with its network loaded; their process ids."""
        started = [self.start("worker") for _ in range(count)]
        self.client().poll("/readyz", lambda ready: ready["workers"] == count, 120)
        return started

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", self.key)

    def __enter__(self) -> "OwnService":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        end(self.processes)


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Kills the process groups of these processes, each of which leads one."""
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(port: int, seconds: float = 60) -> None:
    """Waits until a port accepts connections.

    Raises:
        TimeoutError: none does within `seconds`.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")
