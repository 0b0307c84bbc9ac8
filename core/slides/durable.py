"""Writes files completely or not at all, and computes their digests."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

HASH_BYTES = 1 << 22


def write(path: Path, content: bytes) -> None:
    """Writes a file completely or not at all; it survives a power cut once this returns.

    The rename is atomic on POSIX, and fsync of the folder makes it durable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".part")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    sync_directory(path.parent)


def create_empty(path: Path) -> None:
    """Creates an empty file. Its name and those of the two folders above it are durable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    sync_directory(path.parent)
    sync_directory(path.parent.parent)


def sync_directory(directory: Path) -> None:
    """Makes the names in a folder durable: creations, renames and removals."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path, advance: Callable[[], None] = lambda: None) -> str:
    """Returns the digest as hexadecimal digits. `advance` is called after each block; what it raises ends this."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(HASH_BYTES):
            digest.update(part)
            advance()
    return digest.hexdigest()
