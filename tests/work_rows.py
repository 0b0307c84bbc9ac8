"""Rows of work in a test's own database, moved in time instead of waited for."""

from sqlalchemy import update

from core.database.analyses import Work
from core.database.transactions import writing

LEASE_SECONDS = 600.0  # no lease and no pause ends by itself while a test runs, however slow the machine is


def let_leases_run_out():
    """Every lease, and every pause after a fault, ended a while ago."""
    with writing() as session:
        session.execute(update(Work).where(Work.lease_until.is_not(None)).values(lease_until=Work.lease_until - 9000))
