"""Brings the slides of a folder into the service, each by itself, so that one that fails does not end the others.

Nothing is done twice: a slide whose sha256 the service has is not uploaded, and an analysis by the same weights with
the same settings is used, or followed while it runs.
"""

from pathlib import Path
from typing import Any

from cli.camelyon_folder import SlideFile
from cli.client import Client, ServiceError, digest_of, failure, is_usable

NO_TUMOUR = b'{"positive": [], "negative": []}'
AGAIN = "delete the slide there to send the file again"
NOT_INSPECTED, NOT_AS_DECLARED = "inspect-failed", "checksum-mismatch"  # codes of rejections


class Batch:
    """One run over a folder.

    Attributes:
        ignored: {name of outlines: marks of theirs that are no outlines, as the service lists them}.
    """

    def __init__(self, client: Client, model: str | None, groups: dict[str, list[str]]) -> None:
        """Args: groups: readings of groups, as PUT annotation takes them. Raises ServiceError: no such network."""
        self.client, self.groups = client, groups
        self.card = _card(client, model)
        self.ignored: dict[str, list[dict[str, Any]]] = {}
        self._slides = _by_digest(client)

    def evaluable(self, file: SlideFile, outlines: Path | None, exhaustive: bool) -> str:
        """Returns the id of an analysis with results of a slide whose outlines the service has. Raises ServiceError."""
        slide = self._slide(file)
        self._outline(slide, outlines, exhaustive)
        analysis = self._analysis(slide)
        if reason := failure(analysis):
            raise ServiceError(reason)
        return str(analysis["id"])

    def _slide(self, file: SlideFile) -> dict[str, Any]:
        """The slide of a file, uploaded unless the service has it."""
        slide = self._slides.get(file.digest)
        reason = (slide or {}).get("reason") or {"code": None}
        if slide is None or reason["code"] == NOT_AS_DECLARED:  # bytes changed on their way
            return self.client.wait_for_slide(self.client.upload(file.path, {"organ": "lymph node"}))
        if reason["code"] == NOT_INSPECTED:
            self.client.call("POST", f"/api/v1/slides/{slide['id']}/inspect")
        elif slide["state"] == "rejected":
            raise ServiceError(f"the slide was rejected in an earlier run: {reason['detail']}; {AGAIN}")
        return self.client.wait_for_slide(slide["id"])

    def _outline(self, slide: dict[str, Any], outlines: Path | None, exhaustive: bool) -> None:
        """Sends a slide's outlines, or that it has none. Outlines that only the service has are not erased."""
        place = f"/api/v1/slides/{slide['id']}/annotation"
        if outlines is None and self._has_outlines(place):
            raise ServiceError(f"the folder has no outlines of it, and the service has: add them, or DELETE {place}")
        content = NO_TUMOUR if outlines is None else outlines.read_bytes()
        parameters = {"exhaustive": exhaustive, **self.groups}
        try:
            answer = self.client.body("PUT", place, params=parameters, content=content)
        except ServiceError as error:
            raise ServiceError(f"{outlines.name if outlines else 'no outlines'}: {error}") from None
        if outlines and answer["ignored"]:
            self.ignored[outlines.name] = answer["ignored"]

    def _has_outlines(self, place: str) -> bool:
        """Raises ServiceError where the service does not say it: taken for none, they would be erased."""
        stored = self.client.find(place)
        return stored is not None and bool(stored["polygons"])

    def _analysis(self, slide: dict[str, Any]) -> dict[str, Any]:
        """An ended analysis of a slide by the network that is offered now: the newest there is, or a new one."""
        for analysis in self.client.body("GET", f"/api/v1/slides/{slide['id']}/analyses"):
            if self._fits(analysis):
                if analysis["state"] in ("failed", "cancelled"):  # finished bands stay finished
                    self.client.call("POST", f"/api/v1/analyses/{analysis['id']}/retry")
                return self.client.follow(analysis["id"])
        return self.client.analyse(slide["id"], model=self.card["name"])

    def _fits(self, analysis: dict[str, Any]) -> bool:
        """Whether a new analysis would give the same: same weights, threshold and tissue."""
        weights = (analysis["provenance"] or {}).get("weights_sha256", self.card["digest"])  # null until it has begun
        settings = analysis["settings"]
        same_settings = settings["threshold"] == self.card["threshold"] and settings["tissue"] == "auto"
        return analysis["model"] == self.card["name"] and weights == self.card["digest"] and bool(same_settings)


def _card(client: Client, model: str | None) -> dict[str, Any]:
    """The card of a network that a worker offers; the default's when none is named."""
    client.wait_for_worker()
    offers = client.body("GET", "/api/v1/models")
    cards = {card["name"]: card for card in offers["models"]}
    name = model or offers["default"]
    if name not in cards:
        raise ServiceError(f"no worker offers the network {name!r}: choose one of {', '.join(sorted(cards))}")
    return dict(cards[name])


def _by_digest(client: Client) -> dict[str, dict[str, Any]]:
    """All slides of the workspace by sha256: of several of one file the newest that is usable, or the newest."""
    slides: dict[str, dict[str, Any]] = {}
    for slide in client.slides():
        digest = digest_of(slide)
        if digest and (digest not in slides or (is_usable(slide) and not is_usable(slides[digest]))):
            slides[digest] = slide
    return slides
