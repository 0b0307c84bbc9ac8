"""Durable writes: whole files or none, and digests of them."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

HASH_BYTES = 1 << 22


def write(path: Path, content: bytes) -> None:
    """Whole or not at all, durable when it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".part")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    sync_directory(path.parent)


def create_empty(path: Path) -> None:
    """A file of no bytes whose name is durable, as are those of the folders in which it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    sync_directory(path.parent)
    sync_directory(path.parent.parent)


def sync_directory(directory: Path) -> None:
    """What is in it, and under which names, is on the disk."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sha256(path: Path, advance: Callable[[], None] = lambda: None) -> str:
    """In hexadecimal digits. `advance`: called now and then; what it raises ends it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(HASH_BYTES):
            digest.update(part)
            advance()
    return digest.hexdigest()
