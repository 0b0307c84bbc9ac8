"""Real servers for tests: PostgreSQL and Redis in temporary folders, and Quarterturn itself on either engine."""

import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
from sqlalchemy import Engine, NullPool, create_engine, text

from cli.client import TUS, Client

ROOT = Path(__file__).resolve().parent.parent
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}
PATIENCE = 240.0  # seconds: a bound on hanging, not on speed, so that a slow or busy machine passes too
KEY = "a-key-for-tests-0123456789-0123456789"
MIGRATED: set[str] = set()  # URLs of databases that are copies of a migrated one
FAST = {
    "QUARTERTURN_MODEL": "p4m-densenet-half",  # a third of the default's time; tests of the answer itself name theirs
    "QUARTERTURN_LEASE_SECONDS": "3",
    "QUARTERTURN_RECONCILE_SECONDS": "0.5",
    "QUARTERTURN_WORKER_SILENT_SECONDS": "6",
    "QUARTERTURN_REPIN_SECONDS": "8",
    "QUARTERTURN_MIN_FREE_BYTES": "1000000",
    "QUARTERTURN_REGIONS_PER_BAND": "1",
    "QUARTERTURN_MOST_UNFAMILIAR": "1",  # drawn slides are unlike any training patch
    "QUARTERTURN_THREADS": "1",  # two test processes share two cores
    "OMP_WAIT_POLICY": "passive",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition, seconds=PATIENCE, every=0.1):
    """Waits for a condition and returns its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, httpx.HTTPError):
            value = condition()
            if value:
                return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s")


def until_ended(client, path):
    """Waits until an analysis or an evaluation is neither queued nor running, and returns it."""
    return client.poll(path, lambda row: row["state"] not in ("queued", "running"), PATIENCE)


class Postgres:
    """A PostgreSQL server under a Unix user that it accepts; `on` and its address place it on another test host."""

    def __init__(self, password: str | None = None, address: str = "127.0.0.1", on: tuple[str, ...] = ()) -> None:
        self.address, self.on = address, on
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        self.bin = installed[-1].parent if installed else Path(shutil.which("initdb") or "").parent
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="quarterturn-postgres-")), free_port()
        self.user = self._other_user()
        if self.user:
            shutil.chown(self.folder, self.user)
        how = self._authentication(password)
        self.run("initdb", "-D", str(self.folder / "data"), "-U", "quarterturn", *how, "-E", "UTF8", "--no-sync")
        if on:
            with (self.folder / "data" / "pg_hba.conf").open("a") as file:
                file.write(f"host all all {address}/24 trust\n")
        self.start()

    def _authentication(self, password: str | None) -> list[str]:
        if password is None:
            return ["--auth=trust"]
        file = self.folder / "password"
        file.write_text(password)
        if self.user:
            shutil.chown(file, self.user)
        return ["--auth=scram-sha-256", f"--pwfile={file}"]

    @staticmethod
    def _other_user() -> str | None:
        """The Unix user of the server: PostgreSQL refuses root."""
        if os.geteuid() != 0:
            return None
        with contextlib.suppress(KeyError):
            return pwd.getpwnam("postgres").pw_name
        return "nobody"

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), *arguments]
        if self.user:
            command = [
                "setpriv",
                f"--reuid={self.user}",
                "--regid=" + str(pwd.getpwnam(self.user).pw_gid),
                "--clear-groups",
                *command,
            ]
        subprocess.run([*self.on, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses={self.address} -c unix_socket_directories= -c fsync=off"
        self.run(
            "pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-o", options, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def remove(self) -> None:
        """Stops the server and removes its folder."""
        self.stop("immediate")
        shutil.rmtree(self.folder)

    @property
    def url(self) -> str:
        return self._url("postgres")

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://quarterturn@{self.address}:{self.port}/{database}"

    def create_database(self, name: str, template: str = "template1") -> str:
        """Creates a database, empty or as a copy of another; returns its URL."""
        engine = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        return self._url(name)


class Redis:
    """A Redis server with the production settings: appendonly, noeviction."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", on: tuple[str, ...] = ()) -> None:
        folder.mkdir(parents=True)
        self.address, self.on = address, on
        self.folder, self.port = folder, free_port()
        self.start()

    def start(self) -> None:
        bind = ["--bind", self.address, "--protected-mode", "no" if self.on else "yes"]
        command = [*self.on, "redis-server", "--port", str(self.port), *bind, "--dir", str(self.folder)]
        safe = ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", ""]
        self.process = subprocess.Popen([*command, *safe], stdout=subprocess.DEVNULL)
        if not self.on:
            until(lambda: socket.create_connection((self.address, self.port), 1).close() is None)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def command(self, *words: str) -> bytes:
        """Sends a command in Redis's protocol; returns the answer."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            message = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{message}".encode())
            return connection.recv(1 << 16)

    @property
    def url(self) -> str:
        return f"redis://{self.address}:{self.port}/0"


def migrate(environment: dict[str, str], on: tuple[str, ...] = ()) -> None:
    command = [*on, sys.executable, "-m", "admin", "migrate"]
    own = {"QUARTERTURN_ADMIN_KEY": KEY, **environment}
    subprocess.run(command, check=True, cwd=ROOT, env=own, stdout=subprocess.DEVNULL)


@functools.cache
def migrated_file() -> bytes:
    """An SQLite database with this version's schema, the administrator and the tests' key."""
    with tempfile.TemporaryDirectory(prefix="quarterturn-template-") as folder:
        migrate({**os.environ, "QUARTERTURN_DATA": folder})
        return (Path(folder) / "quarterturn.db").read_bytes()


@dataclass
class Service:
    """An API and workers, as processes, on one engine."""

    data: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)
    migrate_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        own = {"QUARTERTURN_DATA": str(self.data), "QUARTERTURN_PORT": str(self.port), "QUARTERTURN_ADMIN_KEY": KEY}
        self.environment = {**os.environ, **FAST, **own, **self.environment}
        self._migrate()

    def _migrate(self) -> None:
        """Brings the database to this version's schema; a copy of one that was migrated costs a tenth of the time."""
        url, file = self.environment.get("QUARTERTURN_DATABASE_URL"), self.data / "quarterturn.db"
        if url is None and not file.exists():
            file.write_bytes(migrated_file())
        elif url not in MIGRATED:
            migrate(self.environment, self.migrate_on)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Client:
        return Client(self.url, KEY)

    def _database(self, wait: float = 30.0) -> Engine:
        """`wait`: seconds for which a statement waits for another's lock before it fails."""
        url = self.environment.get("QUARTERTURN_DATABASE_URL")
        options = {"options": f"-c lock_timeout={wait * 1000:.0f}"} if url else {"timeout": wait}
        target = url or f"sqlite:///{self.data / 'quarterturn.db'}"
        return create_engine(target, poolclass=NullPool, connect_args=options)

    def rows(self, query: str, **values: object) -> list[tuple]:
        """Runs a query on the service's database; returns its rows."""
        with self._database().connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), values)]

    def change(self, query: str, wait: float = 30.0, **values: object) -> int:
        """Changes the service's database behind its back; returns how many rows matched."""
        with self._database(wait).begin() as connection:
            return connection.execute(text(query), values).rowcount

    def start(
        self, name: str, *module: str, on: tuple[str, ...] = (), cwd: Path = ROOT, **more: str
    ) -> subprocess.Popen:
        with (self.data / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*on, sys.executable, "-m", *module], stdout=log, stderr=log, cwd=cwd,
                env={**self.environment, **more}, start_new_session=True,
            )  # fmt: skip
        return self.processes[name]

    def start_api(self) -> None:
        self.start("api", "api")
        until(lambda: httpx.get(f"{self.url}/healthz").status_code == 200)

    def start_worker(self, name: str = "worker", **more: str) -> None:
        self.start(name, "worker", **more)

    def wait_for_worker(self) -> None:
        self.client().wait_for_worker(PATIENCE)

    def start_all(self) -> None:
        """API and one worker, ready."""
        self.start_api()
        self.start_worker()
        self.wait_for_worker()

    def kill(self, name: str) -> None:
        """kill -9 the whole group: parent, pool and reader children."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def logs(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self.data.glob("*.log"))
