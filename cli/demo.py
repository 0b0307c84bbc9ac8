"""python -m cli.demo FOLDER: the demo of `make run`, which uploads and analyses a slide through the public API.

The slide is put into FOLDER, and the path of its page in the viewer is written to FOLDER/page. QUARTERTURN_URL and
QUARTERTURN_KEY name the service and an API key.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cli.client import FAILURES, Client, NotConfigured, failure, file_digest
from cli.demo_slide import DemoSlide, demo_slide


def upload(client: Client, slide: DemoSlide) -> dict[str, Any]:
    """Returns the demo slide's record, uploaded unless an earlier start did so."""
    record = client.find_slide(file_digest(slide.path))
    if record:
        print("The demo slide is here from an earlier start.", flush=True)
        return client.wait_for_slide(record["id"])
    with tqdm(total=slide.path.stat().st_size, unit="B", unit_scale=True, desc="Uploading ", ncols=80) as bar:
        slide_id = client.upload(slide.path, {"organ": slide.organ}, lambda done, _: bar.update(done - bar.n))
    return client.wait_for_slide(slide_id)


def analyse(client: Client, slide_id: str) -> dict[str, Any]:
    """Returns the newest succeeded analysis, or runs one and shows its progress."""
    for analysis in client.body("GET", f"/api/v1/slides/{slide_id}/analyses"):
        if analysis["state"] == "succeeded":
            return dict(analysis)
    with tqdm(total=1, unit="part", desc="Analysing ", ncols=80) as bar:
        return client.analyse(slide_id, _progress_on(bar))


def _progress_on(bar: Any) -> Callable[[dict[str, Any]], None]:
    def show(analysis: dict[str, Any]) -> None:
        bar.total = max(1, analysis["progress"]["total"])
        bar.update(analysis["progress"]["done"] - bar.n)

    return show


def run(client: Client, folder: Path) -> dict[str, Any]:
    """Uploads and analyses the demo slide; returns the analysis. Raises ServiceError."""
    slide = demo_slide(folder)
    print(f"Demo slide: {slide.note}", flush=True)
    record = upload(client, slide)
    (folder / "page").write_text(f"/slides/{record['id']}")  # before the analysis: the page shows its progress, too
    client.wait_for_worker()
    return analyse(client, record["id"])


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when the service refuses or there are no results; 2 when the environment names no service."""
    parser = argparse.ArgumentParser(prog="python -m cli.demo", description="Upload and analyse the demo slide.")
    parser.add_argument("folder", type=Path, help="where the demo slide is kept")
    folder = parser.parse_args(arguments).folder
    try:
        analysis = run(Client.from_environment(), folder)
    except FAILURES as error:
        print(f"The demo stopped: {error}", file=sys.stderr)
        return 2 if isinstance(error, NotConfigured) else 1
    if reason := failure(analysis):
        print(f"The demo has no results: {reason}", file=sys.stderr)
        return 1
    print(f"{analysis['results']['summary']} {analysis['notice']}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
