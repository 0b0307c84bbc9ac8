"""python -m model.evidence.study DIR: the runs that the evidence in docs/detector.md stands on, one after the other.

A job is one training run; its answer is the logits of the patches that it was not trained on, kept in a small file.
Jobs that have an answer are skipped, a killed one goes on at its last checkpoint, so a study takes as many sittings as
it needs; several processes, one a core, may share one by its folder of work. Figures are made from the answers alone.
Only the checkpoints of the plan `rivals` are needed afterwards, by `python -m model.evidence.ship_rivals`.
"""

import argparse
import sys
from pathlib import Path

from model.evidence.study.data import Data
from model.evidence.study.jobs import FLOOR, PLANS
from model.evidence.study.runs import ANSWERS, has_answer, lock_job, run_job
from model.networks.registry import SYSTEMS
from model.train.pcam import BadData


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.study", description="Make the runs behind docs/detector.md."
    )
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files")
    parser.add_argument("--work", type=Path, default=Path("runs/study"), help="checkpoints (default %(default)s)")
    parser.add_argument("--plans", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--systems", nargs="+", choices=[*SYSTEMS, FLOOR], help="these only")
    parser.add_argument("--seeds", nargs="+", type=int, choices=(1, 2, 3), help="these only")
    options = parser.parse_args(arguments)
    jobs = [job for plan in options.plans for job in PLANS[plan]()]
    jobs = [job for job in jobs if not options.systems or job.system in options.systems]
    jobs = [job for job in jobs if not options.seeds or job.seed in options.seeds]
    try:
        data = Data(options.directory)
    except (FileNotFoundError, BadData) as error:
        print(f"Nothing was run: {error}.", file=sys.stderr)
        return 2
    ANSWERS.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(jobs, 1):
        with lock_job(job, options.work) as ours:
            if ours and not has_answer(job):
                print(f"{number} of {len(jobs)}: {job.name}", file=sys.stderr, flush=True)
                try:
                    run_job(job, data, options.work)
                except ValueError as error:
                    print(f"{job.name} in {options.work}: {error}; remove its folder to begin anew.", file=sys.stderr)
                    return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
