"""python -m cli.camelyon SLIDES OUTLINES: analyses slides and evaluates the answers against outlines drawn by people.

SLIDES is a folder of slide files. OUTLINES holds a NAME.xml (ASAP) or NAME.json (Camelyon16's polygons) for each slide
with tumour; a slide without such a file counts as one without tumour. QUARTERTURN_URL and QUARTERTURN_KEY name the
service and an API key. Slides that the service has already are not uploaded again.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cli.client import FAILURES, Client, NotConfigured, ServiceError, failure

NO_TUMOUR = b'{"positive": [], "negative": []}'
EVALUATION_SECONDS = 3600


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m cli.camelyon", description="Lesion-level evaluation (FROC).")
    parser.add_argument("slides", type=Path, help="folder of slides")
    parser.add_argument("outlines", type=Path, help="folder of NAME.xml or NAME.json")
    parser.add_argument("--mode", choices=["camelyon16", "strict"], default="camelyon16")
    parser.add_argument("--model", help="a name from GET /models")
    parser.add_argument("--threshold", type=float, help="score from which a region counts as a detection")
    parser.add_argument("--ignore", type=Path, help="file of names, a line each, of slides not exhaustively outlined")
    parser.add_argument("--json", type=Path, help="write the whole evaluation to this file")
    return parser.parse_args(arguments)


def upload(client: Client, path: Path) -> dict[str, Any]:
    """Returns the slide of a file, uploaded unless the service has it. Raises ServiceError."""
    slide = client.find_slide(path.name, path.stat().st_size)
    return slide or client.wait_for_slide(client.upload(path, {"organ": "lymph node"}))


def analyse(client: Client, path: Path, options: argparse.Namespace, exhaustive: bool) -> str:
    """Uploads a slide and its outlines and analyses it; returns the analysis's id. Raises ServiceError."""
    slide = upload(client, path)
    candidates = [options.outlines / f"{path.stem}{suffix}" for suffix in (".xml", ".json")]
    content = next((file.read_bytes() for file in candidates if file.exists()), NO_TUMOUR)
    annotation = f"/api/v1/slides/{slide['id']}/annotation"
    client.call("PUT", annotation, params={"exhaustive": exhaustive}, content=content)
    analysis = client.analyse(slide["id"], **({"model": options.model} if options.model else {}))
    if reason := failure(analysis):
        raise ServiceError(f"{path.name}: {reason}")
    return str(analysis["id"])


def print_evaluation(evaluation: dict[str, Any]) -> None:
    """Prints the FROC table and every missed lesion."""
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
    """Analyses every slide of the folder and returns the evaluation. Raises ServiceError."""
    paths = sorted(path for path in options.slides.iterdir() if path.is_file())
    ignored = set(options.ignore.read_text().split()) if options.ignore else set()
    ids = []
    for path in tqdm(paths, unit="slide", desc="Slides "):
        ids.append(analyse(client, path, options, exhaustive=not {path.name, path.stem} & ignored))
    request = {"mode": options.mode, "analyses": ids, "threshold": options.threshold}
    row = client.call("POST", "/api/v1/evaluations", json=request).json()
    place = f"/api/v1/evaluations/{row['id']}"
    evaluation = client.poll(place, lambda body: body["state"] not in ("queued", "running"), EVALUATION_SECONDS)
    if evaluation["state"] != "succeeded":
        raise ServiceError(f"the evaluation {evaluation['state']}: {(evaluation['reason'] or {}).get('detail', '')}")
    return evaluation


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when something is refused or fails; 2 when the environment names no service."""
    options = parse(arguments)
    try:
        evaluation = evaluate(Client.from_environment(), options)
    except FAILURES as error:
        print(f"Not evaluated: {error}", file=sys.stderr)
        return 2 if isinstance(error, NotConfigured) else 1
    print_evaluation(evaluation)
    if options.json:
        options.json.write_text(json.dumps(evaluation, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
