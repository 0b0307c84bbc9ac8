"""python -m supervisor: runs the embedded mode, an API and a worker on this machine, until Ctrl-C.

Exit status: 0 stopped; 1 it cannot start, for a reason that is one sentence on standard error; 2 wrong arguments.
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from pydantic import ValidationError

from core.access import credentials
from core.database.migrations import migrate
from core.database.transactions import writing
from core.errors import QuarterturnError
from core.settings import Settings, describe_errors, get_settings, read_dotenv, version
from supervisor.checks import CannotStart, check_all
from supervisor.processes import GRACE_SECONDS, ROOT, Child, stop_all
from supervisor.reload import Reloader

READY_SECONDS = 60.0


class Stopped(Exception):
    """SIGINT (Ctrl-C), SIGTERM or SIGHUP arrived."""


def _stop(*_: object) -> None:
    raise Stopped


def prepare(settings: Settings) -> str:
    """Migrates the database and creates the administrator; returns a key for the demo client.

    It is the operator's own key if one is set, otherwise a new one for a day.
    """
    migrate()
    with writing() as session:
        principal = credentials.ensure_administrator(session)
        own = settings.admin_secret()
        if own:
            credentials.adopt_key(session, own)
            return own
        return credentials.issue(session, principal.id, "key", 24 * 3600)


def make_children(settings: Settings) -> list[Child]:
    """Returns the API and the worker, not started yet; each writes a log file in the data folder."""
    logs = settings.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "QUARTERTURN_DATA": str(settings.data.resolve())}
    api = Child("API", ["api"], logs / "api.log", environment)
    # The worker must release its work and end within the grace period, or it is killed and its leases must expire.
    stop = {"QUARTERTURN_STOP_SECONDS": str(GRACE_SECONDS / 2)}
    return [api, Child("worker", ["worker"], logs / "worker.log", {**stop, **environment})]


def supervise(children: list[Child]) -> None:
    """Restarts children that have ended, and prints which."""
    for child in children:
        message = child.supervise()
        if message:
            print(message, flush=True)


def wait_until_ready(url: str, children: list[Child]) -> None:
    """Waits until the API answers, and restarts children meanwhile.

    Raises:
        CannotStart: it does not answer within READY_SECONDS.
    """
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        supervise(children)
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2):  # noqa: S310 - the address of our own API
                return
        except OSError:
            time.sleep(0.1)
    raise CannotStart(f"The API did not answer within {READY_SECONDS:.0f} s; its log: {children[0].log}")


def run_demo(url: str, key: str, data: Path, children: list[Child]) -> str:
    """Runs the demo client, which uploads and analyses a slide over HTTP; returns the path of its page."""
    page = data / "demo" / "page"
    page.unlink(missing_ok=True)
    environment = {**os.environ, "QUARTERTURN_URL": url, "QUARTERTURN_KEY": key}
    demo = subprocess.Popen(
        [sys.executable, "-m", "cli.demo", str(data / "demo")], cwd=ROOT, env=environment, start_new_session=True
    )
    try:
        while demo.poll() is None:
            supervise(children)
            time.sleep(0.3)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()
    if demo.returncode:
        print("The demo failed. The service runs.", flush=True)
    return page.read_text() if page.exists() else "/"


def serve(settings: Settings, demo: bool, reload: bool) -> None:
    """Runs everything until a signal arrives, then stops all children.

    Raises:
        CannotStart: the API does not answer in time.
        Stopped: a signal arrived.
    """
    key = prepare(settings)
    children, url, began = make_children(settings), settings.base_url(), time.monotonic()
    try:
        supervise(children)
        wait_until_ready(settings.local_url(), children)
        print(
            f"The API is ready after {time.monotonic() - began:.1f} s at {url} (documentation: {url}/docs)", flush=True
        )
        page = run_demo(settings.local_url(), key, settings.data, children) if demo else "/"
        with writing() as session:
            link = credentials.create_sign_in_link(session, page)
        print(f"\n  Open the viewer:  {link}", flush=True)
        print(f"  (works once, within {settings.link_minutes:.0f} minutes; Ctrl-C stops everything)\n", flush=True)
        reloader = Reloader(children if reload else [])
        while True:
            for name in reloader.restart_changed():
                print(f"The code of the {name} changed: it restarts.", flush=True)
            supervise(children)
            time.sleep(0.5)
    finally:
        # A second Ctrl-C would interrupt the stopping and leave processes behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stop_all(children)


def refuse(message: str) -> int:
    """Prints why it cannot start; returns the exit status."""
    print(message, file=sys.stderr)
    return 1


def main() -> int:
    """Parses the arguments, checks the machine and serves; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m supervisor", description="Run Quarterturn on this machine.")
    parser.add_argument("--version", action="version", version=f"Quarterturn {version()}")
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
    except ValidationError as error:
        return refuse(describe_errors(error))
    except QuarterturnError as error:
        return refuse(f"{error.detail}: {error.action}.")
    except CannotStart as error:
        return refuse(str(error))
    except Stopped:
        print("\nStopped.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
