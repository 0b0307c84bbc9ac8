"""python -m cli.camelyon SLIDES OUTLINES: analyses slides and evaluates the answers against outlines drawn by people.

SLIDES is a folder of slide files, OUTLINES one of files that ASAP, ImageScope (.xml), QuPath (.geojson) or Camelyon16
(.json) wrote. `cli.camelyon_folder` states how they are joined by name. A slide without outlines counts as free of
tumour when all outlines are joined and every file that may be outlines is read; otherwise it is left out.
QUARTERTURN_URL and QUARTERTURN_KEY name the service and an API key.

Slides that the service has are not uploaded again, and analyses that it has are not repeated, so the command may be
run again after a failure. It goes on after a slide that fails. The exit status is 0 when all files were evaluated.
"""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cli.camelyon_batch import Batch
from cli.camelyon_copies import by_content, join_copies
from cli.camelyon_folder import OUTLINE_SUFFIXES, Join, SlideFile, join, named_slides, outline_files, slide_files
from cli.camelyon_report import UNMATCHED, Report, print_evaluation
from cli.camelyon_unread import sort_out
from cli.client import ESCAPE, FAILURES, Client, NotConfigured, ServiceError

EVALUATION_SECONDS = 3600
FREE, LEFT_OUT = "tumour-free", "left-out"
NO_OUTLINES = "name another folder, or say with --without-outlines what slides without outlines are"
LEFT_OUT_BY_OPTION = "it has no outlines, and --without-outlines leaves such slides out"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m cli.camelyon", description="Lesion-level evaluation (FROC).")
    add = parser.add_argument
    add("slides", type=Path, help="folder of slides")
    add("outlines", type=Path, help="folder of outlines: NAME.xml, NAME.geojson or NAME.json")
    add("--mode", choices=["camelyon16", "strict"], default="camelyon16")
    add("--model", help="a name from GET /models")
    add("--threshold", type=float, help="score from which a region counts as a detection")
    add("--ignore", type=Path, help="file of names, a line each, of slides not exhaustively outlined")
    add("--tumour", action="append", default=[], metavar="GROUP", help="a group to read as tumour; `none`: no group")
    add("--hole", action="append", default=[], metavar="GROUP", help="a group to read as holes in the tumour")
    add("--ignore-group", action="append", default=[], metavar="GROUP", help="a group that is neither")
    add("--origin", choices=["level0", "bounds"], help="what the outlines' coordinates count from (default: by format)")
    add("--without-outlines", choices=[FREE, LEFT_OUT], help="what slides without outlines are (default: see above)")
    add("--json", type=Path, help="write the whole evaluation, and what became of each file, to this file")
    return parser.parse_args(arguments)


def read_folders(options: argparse.Namespace) -> tuple[Join, Report, list[SlideFile]]:
    """Joins slides and outlines, and reports the files that are neither; returns all slides too. Raises OSError."""
    slides, other_slides = slide_files(options.slides)
    outlines, other_outlines = outline_files(options.outlines)
    folders, others = (options.slides, options.outlines), (other_slides, other_outlines)
    unread, left_out = sort_out(folders, slides, outlines, others)
    joined = join(slides, outlines)
    copies = join_copies(joined)
    report = Report.from_join(joined, unread, left_out)
    report.not_evaluated.update({slide.name: reason for slide, reason in copies.items()})
    return joined, report, slides


def require_outlines(joined: Join, options: argparse.Namespace) -> None:
    """Raises ServiceError when there are no outlines at all: rather the wrong folder than slides without tumour."""
    if not (joined.pairs or joined.lone_outlines or joined.unclear_outlines or options.without_outlines):
        raise ServiceError(f"{options.outlines} has no outlines ({', '.join(OUTLINE_SUFFIXES)}): {NO_OUTLINES}")


def work_of(joined: Join, options: argparse.Namespace, report: Report) -> list[tuple[SlideFile, Path | None]]:
    """Returns the slides to evaluate with their outlines, by name. The report lists the others."""
    work: list[tuple[SlideFile, Path | None]] = list(joined.pairs)
    has_unread = bool(report.unmatched_outlines or report.unread)
    is_free = options.without_outlines == FREE or (not options.without_outlines and not has_unread)
    if is_free:
        report.free = [slide.name for slide in joined.lone_slides]
        work += [(slide, None) for slide in joined.lone_slides]
    else:
        reason = LEFT_OUT_BY_OPTION if options.without_outlines else UNMATCHED
        report.not_evaluated.update({slide.name: reason for slide in joined.lone_slides})
    return sorted(work, key=lambda pair: pair[0].name)


def partial_slides(options: argparse.Namespace, slides: list[SlideFile], report: Report) -> set[SlideFile]:
    """Returns the slides that --ignore names, and copies. The report lists names that fit none. Raises OSError."""
    lines = options.ignore.read_text("utf-8-sig").splitlines() if options.ignore else []
    partial, report.unmatched_names = named_slides(filter(str.strip, lines), slides)
    return by_content(partial, slides)


def analyse(client: Client, options: argparse.Namespace, joined: Join, report: Report, slides: list[SlideFile]) -> None:
    """Brings every slide into the service. The report lists each with its analysis or its failure.

    Raises:
        ServiceError, httpx.HTTPError, OSError: nothing can be evaluated at all.
    """
    require_outlines(joined, options)
    partial, work = partial_slides(options, slides, report), work_of(joined, options, report)
    report.print_free()
    groups = {"tumour": options.tumour, "hole": options.hole, "ignore": options.ignore_group}
    groups |= {"origin": [options.origin]} if options.origin else {}
    batch = Batch(client, options.model, groups)
    for file, outlines in tqdm(work, unit="slide", desc="Slides "):
        try:
            report.analyses[file.name] = batch.evaluable(file, outlines, exhaustive=file not in partial)
        except FAILURES as error:
            report.not_evaluated[file.name] = str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 - the edge of one slide: the report lists it, and the others go on
            report.not_evaluated[file.name] = f"{type(error).__name__}: {error}"
    report.ignored_marks = batch.ignored


def evaluate(client: Client, options: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Returns the evaluation of the analysed slides. Raises ServiceError."""
    if not report.analyses:
        raise ServiceError("no slide of the folder could be evaluated")
    request = {"mode": options.mode, "analyses": list(report.analyses.values()), "threshold": options.threshold}
    row = client.body("POST", "/api/v1/evaluations", json=request)
    place = f"/api/v1/evaluations/{row['id']}"
    evaluation = client.poll(place, lambda body: body["state"] not in ("queued", "running"), EVALUATION_SECONDS)
    if evaluation["state"] != "succeeded":
        raise ServiceError(f"the evaluation {evaluation['state']}: {(evaluation['reason'] or {}).get('detail', '')}")
    return evaluation


def run(options: argparse.Namespace) -> int:
    """Returns the exit status of `main`. Raises one of FAILURES when the folders or the service cannot be read."""
    client = Client.from_environment()
    joined, report, slides = read_folders(options)
    report.print_left_out()
    evaluation, error = None, ""
    try:
        analyse(client, options, joined, report, slides)
        report.print_ignored()
        evaluation = evaluate(client, options, report)
        print_evaluation(evaluation, report.analyses)
    except FAILURES as failure:
        error = str(failure)
    if options.json:
        options.json.write_text(json.dumps({**(evaluation or {}), "folders": report.to_dict()}, indent=1) + "\n")
    report.print_problems()
    if error:
        print(f"Not evaluated: {error}", file=sys.stderr)
    return 0 if evaluation and report.is_complete else 1


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when a file was refused, failed or has no partner; 2 when the environment names no service."""
    options = parse(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that is not UTF-8 cannot be printed otherwise
            stream.reconfigure(errors=ESCAPE)
    try:
        return run(options)
    except FAILURES as error:
        print(f"Not evaluated: {error}", file=sys.stderr)
        return 2 if isinstance(error, NotConfigured) else 1


if __name__ == "__main__":
    sys.exit(main())
