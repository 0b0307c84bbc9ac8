"""Controls."""

from model.evidence.report.comparison import Answer, paired
from model.evidence.report.tables import SPLITS, US, between, held_out, table
from model.evidence.study.data import Data
from model.evidence.study.jobs import PLANS
from model.train.metrics import auc


def trained_controls(answers: list[Answer], data: Data) -> str:
    """Runs that must know nothing, or little, beside one that was trained on the same patches as they are."""
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

Half width, one run each. Shuffled labels teach nothing, which is 0.5 on average; but slides differ in colour, so one
network that knows nothing may well lean to one side of it (random weights above do). {_what_the_centre_adds(answers, data)}"""


def _what_the_centre_adds(answers: list[Answer], data: Data) -> str:
    """Of the 32 px that the label speaks of, in a sentence that follows the figures."""
    whole, masked = (
        {one.job.plan: one for one in answers if one.job.system == US}[plan] for plan in ("rivals", "masked")
    )
    gains = {part: paired(held_out(whole, data, part), held_out(masked, data, part)) for part in SPLITS}
    reads = any(gain.interval[0] > 0 for gain in gains.values())
    told = "so it reads the centre too" if reads else "**so at this size and training it scores a neighbourhood**"
    figures = [f"{gain.difference:+.3f} {between(gain.interval)} on {part}" for part, gain in gains.items()]
    return f"Seeing the labelled centre adds {' and '.join(figures)} to its surroundings alone: {told}."


def left_out(answers: list[Answer]) -> str:
    """What was planned and is not here."""
    have = {answer.job.name for answer in answers}
    rows = []
    for name, plan in PLANS.items():
        planned = {job.name for job in plan()}
        rows.append([name, str(len(planned & have)), str(len(planned))])
    return f"""## What stands behind this page

{table(["plan of `python -m model.evidence.study`", "runs made", "runs planned"], rows)}

Runs that are not made are missing above, and no conclusion is drawn from them."""
