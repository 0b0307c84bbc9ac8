"""The machine that something was measured on."""

import os
import platform
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """Processor, cores, vector instructions and torch version, JSON-ready."""
    hardware = {"processor": processor(), "cores": os.cpu_count()}
    return {**hardware, "capability": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__}


def processor() -> str:
    """The processor's name, and on Linux its family and model: clouds sell several generations under one name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    first = {
        key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in reversed(lines)) if colon
    }
    if "model name" not in first:
        return platform.processor()
    numbers = f" (family {first['cpu family']}, model {first['model']})" if "cpu family" in first else ""
    return first["model name"] + numbers
