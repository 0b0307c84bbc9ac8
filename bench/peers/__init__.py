"""Peers: other software, each run by an interpreter of its own. `make bench-peers` installs what can be installed."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.rig.service import end, wait_for

HERE = Path(__file__).resolve().parent
PEERS = Path(os.environ.get("QUARTERTURN_PEERS", HERE.parent.parent / ".venv-peers"))
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def python(environment: str = "") -> str:
    """The interpreter of the peers, or of one whose packages conflict with the others'."""
    return str(PEERS / environment / "bin" / "python")


def run_script(script: str, *arguments: str | int | Path, environment: str = "") -> dict[str, Any]:
    """The JSON that a script of this folder prints, or {"error": …} where it cannot run."""
    if not Path(python(environment)).exists():
        return {"error": "make bench-peers was not run, or could not install it"}
    command = [python(environment), str(HERE / script), *map(str, arguments)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **ONE_THREAD}
        )
    except subprocess.TimeoutExpired:
        return {"error": "it took more than five minutes"}
    try:
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError):
        return {"error": (done.stderr.strip().splitlines() or ["it printed nothing"])[-1][:120]}


@contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """Runs a server while a block runs; yields its process id."""
    process = subprocess.Popen(
        command, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(port, 20)
        yield process.pid
    finally:
        end([process])


def iipsrv_or_none(port: int) -> list[str] | None:
    """The command that starts iipsrv with FastCGI on this port; None where it is not installed."""
    program = shutil.which("iipsrv.fcgi", path="/usr/lib/iipimage-server:/usr/lib/cgi-bin:/usr/local/bin")
    settings = ["LOGFILE=/dev/null", "VERBOSITY=0", "MAX_IMAGE_CACHE_SIZE=100"]
    return ["env", *settings, program, "--bind", f"127.0.0.1:{port}"] if program else None


def nginx_or_none(folder: Path, http: str) -> list[str] | None:
    """The command that starts nginx with this configuration; None where it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    configuration = folder / "nginx.conf"
    user = "user root; " if os.geteuid() == 0 else ""
    configuration.write_text(
        f"daemon off; {user}pid {folder}/nginx.pid; error_log /dev/null; events {{}} http {{ access_log off; {http} }}"
    )
    return [program, "-c", str(configuration), "-p", str(folder)] if program else None
