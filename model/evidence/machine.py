"""The machine."""

import os
import platform
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """What it was measured on, by kind."""
    known = {"processor": processor(), "cores": os.cpu_count()}
    return {**known, "capability": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__}


def processor() -> str:
    """Its name, and on Linux its family and model: clouds sell several generations under one name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    first = {
        key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in reversed(lines)) if colon
    }
    if "model name" not in first:
        return platform.processor()
    numbers = f" (family {first['cpu family']}, model {first['model']})" if "cpu family" in first else ""
    return first["model name"] + numbers
