"""What a network's card says of its scope, held against what is known of a slide."""

from typing import Any

from core.slide import SlideInfo

OUTSIDE = "outside the network's scope"


def scope_notes(scope: dict[str, Any], info: SlideInfo, identifiers: dict[str, Any]) -> list[dict[str, str]]:
    """Banners for the reader: each with a code and a sentence; empty when nothing is known to be off."""
    notes = []
    organ, stain = identifiers.get("organ"), identifiers.get("stain")
    if organ is None:
        notes.append(
            _note("organ-unknown", f"The network knows {scope['organ']} only; this slide's organ is not stated.")
        )
    elif organ.strip().lower() != scope["organ"]:
        notes.append(
            _note("organ", f"Outside the network's scope: it knows {scope['organ']}, this slide is {organ!r}.")
        )
    if stain is not None and stain.strip().lower().replace("&amp;", "&") not in ("h&e", "he", "hematoxylin and eosin"):
        notes.append(
            _note("stain", f"Outside the network's scope: it knows {scope['stain']}, this slide is {stain!r}.")
        )
    if info.vendor not in (*scope["scanners"], "generic-tiff", "unknown"):
        known = " and ".join(scope["scanners"])
        sentence = f"Outside the network's scope: it was trained on scans of {known}; this one is of {info.vendor}."
        notes.append(_note("scanner", sentence))
    return notes


def _note(code: str, sentence: str) -> dict[str, str]:
    return {"code": code, "sentence": sentence}
