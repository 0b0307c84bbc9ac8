"""`python -m worker`: self-tests the default network, then serves. Exits with 3 when its weights are refused."""

import argparse
import sys

from core import logs
from model.weights.card import WeightsRefused
from worker.app import app
from worker.offers import serving

REFUSED = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker", description="Work for Quarterturn.")
    parser.add_argument(
        "--processes", type=int, default=1, help="pool processes, each with its own network (default 1)"
    )
    options = parser.parse_args()
    logs.configure("worker")
    try:
        serving()  # in the parent too: a refusal ends the worker here, where pool processes would die again and again
    except WeightsRefused as error:
        print(f"The worker refuses to serve: {error}.", file=sys.stderr)
        return REFUSED
    arguments = ["--quiet", "worker", "--pool=prefork", f"--concurrency={options.processes}", "--loglevel=WARNING"]
    # Workers coordinate through the database alone, so Celery's own chatter between them is off.
    app.worker_main([*arguments, "--without-gossip", "--without-mingle"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
