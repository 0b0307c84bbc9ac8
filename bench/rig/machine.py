"""The machine of a run, and the versions of the packages that matter."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from model.evidence.machine import machine

PACKAGES = (
    "numpy",
    "openvino",
    "openslide-bin",
    "simplejpeg",
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
    "sqlalchemy",
)


def describe() -> dict[str, Any]:
    """Processor, cores, vector instructions, and installed versions; JSON-ready."""
    return {**machine(), "packages": {name: number for name in PACKAGES if (number := _version(name))}}


def has_amx() -> bool:
    """Whether the processor has matrix units for bfloat16."""
    info = Path("/proc/cpuinfo")
    return info.exists() and "amx_bf16" in info.read_text()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
