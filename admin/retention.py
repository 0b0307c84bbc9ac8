"""python -m admin retention."""

import argparse

from sqlalchemy import func, select

from core.database.slides import Slide
from core.database.transactions import reading
from core.settings import get_settings
from core.upkeep.retention import AT_ONCE, SETTLED, due_slides


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m admin retention", description="What would go, and how much is kept."
    )
    parser.add_argument("--days", type=float, default=get_settings().keep_days, help="as QUARTERTURN_KEEP_DAYS")
    days = parser.parse_args(arguments).days
    with reading() as session:
        kept = session.scalar(select(func.count()).select_from(Slide).where(Slide.state.in_(SETTLED)))
        found = due_slides(session, days) if days else []
    for slide_id, _ in found:
        print(slide_id)
    print(f"{kept} slides are kept; {len(found)}{'+' if len(found) == AT_ONCE else ''} would go after {days:g} days.")
    return 0
