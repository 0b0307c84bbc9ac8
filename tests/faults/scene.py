"""A service together with everything that it depends on, so that each part can be damaged and repaired."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from servers import Postgres, Redis, Service

from faults.proxy import Proxy

DISK_MB = 512
SETTINGS = {  # faults come faster than in practice, and the invariants request everything at once
    "QUARTERTURN_MAX_ATTEMPTS": "60", "QUARTERTURN_RETRY_SECONDS": "0.2", "QUARTERTURN_REQUESTS_PER_SECOND": "0",
}  # fmt: skip


class Scene:
    """API and two workers; on `production` PostgreSQL and Redis, each behind a proxy that can be cut. So is the API:
    people ask at `url`.

    The data folder is a small disk of its own where this system lets us mount one (`disk` tells).
    """

    def __init__(self, engine: str, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.postgres: Postgres | None = None
        self.redis: Redis | None = None
        self.proxies: list[Proxy] = []
        self.front: Proxy | None = None
        data = folder / "data"
        data.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(data)]
        self.disk = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        self.service: Service | None = None
        self.stopped: set[str] = set()
        try:
            self.service = Service(data, {**SETTINGS, **self._servers()})
            self.front = Proxy(self.service.port)
            self.service.start_api()
            for name in ("one", "two"):
                self.service.start_worker(name)
            self.service.wait_for_worker()
        except BaseException:
            self.close()
            raise

    def _servers(self) -> dict[str, str]:
        if self.engine == "embedded":
            return {}
        self.postgres, self.redis = Postgres(), Redis(self.folder / "redis")
        to_database, to_broker = Proxy(self.postgres.port), Proxy(self.redis.port)
        self.proxies = [to_database, to_broker]
        database = self.postgres.url.replace(str(self.postgres.port), str(to_database.port))
        broker = self.redis.url.replace(str(self.redis.port), str(to_broker.port))
        return {"QUARTERTURN_DATABASE_URL": database, "QUARTERTURN_BROKER_URL": broker}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.front.port}"

    def group(self, name: str) -> int:
        """The process group of a part of the service."""
        return self.service.processes[name].pid

    def restart(self, name: str) -> None:
        self.service.kill(name)
        self.start(name)

    def start(self, name: str) -> None:
        if name == "api":
            self.service.start_api()
        else:
            self.service.start_worker(name)

    def children(self, name: str, module: str) -> list[int]:
        """Processes below a part whose command line names a module."""
        pids = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                command = (entry / "cmdline").read_text()
                ours = int(fields[2]) == self.group(name) or self._is_below(int(entry.name), self.group(name))
                if ours and module in command and int(entry.name) != self.group(name):
                    pids.append(int(entry.name))
        return pids

    @staticmethod
    def _is_below(pid: int, ancestor: int) -> bool:
        while pid > 1:
            try:
                pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                return False
            if pid == ancestor:
                return True
        return False

    def stop(self, name: str) -> None:
        os.killpg(self.group(name), signal.SIGSTOP)
        self.stopped.add(name)

    def go_on(self, name: str) -> None:
        os.killpg(self.group(name), signal.SIGCONT)
        self.stopped.discard(name)

    def ring(self) -> None:
        """Sends far more messages than there is work."""
        self.service.start("ringer", "faults.ringer")
        assert self.service.processes.pop("ringer").wait() == 0

    @contextlib.contextmanager
    def full_broker(self) -> Iterator[None]:
        """Redis refuses writes."""
        assert self.redis.command("CONFIG", "SET", "maxmemory", "1").startswith(b"+OK")
        yield
        assert self.redis.command("CONFIG", "SET", "maxmemory", "0").startswith(b"+OK")

    def fill_disk(self) -> None:
        """Fills the disk."""
        filler = self.service.data / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"0")

    def free_disk(self) -> None:
        (self.service.data / "filler").unlink(missing_ok=True)

    def heal(self) -> None:
        """Starts everything again."""
        self.free_disk()
        for name in list(self.stopped):
            self.go_on(name)
        for proxy in self.proxies:
            proxy.away = proxy.stalled = False
        for name, process in list(self.service.processes.items()):
            if process.poll() is not None:
                self.restart(name)

    def close(self) -> None:
        for name in list(self.stopped):
            self.go_on(name)
        if self.service:
            self.service.stop()
        for proxy in [*self.proxies, *([self.front] if self.front else [])]:
            proxy.close()
        if self.redis:
            self.redis.stop()
        if self.postgres:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.postgres.remove()
        if self.disk:
            subprocess.run(["umount", "-l", str(self.folder / "data")], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
