"""Restarts a child process when its source files change: `make dev`."""

import time
from pathlib import Path

from supervisor.processes import ROOT, Child

SECONDS_BETWEEN_SCANS = 1.0
PACKAGES = {"API": ("api", "core"), "worker": ("core", "model", "worker")}


def newest_change(packages: tuple[str, ...], root: Path = ROOT) -> float:
    """Returns the latest modification time (seconds since the epoch) of the packages' Python files."""
    files = (path for package in packages for path in (root / package).rglob("*.py"))
    return max((path.stat().st_mtime for path in files), default=0.0)


class Reloader:
    """Compares modification times once a second; polling needs no library and works on network file systems."""

    def __init__(self, children: list[Child], root: Path = ROOT) -> None:
        self._children, self._root = children, root
        self._next_scan = 0.0
        self._changes = {child.name: self._scan(child) for child in children}

    def _scan(self, child: Child) -> float:
        return newest_change(PACKAGES[child.name], self._root)

    def restart_changed(self) -> list[str]:
        """Stops each child whose files changed, so that its supervisor starts it again; returns their names."""
        if time.monotonic() < self._next_scan:
            return []
        self._next_scan = time.monotonic() + SECONDS_BETWEEN_SCANS
        changed = [child for child in self._children if self._scan(child) > self._changes[child.name]]
        for child in changed:
            self._changes[child.name] = self._scan(child)
            child.restart()
        return [child.name for child in changed]
