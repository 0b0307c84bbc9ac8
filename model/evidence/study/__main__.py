"""python -m model.evidence.study DIR: does the training runs behind docs/detector.md, one after the other.

A job is one training run; its answer is a small file with the logits of the patches that it was not trained on. Jobs
that have an answer are skipped and a killed one continues at its checkpoint, so a study may take several sittings.
Processes that use the same --work folder share the jobs. Figures are computed from the answers alone; afterwards only
`python -m model.evidence.ship_rivals` needs checkpoints, those of the plan `rivals`.
"""

import argparse
import sys
from pathlib import Path

from model.evidence.study.data import Data
from model.evidence.study.jobs import FLOOR, OFFICIAL_PLANS, PLANS, Job
from model.evidence.study.runs import ANSWERS, has_answer, lock_job, run_job
from model.networks.registry import SYSTEMS
from model.train.pcam import BadData


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.study", description="Do the training runs behind docs/detector.md."
    )
    add = parser.add_argument
    add("directory", type=Path, help="folder with PCam's HDF5 files")
    add("--work", type=Path, default=Path("runs/study"), help="folder of checkpoints (default %(default)s)")
    add("--plans", nargs="+", choices=list(PLANS), default=[], help="these only")
    add("--systems", nargs="+", choices=[*SYSTEMS, FLOOR], help="these only")
    add("--seeds", nargs="+", type=int, choices=(1, 2, 3), help="these only")
    return parser.parse_args(arguments)


def planned(options: argparse.Namespace, is_named: bool) -> list[Job]:
    """The jobs that the options select, in order.

    `is_named`: whether the files are those of the plan named.

    Raises:
        BadData: the options name jobs of the other plan's files.
    """
    own = [plan for plan in PLANS if (plan not in OFFICIAL_PLANS) == is_named]
    others = sorted(set(options.plans) - set(own))
    if others:
        raise BadData(f"the plans {', '.join(others)} need the files of the plan {'official' if is_named else 'named'}")
    jobs = [job for plan in options.plans or own for job in PLANS[plan]()]
    jobs = [job for job in jobs if not options.systems or job.system in options.systems]
    return [job for job in jobs if not options.seeds or job.seed in options.seeds]


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        data = Data(options.directory)
        jobs = planned(options, data.is_named)
    except (FileNotFoundError, BadData) as error:
        print(f"No job was run: {error}.", file=sys.stderr)
        return 2
    ANSWERS.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(jobs, 1):
        with lock_job(job, options.work) as locked:
            if not locked or has_answer(job):
                continue
            print(f"{number} of {len(jobs)}: {job.name}", file=sys.stderr, flush=True)
            try:
                run_job(job, data, options.work)
            except ValueError as error:
                print(f"{job.name}: {error}; or remove its folder in {options.work}.", file=sys.stderr)
                return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
