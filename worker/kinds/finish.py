"""Assemble an analysis from its parts."""

import numpy as np

from core.analyses import cards, requests, states
from core.analyses import results as results_
from core.database.analyses import Work
from core.database.transactions import reading, writing
from core.slides import catalog
from core.work import leases
from worker.compute import findings
from worker.kinds.claimed import load
from worker.life.lease import Lease
from worker.offers import Served


def finish(claim: leases.Claim, _: Lease, served: Served) -> None:
    """Put the parts together and say what was found."""
    slide, analysis = load(claim)
    assert analysis is not None
    info = catalog.info_of(slide)
    with reading() as session:
        logits = results_.plane(session, analysis, info)
        strange = results_.plane(session, analysis, info, "strangeness")
        rows = results_.band_rows(session, analysis.id)
        checks = (
            session.query(Work).filter_by(analysis_id=analysis.id, kind="check", state="done").order_by(Work.ordinal)
        )
        checked = [dict(row.result or {}) for row in checks]
    mask = requests.cell_mask(slide, analysis.settings["tissue"])
    results = findings.gather(logits, mask, info, analysis.settings, checked)
    results["calibration"] = served.card.calibration()
    strange = np.where(requests.cell_mask(slide, "auto"), strange, np.float32(np.nan))  # of tissue, never of glass
    results["familiarity"] = findings.familiarity(strange, served.familiarity)
    notes = cards.scope_notes(served.card.scope, info, slide.identifiers)
    unfamiliar = findings.unfamiliar_notes(results["familiarity"])
    results["scope_notes"] = [*findings.purpose_notes(served.card), *notes, *unfamiliar]
    unreadable = sum((row.result or {}).get("unreadable", 0) for row in rows)
    results["coverage"]["unreadable_cells"] = unreadable
    broken = findings.too_little_read(results, unreadable)
    with writing() as session:
        if broken is None:
            states.succeed(session, claim, results, findings.withhold(logits, mask, results))
        else:
            locked = states.lock(session, analysis.id)
            leases.complete(session, claim)
            states.fail(session, locked, broken)
