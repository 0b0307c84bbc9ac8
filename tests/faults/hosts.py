"""Hosts on one machine: network namespaces on a switch, each of whose links can be cut."""

import contextlib
import os
import subprocess

from faults.proxy import Proxy

NAMES = ("main", "left", "right")


class NotPermitted(Exception):
    """This system permits no network namespaces."""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Hosts:
    """main, left and right at 10.99.0.1, .2 and .3; isolated from every other network.

    Raises:
        NotPermitted.
    """

    def __init__(self) -> None:
        self._tag, self.devices = f"qt{os.getpid() % 100_000}", list[str]()
        try:
            self._add("switch")
            _ip("-n", self.space("switch"), "link", "add", "bridge", "type", "bridge")
            _ip("-n", self.space("switch"), "link", "set", "bridge", "up")
            for number, name in enumerate(NAMES, 1):
                self._connect(name, number)
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            raise NotPermitted(str(error)) from None

    def space(self, name: str) -> str:
        return f"{self._tag}{name}"

    def _add(self, name: str) -> None:
        _ip("netns", "add", self.space(name))
        self.devices.append(self.space(name))
        _ip("-n", self.space(name), "link", "set", "lo", "up")

    def _connect(self, name: str, number: int) -> None:
        self._add(name)
        port = f"to-{name}"
        _ip("-n", self.space("switch"), "link", "add", port, "type", "veth", "peer", "eth0", "netns", self.space(name))
        _ip("-n", self.space("switch"), "link", "set", port, "master", "bridge", "up")
        _ip("-n", self.space(name), "addr", "add", f"10.99.0.{number}/24", "dev", "eth0")
        _ip("-n", self.space(name), "link", "set", "eth0", "up")

    def on(self, name: str) -> tuple[str, ...]:
        """The prefix of a command that runs on this host."""
        return ("ip", "netns", "exec", self.space(name))

    @staticmethod
    def address(name: str) -> str:
        return f"10.99.0.{1 + NAMES.index(name)}"

    def settings(self, name: str, servers: dict[str, tuple[str, int]]) -> dict[str, str]:
        """Settings of a host: none, since it reaches all servers at their own addresses."""
        return {}

    def pull(self, name: str) -> None:
        """Cuts the host's link: packets are dropped without a reset."""
        _ip("-n", self.space("switch"), "link", "set", f"to-{name}", "down")

    def plug(self, name: str) -> None:
        _ip("-n", self.space("switch"), "link", "set", f"to-{name}", "up")

    def close(self) -> None:
        for space in self.devices:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip("netns", "del", space)


class Processes:
    """The same without namespaces: hosts are processes with their own folders and a proxy to every server."""

    def __init__(self) -> None:
        self._cables: dict[str, list[Proxy]] = {name: [] for name in NAMES}

    def on(self, name: str) -> tuple[str, ...]:
        return ()

    @staticmethod
    def address(name: str) -> str:
        return "127.0.0.1"

    def settings(self, name: str, servers: dict[str, tuple[str, int]]) -> dict[str, str]:
        """Each server's URL through this host's proxy, by setting. `servers`: the servers' own URLs and ports."""
        addresses = {}
        for setting, (url, port) in servers.items():
            cable = Proxy(port)
            self._cables[name].append(cable)
            addresses[setting] = url.replace(str(port), str(cable.port))
        return addresses

    def pull(self, name: str) -> None:
        for cable in self._cables[name]:
            cable.stalled = True

    def plug(self, name: str) -> None:
        for cable in self._cables[name]:
            cable.stalled = False

    def close(self) -> None:
        for cable in (cable for cables in self._cables.values() for cable in cables):
            cable.stalled = False
            cable.close()
