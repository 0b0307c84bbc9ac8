"""python -m cli.camelyon SLIDES OUTLINES: analyse slides and hold the answers against what people outlined.

SLIDES holds slide files, OUTLINES a NAME.xml (ASAP) or NAME.json (Camelyon16's polygons) for those with tumour; a slide
without a file there counts as one without tumour. The service's address and key come from QUARTERTURN_URL and
QUARTERTURN_KEY. Slides that were sent before are not sent again.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cli.client import Client, ServiceError

NOTHING = b'{"positive": [], "negative": []}'


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cli.camelyon", description="Lesion-level evaluation (FROC).")
    parser.add_argument("slides", type=Path, help="folder of slides")
    parser.add_argument("outlines", type=Path, help="folder of NAME.xml or NAME.json")
    parser.add_argument("--mode", choices=["camelyon16", "strict"], default="camelyon16")
    parser.add_argument("--model", help="a name from GET /models")
    parser.add_argument("--threshold", type=float, help="of the regions that count as detections")
    parser.add_argument("--ignore", type=Path, help="file of slide names, a line each, not exhaustively annotated")
    parser.add_argument("--json", type=Path, help="write the whole evaluation here")
    return parser.parse_args(arguments)


def sent(client: Client, path: Path) -> dict[str, Any]:
    """The slide's record; sent unless it was before."""
    known = client.call("GET", "/api/v1/slides", params={"query": path.name}).json()["slides"]
    for old in known:
        if old["filename"] == path.name and old["size_bytes"] == path.stat().st_size and old["state"] == "ready":
            return dict(old)
    return client.wait_for_slide(client.upload(path, {"organ": "lymph node"}))


def analysed(client: Client, path: Path, options: argparse.Namespace, exhaustive: bool) -> str:
    """Send, outline and analyse a slide; the analysis's id. Raises ServiceError."""
    slide = sent(client, path)
    drawn = [options.outlines / f"{path.stem}{kind}" for kind in (".xml", ".json")]
    content = next((file.read_bytes() for file in drawn if file.exists()), NOTHING)
    where = f"/api/v1/slides/{slide['id']}/annotation"
    client.call("PUT", where, params={"exhaustive": exhaustive}, content=content)
    analysis = client.analyse(slide["id"], **({"model": options.model} if options.model else {}))
    if analysis["state"] != "succeeded" or analysis["withheld"]:
        reason = analysis["reason"] or analysis["withheld"] or {"detail": "it was cancelled"}
        raise ServiceError(f"{path.name}: the analysis {analysis['state']}: {reason['detail']}")
    return str(analysis["id"])


def tell(evaluation: dict[str, Any]) -> None:
    figure = evaluation["figure"]
    print(f"mode {evaluation['mode']}, weights {evaluation['weights_sha256'][:12]}, {figure['slides']} slides,")
    print(f"{figure['lesions']} lesions ({figure['ignored_lesions']} too small to count)")
    for rate, sensitivity in figure["sensitivity_at"].items():
        print(f"  sensitivity at {rate:>4} false positives a slide  {sensitivity:.3f}")
    print(f"  FROC score (their mean)                    {figure['score']:.3f}")
    for slide in evaluation["slides"]:
        for miss in slide.get("misses", []):
            x, y = miss["centre_l0"]
            print(f"  missed: {slide['filename']} at ({x:.0f}, {y:.0f}), {miss['major_axis_um']:.0f} µm long")
    print(evaluation["notice"])


def evaluate(client: Client, options: argparse.Namespace) -> dict[str, Any]:
    """All slides of the folder. Raises ServiceError."""
    paths = sorted(path for path in options.slides.iterdir() if path.is_file())
    ignored = set(options.ignore.read_text().split()) if options.ignore else set()
    ids = []
    for path in tqdm(paths, unit="slide", desc="Slides "):
        ids.append(analysed(client, path, options, not {path.name, path.stem} & ignored))
    asked = {"mode": options.mode, "analyses": ids, "threshold": options.threshold}
    row = client.call("POST", "/api/v1/evaluations", json=asked).json()
    where = f"/api/v1/evaluations/{row['id']}"
    done = client.poll(where, lambda one: one["state"] not in ("queued", "running"), 3600)
    if done["state"] != "succeeded":
        raise ServiceError(f"the evaluation {done['state']}: {(done['reason'] or {}).get('detail', '')}")
    return done


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        client = Client(os.environ["QUARTERTURN_URL"], os.environ["QUARTERTURN_KEY"])
        done = evaluate(client, options)
    except KeyError as error:
        print(
            f"Set {error.args[0]}: the service's address is QUARTERTURN_URL, its key QUARTERTURN_KEY.", file=sys.stderr
        )
        return 2
    except (ServiceError, OSError) as error:
        print(f"Not evaluated: {error}", file=sys.stderr)
        return 1
    tell(done)
    if options.json:
        options.json.write_text(json.dumps(done, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
