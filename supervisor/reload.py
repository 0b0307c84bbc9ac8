"""Restarts a child process when its source files change: `make dev`."""

import os
import time
from pathlib import Path

from supervisor.processes import ROOT, Child

SECONDS_BETWEEN_SCANS = 1.0
PACKAGES = {"API": ("api", "core"), "worker": ("core", "model", "worker")}


Changes = frozenset[tuple[Path, int]]


def file_changes(packages: tuple[str, ...], root: Path = ROOT) -> Changes:
    """Returns the path and the modification time (ns since the epoch) of each Python file of the packages.

    Editors leave dangling links, and files and folders vanish during a scan: both are skipped. `os.walk` ignores a
    folder that it cannot list, which `Path.rglob` does not.
    """
    changes = set[tuple[Path, int]]()
    for package in packages:
        for folder, _, names in os.walk(root / package):
            for path in (Path(folder, name) for name in names if name.endswith(".py")):
                try:
                    changes.add((path, path.stat().st_mtime_ns))
                except OSError:
                    continue
    return frozenset(changes)


class Reloader:
    """Compares files and their times once a second; polling needs no library and works on network file systems."""

    def __init__(self, children: list[Child], root: Path = ROOT) -> None:
        self._children, self._root = children, root
        self._next_scan = 0.0
        self._changes = {child.name: self._scan(child) for child in children}

    def _scan(self, child: Child) -> Changes:
        return file_changes(PACKAGES[child.name], self._root)

    def restart_changed(self) -> list[str]:
        """Stops each child whose files changed, so that its supervisor starts it again; returns their names."""
        if time.monotonic() < self._next_scan:
            return []
        self._next_scan = time.monotonic() + SECONDS_BETWEEN_SCANS
        changed = [child for child in self._children if self._scan(child) != self._changes[child.name]]
        for child in changed:
            self._changes[child.name] = self._scan(child)
            child.restart()
        return [child.name for child in changed]
