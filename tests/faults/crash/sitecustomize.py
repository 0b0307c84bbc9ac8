"""A power cut at one point of the program: Python loads this first when its folder is on PYTHONPATH.

QUARTERTURN_CRASH_AT: "EVENT FILE FUNCTION"; the event is `call`, `return`, or `gives` (returned something).
QUARTERTURN_CRASH_ARMED: a file; whoever comes to that point first and takes it away kills -9 its whole process group.
The program itself knows nothing of this.
"""

import os
import signal
import sys
import threading
from pathlib import Path

EVENT, FILE, FUNCTION = os.environ["QUARTERTURN_CRASH_AT"].split()
ARMED = Path(os.environ["QUARTERTURN_CRASH_ARMED"])


def watch(frame, event, given):
    """Python's profiler hook."""
    code = frame.f_code
    if code.co_name != FUNCTION or not code.co_filename.endswith(FILE):
        return
    if event == EVENT or (EVENT == "gives" and event == "return" and given is not None):
        try:
            ARMED.unlink()
        except FileNotFoundError:
            return
        os.killpg(os.getpgid(0), signal.SIGKILL)


threading.setprofile(watch)
sys.setprofile(watch)
