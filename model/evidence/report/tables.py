"""Markdown tables and intervals."""

Row = list[str]


def table(head: Row, rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def between(interval: tuple[float, float]) -> str:
    """An interval as `[low, high]`."""
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"
