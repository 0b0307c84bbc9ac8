"""The kinds of work: a function for each. A new kind also needs its lane in `core/work/leases.py`.

A kind reads what it needs, computes without a transaction, and commits its result together with the row's end in one.
The claim's token guards that commit: a worker that lost its lease writes nothing.
"""

from collections.abc import Callable

from core.work import leases
from worker.kinds.band import band
from worker.kinds.check import check
from worker.kinds.evaluate import evaluate
from worker.kinds.finish import finish
from worker.kinds.inspect import inspect
from worker.kinds.profile import profile
from worker.life.lease_keeper import LeaseKeeper
from worker.offers import Served

Kind = Callable[[leases.Claim, LeaseKeeper, Served], None]

KINDS: dict[str, Kind] = {
    "inspect": inspect,
    "band": band,
    "check": check,
    "finish": finish,
    "profile": profile,
    "evaluate": evaluate,
}
