"""One function a kind of work: read what is needed, compute, commit with the row's token in one transaction."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.access import audit
from core.access.credentials import Visitor
from core.analyses import cards, states
from core.database.record import Analysis, Slide, Work
from core.database.transactions import reading, writing
from core.errors import Gone, Invalid, SlideRejected, Unavailable
from core.heatmap import grid
from core.heatmap import planes as heatmap
from core.marks import evaluations
from core.pixels.frame import STRIDE_PX
from core.reader.client import Reader, SlideInfo
from core.settings import get_settings
from core.slides import archives, catalog, storage
from core.work import leases
from model.checks import rotation_check
from model.checks.profile import WINDOW_PX, angle_profile
from model.inference import engines
from model.inference.staging import Staging
from worker.compute import findings
from worker.compute.bands import band_values
from worker.compute.region_loader import AHEAD, OURS, PASSING, Pixels, RegionLoader, network_pixels, region_pixels
from worker.life.lease import Lease
from worker.offers import Served

THUMBNAIL_PX = 400
READER_TRIES = 3
_readers: dict[str, Reader] = {}


def reader_of(slide: Slide) -> Reader:
    """A live reader of the slide; the process keeps the last one open. Raises Gone when its file was changed."""
    catalog.require_unaltered(slide)
    kept = _readers.get(slide.id)
    if kept is not None and kept.alive:
        return kept
    close_readers()
    settings = get_settings()
    path = _opened(slide)
    _readers[slide.id] = Reader(path, settings.reader_seconds, settings.reader_memory_bytes, storage.readable(path))
    return _readers[slide.id]


def _opened(slide: Slide) -> Path:
    """What a reader opens; of a zip whose parts are not here (a slide by reference, after a restore) unpacked anew."""
    path = storage.opened(slide.id, slide.file)
    return _unpacked(slide, path, lambda: None) if path.is_file() else path


def _unpacked(slide: Slide, path: Path, advance: Callable[[], None]) -> Path:
    """The slide's own file: this one, or of a zip the one that is unpacked from it."""
    return archives.unpack(path, storage.folder(slide.id), advance) if archives.is_archive(path) else path


def close_readers() -> None:
    for reader in _readers.values():
        reader.close()
    _readers.clear()


def load(held: leases.Claim) -> tuple[Slide, Analysis | None]:
    with reading() as session:
        slide = session.get_one(Slide, held.slide_id)
        return slide, session.get(Analysis, held.analysis_id) if held.analysis_id else None


def inspect(held: leases.Claim, lease: Lease, _: Served) -> None:
    """Open the slide in a child and write down what it is, or why it is none."""
    slide, _analysis = load(held)
    path = storage.absolute(slide.file)
    try:
        stamp = storage.stamp(path) if Path(slide.file).is_absolute() else None
        sha256 = storage.sha256(path, lease.advance)
        if slide.sha256 not in (None, sha256):
            raise Gone("slide-file-changed", "the slide's file was changed since it was looked at", "send it anew")
        if slide.declared_sha256 not in (None, sha256):
            detail = f"the file's sha256 is {sha256}, not {slide.declared_sha256} as declared"
            raise SlideRejected("checksum-mismatch", detail, "send the file again")
        info, tissue = _look(slide, _unpacked(slide, path, lease.advance), held.payload.get("mpp"), lease)
    except SlideRejected as error:
        if error.code in OURS or (error.code in PASSING and held.attempts < READER_TRIES):
            raise  # this machine's memory or disk is the cause, or may be: once more, later
        if slide.sha256 is not None or storage.sha256(path, lease.advance) != sha256:
            raise  # these very bytes were a slide before, or are read otherwise by now: no judgement over them
        _reject(held, {"code": error.code, "detail": error.detail, "action": error.action})
        return
    with writing() as session:
        locked = session.get_one(Slide, slide.id, with_for_update={"key_share": True})
        leases.complete(session, held)
        catalog.inspected(session, locked, replace(info, stamp=stamp), sha256, tissue)


def _look(slide: Slide, path: Path, mpp: float | None, lease: Lease) -> tuple[SlideInfo, bytes | None]:
    settings = get_settings()
    seen = storage.readable(path)
    with Reader(path, settings.inspect_seconds, settings.reader_memory_bytes, seen) as reader:
        answer, index = reader.call("inspect")
        known = answer["info"]
        if mpp is not None:
            known = {**known, "mpp_x": mpp, "mpp_y": mpp, "mpp_source": "user"}
        info = SlideInfo.from_dict(known)
        lease.advance()
        folder = storage.folder(slide.id)
        storage.write(folder / "tiles.npz", index)
        storage.write(folder / "thumbnail.jpeg", reader.call("thumbnail", most_px=THUMBNAIL_PX)[1])
        lease.advance()
        if info.mpp_x is None or not _fine_enough(info):
            return info, None
        return info, reader.call("tissue", mpp_x=info.mpp_x, mpp_y=info.mpp_y, scaled=settings.reading == "scaled")[1]


def _fine_enough(info: SlideInfo) -> bool:
    """Coarser slides can be looked at; only their analysis is refused."""
    try:
        info.frame()
    except Invalid:
        return False
    return True


def _reject(held: leases.Claim, reason: dict[str, Any]) -> None:
    with writing() as session:
        slide = session.get_one(Slide, held.slide_id, with_for_update={"key_share": True})
        leases.complete(session, held, {"rejected": reason})
        catalog.rejected(session, slide, reason)
        inspector = Visitor.of_ours(slide.workspace_id, "inspection")
        audit.write(session, inspector, "slide.reject", slide.id, "", code=reason["code"])
    close_readers()
    storage.remove(held.slide_id)


def band(held: leases.Claim, lease: Lease, served: Served) -> None:
    """Score a band's cells."""
    slide, analysis = load(held)
    assert analysis is not None
    info, place = catalog.info_of(slide), grid.Band(**held.payload)
    mask = states.cell_mask(slide, analysis.settings["tissue"])
    regions = [region for region in place.regions() if grid.has_tissue(mask, region)]
    staging = Staging(served.device, AHEAD + 2)  # those that wait, the one that is read, the one that is computed
    loader = RegionLoader(lambda: reader_of(slide), info, regions, staging.send)
    done = band_values(served, place, mask, loader, staging, lease.advance)
    spent = {**done.seconds, "reading": loader.seconds}
    planes = {"values": heatmap.pack(done.values)}
    if done.strangeness is not None:
        planes["strangeness"] = heatmap.pack(done.strangeness)
    with writing() as session:
        cells = int(np.isfinite(done.values).sum())
        states.complete_part(session, held, {"unreadable": done.unreadable, "cells": cells, "seconds": spent}, planes)


def check(held: leases.Claim, lease: Lease, served: Served) -> None:
    """The rotation check on one sampled region, under elements of the network's own group."""
    slide, analysis = load(held)
    assert analysis is not None
    info, payload = catalog.info_of(slide), dict(held.payload)
    seed = payload.pop("seed")
    try:
        pixels: Pixels | None = region_pixels(reader_of(slide), info, grid.Region(**payload))
    except SlideRejected as error:
        if error.code in OURS:
            raise
        pixels = None  # the band that holds these cells reports them
    lease.advance()
    found = _turned(served, pixels, seed) if pixels is not None else _NOTHING_TURNED
    with writing() as session:
        states.complete_part(session, held, json.loads(json.dumps(found).replace("Infinity", "1e30")))


_NOTHING_TURNED = {
    "drift": 0.0,
    "residual": 0.0,
    "tolerance": rotation_check.TOLERANCE,
    "elements": [],
    "spread": None,
    "outside": [],
}


def _turned(served: Served, pixels: Pixels, seed: int) -> dict[str, Any]:
    """Residual under the network's own group, and the spread under a view outside it."""
    group = served.network.group
    own, others = rotation_check.sample_elements(group, seed), rotation_check.sample_outside(group, seed)
    return {
        "drift": engines.drift(served.network, served.reference, pixels[None]),
        "residual": rotation_check.residual(served.checked, pixels, own),
        "tolerance": rotation_check.TOLERANCE,
        "elements": [str(rotation_check.ALL.elements[g]) for g in own],
        "spread": rotation_check.residual(served.checked, pixels, others) if others else None,
        "outside": [str(rotation_check.ALL.elements[g]) for g in others],
    }


def finish(held: leases.Claim, _: Lease, served: Served) -> None:
    """Put the parts together and say what was found."""
    slide, analysis = load(held)
    assert analysis is not None
    info = catalog.info_of(slide)
    with reading() as session:
        logits = states.plane(session, analysis, info)
        strange = states.plane(session, analysis, info, "strangeness")
        rows = states.band_rows(session, analysis.id)
        checks = (
            session.query(Work).filter_by(analysis_id=analysis.id, kind="check", state="done").order_by(Work.ordinal)
        )
        checked = [dict(row.result or {}) for row in checks]
    mask = states.cell_mask(slide, analysis.settings["tissue"])
    results = findings.gather(logits, mask, info, analysis.settings, checked)
    results["calibration"] = served.card.calibration()
    strange = np.where(states.cell_mask(slide, "auto"), strange, np.float32(np.nan))  # of tissue, never of glass
    results["familiarity"] = findings.familiarity(strange, served.strangeness)
    notes = cards.scope_notes(served.card.scope, info, slide.identifiers)
    unfamiliar = findings.unfamiliar_notes(results["familiarity"])
    results["scope_notes"] = [*findings.purpose_notes(served.card), *notes, *unfamiliar]
    unreadable = sum((row.result or {}).get("unreadable", 0) for row in rows)
    results["coverage"]["unreadable_cells"] = unreadable
    broken = findings.too_little_read(results, unreadable)
    with writing() as session:
        if broken is None:
            states.succeed(session, held, results, findings.withhold(logits, mask, results))
        else:
            locked = states.lock(session, analysis.id)
            leases.complete(session, held)
            states.fail(session, locked, broken)


def profile(held: leases.Claim, lease: Lease, served: Served) -> None:
    """Score against angle at one cell, by the weights that made the heat map, on whatever machine."""
    slide, analysis = load(held)
    assert analysis is not None
    made_by = (analysis.provenance or {}).get("weights_sha256")
    if made_by != served.card.digest:
        detail = f"the analysis was made with weights {str(made_by)[:12]}, this worker has {served.card.digest[:12]}"
        raise Unavailable("other-weights", detail, "analyse the slide again")  # another worker may have them
    info, row, col = catalog.info_of(slide), held.payload["row"], held.payload["col"]
    half = WINDOW_PX // 2
    origin = (STRIDE_PX * row - half, STRIDE_PX * col - half)
    window = network_pixels(reader_of(slide), info, origin, (WINDOW_PX, WINDOW_PX))
    lease.advance()
    angles, logits = angle_profile(served.network, window)
    scores = heatmap.to_scores(logits / np.float32(served.card.temperature))
    result = {"angles_deg": angles, "scores": [float(s) for s in scores], "row": row, "col": col}
    with writing() as session:
        leases.complete(session, held, {**result, "spread": float(np.ptp(scores))})


def evaluate(held: leases.Claim, lease: Lease, _: Served) -> None:
    """Hold analyses against what people outlined, slide by slide."""
    slides = []
    for analysis_id in held.payload["analyses"]:
        with reading() as session:
            slides.append(evaluations.measure(session, analysis_id, held.payload))
        lease.advance()
    figure = evaluations.sum_up(slides, held.payload)
    with writing() as session:
        leases.complete(session, held, figure)


HANDLERS: dict[str, Callable[[leases.Claim, Lease, Served], None]] = {
    "inspect": inspect,
    "band": band,
    "check": check,
    "finish": finish,
    "profile": profile,
    "evaluate": evaluate,
}
