"""python -m model.evidence.report DIR: writes docs/detector.md and its figures."""

import argparse
import sys
from pathlib import Path

from model.evidence.report.page import PAGE, page
from model.train.pcam import BadData
from model.weights.card import WeightsRefused


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.report", description="Write docs/detector.md and its figures from docs/evidence."
    )
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files, plan named")
    parser.add_argument(
        "--official", type=Path, help="the same, plan official, which judged the runs on official train"
    )
    options = parser.parse_args(arguments)
    try:
        PAGE.write_text(page(options.directory, options.official))
    except (FileNotFoundError, BadData, WeightsRefused) as error:
        print(f"Not written: {error}.", file=sys.stderr)
        return 2
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
