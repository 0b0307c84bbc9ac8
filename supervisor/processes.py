"""Child processes: restarted when they end, and all stopped when the supervisor ends, even by SIGKILL."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHORTEST_LIFE = 5.0  # seconds; a child that ends sooner counts as failed, and its restart is delayed
LONGEST_PAUSE = 30.0
GRACE_SECONDS = 12.0
REFUSED = 3  # exit code of a worker that refuses to serve, however long its checks took
PR_SET_PDEATHSIG = 1  # prctl(2)
_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only


def _end_with(parent: int) -> None:
    """Runs in a new child: asks the kernel to send it SIGTERM when the supervisor ends, however that happens."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the call, and no signal will come
            os.kill(os.getpid(), signal.SIGTERM)


@dataclass
class Child:
    """A child process: its command, its log, and how often in a row it failed."""

    name: str
    arguments: list[str]
    log: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = field(default=0.0)
    restarting: bool = False

    def start(self) -> None:
        """Starts the process in a session of its own, so that Ctrl-C reaches the supervisor alone.

        The supervisor then stops its children in order. `preexec_fn` is safe here: the supervisor has one thread.
        """
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", *self.arguments]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=dict(self.environment),
                start_new_session=True, preexec_fn=partial(_end_with, os.getpid()),
            )  # fmt: skip
        self.started = time.monotonic()

    def supervise(self) -> str | None:
        """Starts the process if it is due; returns a sentence when it has ended.

        The pause before a restart doubles with each failure in a row, so that a child that cannot start does not keep
        a core busy.
        """
        if self.process is None:
            if time.monotonic() >= self.start_at:
                self.start()
            return None
        code = self.process.poll()
        if code is None:
            return None
        self.signal(signal.SIGKILL)  # to processes that it started and left behind
        young = time.monotonic() - self.started < SHORTEST_LIFE
        failed = (young or code == REFUSED) and not self.restarting
        self.failures = self.failures + 1 if failed else 0
        pause = min(LONGEST_PAUSE, 2.0**self.failures - 1)
        self.process, self.start_at, self.restarting = None, time.monotonic() + pause, False
        return f"The {self.name} ended ({_ending(code)}); it starts again in {pause:.0f} s. Its log: {self.log}"

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the whole process group, which holds a worker's pool and its readers, too."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return

    def restart(self) -> None:
        """Stops the process; `supervise` starts it again at once, since this end is no failure."""
        self.restarting = True
        self.terminate()

    def terminate(self) -> None:
        """Sends SIGTERM to the process alone, which stops those that it started."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def stop_all(children: list[Child]) -> None:
    """Sends SIGTERM to all children, waits for the grace period, and kills what is left of their groups."""
    for child in children:
        child.terminate()
    end = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < end and any(child.process and child.process.poll() is None for child in children):
        time.sleep(0.05)
    for child in children:
        child.signal(signal.SIGKILL)
        if child.process is not None:
            child.process.wait()
