"""Sections that bound the others: trained controls, and the runs that were planned and done."""

from model.evidence.report.comparison import SPLITS, US, Answer, held_out, paired
from model.evidence.report.tables import between, table
from model.evidence.study.data import Data
from model.evidence.study.jobs import PLANS
from model.train.metrics import auc


def trained_controls(answers: list[Answer], data: Data) -> str:
    """Runs on shuffled labels and masked centres, beside the run on the same patches unchanged."""
    named = {"shuffled": "labels shuffled", "masked": "the labelled centre masked", "rivals": "nothing changed"}
    parts = (("valid", data.valid), ("test", data.test))
    rows = [
        [named[one.job.plan], str(one.job.steps)] + [f"{auc(split.labels, one.logits[p]):.3f}" for p, split in parts]
        for one in sorted(answers, key=lambda one: one.job.plan)
        if one.job.plan in named and one.job.system == US
    ]
    if len(rows) < len(named):
        return "## Trained controls\n\nNot run yet: `python -m model.evidence.study DIR --plans controls rivals`."
    return f"""## Trained controls

{table(["trained with", "steps", "AUC on valid", "AUC on test"], rows)}

Half width, one run each. Shuffled labels contain no information, so the expected AUC is 0.5; since slides differ in
colour, a single such network may lie to one side of it (as random weights above do). {_centre_gain(answers, data)}"""


def _centre_gain(answers: list[Answer], data: Data) -> str:
    """What the 32×32 px that the label refers to add to the AUC, in a sentence that follows the figures."""
    unchanged, masked = (
        {one.job.plan: one for one in answers if one.job.system == US}[plan] for plan in ("rivals", "masked")
    )
    gains = {part: paired(held_out(unchanged, data, part), held_out(masked, data, part)) for part in SPLITS}
    reads = any(gain.interval[0] > 0 for gain in gains.values())
    meaning = "the network reads the centre too"
    if not reads:
        meaning = "**at this size and training the network scores a neighbourhood**"
    figures = [f"{gain.difference:+.3f} {between(gain.interval)} on {part}" for part, gain in gains.items()]
    return f"The labelled centre adds {' and '.join(figures)} to its surroundings: {meaning}."


def left_out(answers: list[Answer]) -> str:
    """How many runs of each plan were done."""
    stored = {answer.job.name for answer in answers}
    rows = []
    for name, plan in PLANS.items():
        planned = {job.name for job in plan()}
        rows.append([name, str(len(planned & stored)), str(len(planned))])
    return f"""## Runs behind this page

{table(["plan of `python -m model.evidence.study`", "runs done", "runs planned"], rows)}

Runs that were not done are missing above, and no conclusion is drawn about them."""
