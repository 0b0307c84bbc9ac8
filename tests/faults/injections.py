"""The faults: each damages a part of a running service for real, and leaves it as an operator would repair it.

One that found nothing to hurt raises: it was no fault.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from random import Random

import pytest
from servers import until

from faults.scene import Scene

WORKERS = ("one", "two")
PAST_THE_LEASE = 4.0  # the lease is three seconds here
APPEARS_SECONDS = 60.0  # in which something that can be hurt comes into being; under load it does at once
GRACE_SECONDS = 60.0  # docker-compose.yml's
Fault = Callable[[Scene, Random], None]


def worker_killed(scene: Scene, rng: Random) -> None:
    """kill -9 of a worker, its pool and its readers; a new worker starts."""
    scene.restart(rng.choice(WORKERS))


def pool_child_killed(scene: Scene, rng: Random) -> None:
    """kill -9 of the process that computes; its parent stays."""
    _kill_any(scene, [rng.choice(WORKERS)], "spawn_main", 1)


def readers_killed(scene: Scene, rng: Random) -> None:
    """kill -9 of every process that has a slide open."""
    _kill_any(scene, [*WORKERS, "api"], "core.reader.child")


def _kill_any(scene: Scene, names: list[str], module: str, most: int | None = None) -> None:
    """At least one of the processes below these parts of the service."""

    def killed() -> int:
        killed_count = 0
        for pid in [pid for name in names for pid in scene.children(name, module)][:most]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed_count += 1
        return killed_count

    until(killed, APPEARS_SECONDS, every=0.02)


def zombie(scene: Scene, rng: Random) -> None:
    """SIGSTOP of a worker past its lease, then SIGCONT: it continues with a claim that is no longer valid."""
    name = rng.choice(WORKERS)
    scene.stop(name)
    time.sleep(PAST_THE_LEASE)
    scene.go_on(name)


def worker_ends_in_good_order(scene: Scene, rng: Random) -> None:
    """SIGTERM, as a deployment sends it, at a random moment: the worker ends by itself with status 0."""
    name = rng.choice(WORKERS)
    process = scene.service.processes[name]
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(GRACE_SECONDS) == 0
    scene.restart(name)


def api_killed(scene: Scene, rng: Random) -> None:
    """kill -9 of the API while clients send."""
    scene.restart("api")


def disk_full(scene: Scene, rng: Random) -> None:
    """The disk is full for a while."""
    if not scene.disk:
        pytest.skip("no small disk can be mounted here")
    scene.fill_disk()
    assert not os.statvfs(scene.service.data).f_bavail
    time.sleep(rng.uniform(0.5, 2))
    scene.free_disk()


def messages_lost(scene: Scene, rng: Random) -> None:
    """The broker loses every message."""
    scene.ring()
    if scene.redis:
        assert scene.redis.command("FLUSHALL").startswith(b"+OK")
        return
    lost = 0
    for message in (scene.service.data / "broker" / "messages").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            message.unlink()
            lost += 1
    assert lost


def messages_doubled(scene: Scene, rng: Random) -> None:
    """Sends far more messages than there is work."""
    scene.ring()


def clients_cut(scene: Scene, rng: Random) -> None:
    """Resets every connection to the API, also in the middle of an upload's body."""
    front = scene.front
    assert front
    until(front.cut, APPEARS_SECONDS)


def messages_delayed(scene: Scene, rng: Random) -> None:
    """Delays the traffic with the broker."""
    scene.proxies[1].stalled = True
    time.sleep(rng.uniform(1, 4))
    scene.proxies[1].stalled = False


def broker_killed(scene: Scene, rng: Random) -> None:
    assert scene.redis
    scene.redis.stop()
    time.sleep(rng.uniform(0, 1.5))
    scene.redis.start()


def broker_full(scene: Scene, rng: Random) -> None:
    """Redis refuses writes."""
    assert scene.redis
    with scene.full_broker():
        time.sleep(1)


def database_stopped(scene: Scene, rng: Random) -> None:
    """PostgreSQL ends at once, without a checkpoint, and recovers."""
    assert scene.postgres
    scene.postgres.stop("immediate")
    time.sleep(rng.uniform(0, 1))
    scene.postgres.start()


def connections_cut(scene: Scene, rng: Random) -> None:
    """Every connection to the database and the broker is reset."""
    for proxy in scene.proxies:
        until(proxy.cut, APPEARS_SECONDS)


def network_away(scene: Scene, rng: Random) -> None:
    """The database and the broker are unreachable for a while."""
    for proxy in scene.proxies:
        proxy.away = True
        proxy.cut()
    time.sleep(rng.uniform(0.5, 2.5))
    for proxy in scene.proxies:
        proxy.away = False


EVERYWHERE: tuple[Fault, ...] = (
    worker_killed, pool_child_killed, readers_killed, zombie, worker_ends_in_good_order, api_killed, messages_lost,
    messages_doubled, clients_cut,
)  # fmt: skip
ON_SERVERS: tuple[Fault, ...] = (
    broker_killed, broker_full, messages_delayed, database_stopped, connections_cut, network_away,
)  # fmt: skip


def faults_of(scene: Scene) -> list[Fault]:
    """The faults that this scene supports."""
    faults = list(EVERYWHERE) + (list(ON_SERVERS) if scene.engine == "production" else [])
    return [*faults, disk_full] if scene.disk else faults
