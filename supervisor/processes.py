"""Child processes that are started again when they end, and all stopped when we end, even by kill -9."""

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
SHORTEST_LIFE = 5.0
LONGEST_PAUSE = 30.0
GRACE_SECONDS = 12.0
REFUSED = 3
PR_SET_PDEATHSIG = 1  # prctl(2)
_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux has it


def _end_with(parent: int) -> None:
    """In a child, before its program starts: SIGTERM when the parent is gone, however it went."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # gone already
            os.kill(os.getpid(), signal.SIGTERM)


@dataclass
class Watched:
    """One child: its command, its log, and how often it died young."""

    name: str
    arguments: list[str]
    log: Path
    environment: Mapping[str, str]
    child: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = field(default=0.0)
    restarting: bool = False

    def start(self) -> None:
        """In a session of its own, so that Ctrl-C reaches us alone and we stop it in order."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", *self.arguments]
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=dict(self.environment),
                start_new_session=True, preexec_fn=partial(_end_with, os.getpid()),
            )  # fmt: skip
        self.started = time.monotonic()

    def tend(self) -> str | None:
        """Start again what has ended; returns a sentence when there is news."""
        if self.child is None:
            if time.monotonic() >= self.start_at:
                self.start()
            return None
        code = self.child.poll()
        if code is None:
            return None
        self.signal(signal.SIGKILL)  # what it may have left behind
        young = time.monotonic() - self.started < SHORTEST_LIFE
        failed = (young or code == REFUSED) and not self.restarting
        self.failures = self.failures + 1 if failed else 0
        pause = min(LONGEST_PAUSE, 2.0**self.failures - 1)
        self.child, self.start_at, self.restarting = None, time.monotonic() + pause, False
        return f"The {self.name} ended ({_ending(code)}); it starts again in {pause:.0f} s. Its log: {self.log}"

    def signal(self, number: signal.Signals) -> None:
        """To the whole group: a worker's pool and its reader children too."""
        if self.child is not None:
            try:
                os.killpg(self.child.pid, number)
            except ProcessLookupError:
                return

    def restart(self) -> None:
        """Ask the child to stop; `tend` starts it again at once, since this end is no failure."""
        self.restarting = True
        self.ask_to_stop()

    def ask_to_stop(self) -> None:
        """SIGTERM to the child itself, which ends its own in good order."""
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def stop_all(watched: list[Watched]) -> None:
    """Ask, wait within the grace period, then insist. Nothing is left."""
    for one in watched:
        one.ask_to_stop()
    end = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < end and any(one.child and one.child.poll() is None for one in watched):
        time.sleep(0.05)
    for one in watched:
        one.signal(signal.SIGKILL)
        if one.child is not None:
            one.child.wait()
