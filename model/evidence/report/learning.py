"""Sections on training: fractions of the data, seeds, augmentation, steps of the recipe."""

from collections import defaultdict
from pathlib import Path

from model.evidence.report.comparison import US, Answer, mean_auc, mean_difference
from model.evidence.report.figures import Points, draw_fractions
from model.evidence.report.tables import between, table
from model.evidence.study.data import Data
from model.evidence.study.jobs import FLOOR, STEPS


def fractions(answers: list[Answer], data: Data, folder: Path) -> str:
    """AUC on valid against the share of the training data; draws its figure into `folder`."""
    curves: dict[tuple[str, str], dict[float, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        if answer.job.plan == "fractions":
            curves[(answer.job.system, answer.job.by)][answer.job.fraction].append(answer)
    if not curves:
        return "## Less training data\n\nNot run yet: `python -m model.evidence.study DIR --plans fractions`."
    rows, points = [], {}
    for (system, by), parts in sorted(curves.items()):
        points[(system, by)] = {share: mean_auc(runs, data) for share, runs in sorted(parts.items())}
        rows += [
            [system, by, f"{share:.0%}", f"{value:.3f} {between(interval)}", str(len(parts[share]))]
            for share, (value, interval) in points[(system, by)].items()
        ]
    draw_fractions(folder / "detector-fractions.png", points)
    return f"""## Less training data

Known slides of train, by patch and by slide group, equal steps; AUC on valid.

{table(["system", "by", "share", "AUC, mean of runs", "runs"], rows)}

{_ahead(curves, data)}

{_fewest_slides(points)}

![AUC against training fraction](detector-fractions.png)"""


def _fewest_slides(points: Points) -> str:
    """Which network comes first with the fewest slides, and what that means for symmetry."""
    parts = {system: values for (system, by), values in points.items() if by == "slide"}
    if not parts:
        return "By slide it was not run yet."
    share = min(min(values) for values in parts.values())
    first = max(parts, key=lambda system: parts[system].get(share, (0.0,))[0])
    why = f"""Why symmetry does not show more: the plain network is trained on turned and mirrored patches, so in these steps it
sees every pose of every patch too. With a small share of the slides, what is scarce is slides and their stains, and no
quarter turn adds one: at {share:.0%} of them {first} comes first, with {parts[first][share][0]:.3f}."""
    return why + (" It has no notion of pose and reads colour and texture alone." if first == FLOOR else "")


def _ahead(curves: dict[tuple[str, str], dict[float, list[Answer]]], data: Data) -> str:
    """p4m against plain convolution and the floor at every share that both have, and how often it is clearly ahead."""
    rows, sentences = [], []
    for rival in ("z2-densenet", FLOOR):
        won, lost, shares = 0, 0, 0
        for by in ("patch", "slide"):
            mine, other = (curves.get((system, by), {}) for system in (US, rival))
            for share in sorted(set(mine) & set(other)):
                value, interval = mean_difference(mine[share], other[share], data)
                rows.append([rival, by, f"{share:.0%}", f"{value:+.3f} {between(interval)}"])
                won, lost, shares = won + (interval[0] > 0), lost + (interval[1] < 0), shares + 1
        ahead = f"{US} is clearly ahead at {won} of {shares} shares and clearly behind at {lost}"
        sentences.append(f"Compared with {rival}, {ahead}")
    head = ["rival", "by", "share", f"{US} less the rival, AUC"]
    return f"{table(head, rows)}\n\n{'. '.join(sentences)}. At all others the interval contains zero."


def repeated(answers: list[Answer], data: Data) -> str:
    """Seeds, strengths of augmentation, and the recipe without one of its steps."""
    runs: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.job.plan in ("known", "all") or answer.job.plan.startswith(("augment", "without")):
            runs[answer.job.plan].append(answer)
    if not runs:
        return "## Seeds and the recipe\n\nNot run yet: `python -m model.evidence.study DIR --plans seeds augmentation steps`."
    rows = []
    for _, answered in sorted(runs.items()):
        job, (value, interval) = answered[0].job, mean_auc(answered, data)
        width, patches = "half" if job.half else "full", "known slides" if job.data == "known" else "all patches"
        figures = [f"{value:.3f} {between(interval)}", "" if job.half else f"{mean_auc(answered, data, 'test')[0]:.3f}"]
        rows.append(
            [
                patches,
                width,
                f"{job.strength:.1f}",
                job.without or "nothing",
                str(job.steps),
                str(len(answered)),
                *figures,
            ]
        )
    head = ["trained on", "width", "H&E augmentation", "left out", "steps", "seeds", "AUC on valid, mean", "on test"]
    return f"""## Seeds and the recipe

{US}, from scratch with one recipe; intervals resample seeds and slide groups. The shipped weights were trained for longer.
The runs on all patches were made before 57 of their patches were found to overlap a judging patch of this plan or of the official one by
some pixels: their figures may be flattered. An earlier statement that none overlaps was wrong. Runs on known slides are not affected.
Gradient clipping protects against divergence; its effect was not measured.

{table(head, rows)}

{_gains(runs, data)}"""


def _gains(runs: dict[str, list[Answer]], data: Data) -> str:
    """What each step of the recipe adds to the AUC, and which steps are shown to help or to harm."""
    complete, steps = runs.get("augment03", []), {"H&E augmentation at 0.3": runs.get("augment00", [])}
    steps |= {step: runs.get(f"without-{step}", []) for step in STEPS}
    gains = {step: mean_difference(complete, without, data) for step, without in steps.items() if complete and without}
    rows = [[step, f"{value:+.3f} {between(interval)}"] for step, (value, interval) in gains.items()]
    helpful = [step for step, (_, interval) in gains.items() if interval[0] > 0]
    harmful = [step for step, (_, interval) in gains.items() if interval[1] < 0]
    summary = f"""At this length and width shown to help: {", ".join(helpful) or "none"}; shown to harm: {", ".join(harmful) or "none"}.
The shipped weights were trained with all of them. No gain is claimed where none is shown."""
    return f"{table(['step', 'AUC on valid: with it, less without'], rows)}\n\n{summary}"
