"""A power cut at one point of the program: Python loads this first when its folder is on PYTHONPATH.

CRASH_AT: "EVENT FILE FUNCTION"; the event is `call`, `return`, or `gives` (returned something).
CRASH_ARMED: a file; whoever comes to that point first and takes it away kills -9 its whole process group.
CRASH_ALONE: with this, whoever comes to that point `dies` (of a bad address, as of a fault in C) or `stalls`, alone and
every time, as long as the file is there when it starts. The program itself knows nothing of this.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

EVENT, FILE, FUNCTION = os.environ["CRASH_AT"].split()
ALONE = os.environ.get("CRASH_ALONE")
ARMED = Path(os.environ["CRASH_ARMED"])


def watch(frame, event, argument):
    """Python's profiler hook."""
    code = frame.f_code
    if code.co_name != FUNCTION or not code.co_filename.endswith(FILE):
        return
    if event == EVENT or (EVENT == "gives" and event == "return" and argument is not None):
        if ALONE == "dies":
            ctypes.string_at(0)
        while ALONE:
            time.sleep(1)
        try:
            ARMED.unlink()
        except FileNotFoundError:
            return
        os.killpg(os.getpgid(0), signal.SIGKILL)


if not ALONE or ARMED.exists():
    threading.setprofile(watch)
    sys.setprofile(watch)
