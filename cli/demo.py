"""python -m cli.demo FOLDER: what `make run` shows: a slide sent and analysed, all through the public API.

FOLDER/page then holds the viewer's page of it.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cli.client import Client, ServiceError
from cli.demo_slide import DemoSlide, demo_slide


def uploaded(client: Client, slide: DemoSlide) -> dict[str, Any]:
    """The demo slide's record; sent unless an earlier start did."""
    known = client.call("GET", "/api/v1/slides", params={"query": slide.path.name}).json()["slides"]
    for old in known:
        if old["state"] == "ready":
            print("The demo slide is here from an earlier start.", flush=True)
            return dict(old)
    with tqdm(total=slide.path.stat().st_size, unit="B", unit_scale=True, desc="Uploading ", ncols=80) as bar:
        slide_id = client.upload(slide.path, {"organ": slide.organ}, lambda sent, _: bar.update(sent - bar.n))
    return client.wait_for_slide(slide_id)


def analysed(client: Client, slide_id: str) -> dict[str, Any]:
    """The newest succeeded analysis, or a new one with its progress shown."""
    for old in client.call("GET", f"/api/v1/slides/{slide_id}/analyses").json():
        if old["state"] == "succeeded":
            return dict(old)
    with tqdm(total=1, unit="part", desc="Analysing ", ncols=80) as bar:
        return client.analyse(slide_id, _shown_on(bar))


def _shown_on(bar: Any) -> Callable[[dict[str, Any]], None]:
    def show(analysis: dict[str, Any]) -> None:
        bar.total = max(1, analysis["progress"]["total"])
        bar.update(analysis["progress"]["done"] - bar.n)

    return show


def main() -> int:
    client = Client(os.environ["QUARTERTURN_URL"], os.environ["QUARTERTURN_KEY"])
    slide = demo_slide(Path(sys.argv[1]))
    print(f"Demo slide: {slide.note}", flush=True)
    try:
        record = uploaded(client, slide)
        (Path(sys.argv[1]) / "page").write_text(f"/slides/{record['id']}")
        client.wait_for_worker()
        analysis = analysed(client, record["id"])
    except ServiceError as error:
        print(f"The demo stopped: {error}", file=sys.stderr)
        return 1
    if analysis["state"] != "succeeded" or analysis["withheld"]:
        print(f"The demo's analysis {analysis['state']}: {analysis['reason'] or analysis['withheld']}", file=sys.stderr)
        return 1
    print(f"{analysis['results']['summary']} {analysis['notice']}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
