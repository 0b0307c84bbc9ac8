"""python -m supervisor: everything on this machine, until Ctrl-C."""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from core.access import credentials
from core.database.migrations import migrate
from core.database.transactions import writing
from core.settings import Settings, get_settings
from supervisor.checks import CannotStart, check_all
from supervisor.processes import GRACE_SECONDS, ROOT, Watched, stop_all
from supervisor.reload import Reloader

READY_SECONDS = 60.0


class Stopped(Exception):
    """Ctrl-C, SIGTERM or SIGHUP."""


def _stop(*_: object) -> None:
    raise Stopped


def read_dotenv(path: Path) -> None:
    """KEY=value lines become settings, unless the environment has them already."""
    lines = path.read_text().splitlines() if path.is_file() else []
    for line in lines:
        name, _, value = line.partition("=")
        if name.startswith("QUARTERTURN_") and value.strip():
            os.environ.setdefault(name.strip(), value.strip())


def prepare(settings: Settings) -> str:
    """Migrate, make the administrator, adopt the operator's key; returns a key for the demo client."""
    migrate()
    with writing() as session:
        principal = credentials.ensure_administrator(session)
        own = settings.admin_secret()
        if own:
            credentials.adopt_key(session, own)
            return own
        return credentials.issue(session, principal.id, "key", 24 * 3600)


def children(settings: Settings) -> list[Watched]:
    logs = settings.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "QUARTERTURN_DATA": str(settings.data.resolve())}
    api = Watched("API", ["api"], logs / "api.log", environment)
    patience = {"QUARTERTURN_STOP_SECONDS": str(GRACE_SECONDS / 2)}  # it gives back what takes longer, and ends
    return [api, Watched("worker", ["worker"], logs / "worker.log", {**patience, **environment})]


def tend(watched: list[Watched]) -> None:
    for one in watched:
        news = one.tend()
        if news:
            print(news, flush=True)


def wait_until_ready(url: str, watched: list[Watched]) -> None:
    """Raises CannotStart when the API does not answer in time."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        tend(watched)
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2):  # noqa: S310 - our own address
                return
        except OSError:
            time.sleep(0.1)
    raise CannotStart(f"The API did not answer within {READY_SECONDS:.0f} s; its log: {watched[0].log}")


def run_demo(url: str, key: str, data: Path, watched: list[Watched]) -> str:
    """The demo is a client like any other: a process that talks HTTP only. Returns the page that shows it."""
    page = data / "demo" / "page"
    page.unlink(missing_ok=True)
    environment = {**os.environ, "QUARTERTURN_URL": url, "QUARTERTURN_KEY": key}
    demo = subprocess.Popen(
        [sys.executable, "-m", "cli.demo", str(data / "demo")], cwd=ROOT, env=environment, start_new_session=True
    )
    try:
        while demo.poll() is None:
            tend(watched)
            time.sleep(0.3)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()
    if demo.returncode:
        print("The demo did not finish; the service is up all the same.", flush=True)
    return page.read_text() if page.exists() else "/"


def serve(settings: Settings, demo: bool, reload: bool) -> None:
    key = prepare(settings)
    watched, url, began = children(settings), settings.base_url(), time.monotonic()
    try:
        tend(watched)
        wait_until_ready(settings.local_url(), watched)
        print(
            f"The API is ready after {time.monotonic() - began:.1f} s at {url} (documentation: {url}/docs)", flush=True
        )
        page = run_demo(settings.local_url(), key, settings.data, watched) if demo else "/"
        with writing() as session:
            link = credentials.create_sign_in_link(session, page)
        print(f"\n  Open the viewer:  {link}", flush=True)
        print(f"  (works once, within {settings.link_minutes:.0f} minutes; Ctrl-C stops everything)\n", flush=True)
        reloader = Reloader(watched if reload else [])
        while True:
            for name in reloader.restart_changed():
                print(f"The code of the {name} changed: it restarts.", flush=True)
            tend(watched)
            time.sleep(0.5)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stop_all(watched)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m supervisor", description="Run Quarterturn on this machine.")
    parser.add_argument("--no-demo", action="store_true", help="start without the demo slide")
    parser.add_argument("--reload", action="store_true", help="restart the API and the worker when their code changes")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    read_dotenv(ROOT / ".env")
    try:
        settings = get_settings()
        lock = check_all(settings)
        serve(settings, not options.no_demo, options.reload)
        lock.close()
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    except Stopped:
        print("\nStopped.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
