"""What all was measured on, by kind, and with which versions."""

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


def described() -> dict[str, Any]:
    return {**machine(), "packages": {name: found for name in PACKAGES if (found := _version(name))}}


def has_amx() -> bool:
    """Whether the processor multiplies bfloat16 matrices in hardware of their own."""
    info = Path("/proc/cpuinfo")
    return info.exists() and "amx_bf16" in info.read_text()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
