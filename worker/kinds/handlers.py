"""One function a kind of work: read what is needed, compute, commit with the row's token in one transaction."""

from collections.abc import Callable

from core.work import leases
from worker.kinds.band import band
from worker.kinds.check import check
from worker.kinds.evaluate import evaluate
from worker.kinds.finish import finish
from worker.kinds.inspect import inspect
from worker.kinds.profile import profile
from worker.life.lease import Lease
from worker.offers import Served

HANDLERS: dict[str, Callable[[leases.Claim, Lease, Served], None]] = {
    "inspect": inspect,
    "band": band,
    "check": check,
    "finish": finish,
    "profile": profile,
    "evaluate": evaluate,
}
