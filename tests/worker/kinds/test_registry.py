"""The table of kinds is that of the rows: every kind of work that can be claimed is done by a function of its name."""

from core.work.leases import LANES
from worker.kinds.registry import KINDS


def test_every_kind_of_row_is_done_by_a_function_of_its_name():
    assert set(KINDS) == set(LANES)
    assert all(function.__name__ == kind for kind, function in KINDS.items())
