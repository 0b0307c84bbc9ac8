"""python -m admin retention [--days N]: lists the slides that the retention period would delete."""

import argparse

from sqlalchemy import func, select

from core.database.migrations import require_newest
from core.database.slides import Slide
from core.database.transactions import reading
from core.settings import get_settings
from core.upkeep.retention import SETTLED, due_slides


def days(text: str) -> float:
    """Parses a number of days, 0 or more."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def main(arguments: list[str] | None = None) -> int:
    """Prints the id of every slide that would be deleted, one a line, and a summary; deletes nothing. Returns 0."""
    setting = get_settings().keep_days
    parser = argparse.ArgumentParser(
        prog="python -m admin retention", description="List the slides that the retention period would delete."
    )
    parser.add_argument(
        "--days", type=days, default=setting, help=f"0: never (default: QUARTERTURN_KEEP_DAYS, {setting:g})"
    )
    period = parser.parse_args(arguments).days
    require_newest()
    with reading() as session:
        count = session.scalar(select(func.count()).select_from(Slide).where(Slide.state.in_(SETTLED)))
        due = due_slides(session, period, limit=None) if period else []
    for slide_id, _ in due:
        print(slide_id)
    summary = f"{len(due)} would go after {period:g} days" if period else "none would go: there is no retention period"
    print(f"{count} slides are kept; {summary}.")
    return 0
