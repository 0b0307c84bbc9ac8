"""Finds slide files of the same bytes, which are one slide for the service, whatever their names are.

Each slide is sent once, with the outlines that one of its copies has. Two different outlines for the same bytes, or a
copy whose name fits several files, leave it unclear which are the slide's: none of the copies is evaluated.
"""

from collections import defaultdict
from pathlib import Path

from cli.camelyon_folder import Join, SlideFile, digest_or_none
from cli.client import file_digest


def join_copies(joined: Join) -> dict[SlideFile, str]:
    """Leaves one slide of each content in a join; returns the others with the reason. Raises OSError.

    Slides that are unclear by their copies, and the outlines of these, move to the unclear ones of the join.
    """
    copies: dict[SlideFile, str] = {}
    for group in _groups(joined):
        if len(group) > 1:
            copies.update(_join_group(joined, group))
    return copies


def by_content(slides: set[SlideFile], all_slides: list[SlideFile]) -> set[SlideFile]:
    """Returns some slides of a folder and all copies of them."""
    digests = {digest_or_none(slide) for slide in slides} - {None}
    return slides | {slide for slide in all_slides if digests and digest_or_none(slide) in digests}


def _groups(joined: Join) -> list[list[SlideFile]]:
    """The slides of each content, by name. A file that cannot be read is in none; its upload reports it."""
    groups: dict[str, list[SlideFile]] = defaultdict(list)
    slides = [*(slide for slide, _ in joined.pairs), *joined.lone_slides, *joined.unclear_slides]
    for slide in sorted(slides, key=lambda slide: slide.name):
        if digest := digest_or_none(slide):
            groups[digest].append(slide)
    return list(groups.values())


def _join_group(joined: Join, group: list[SlideFile]) -> dict[SlideFile, str]:
    """The copies of a group that are not sent, with the reason."""
    pairs = [(slide, path) for slide, path in joined.pairs if slide in group]
    unclear = [slide for slide in group if slide in joined.unclear_slides]
    if unclear or len({file_digest(path) for _, path in pairs}) > 1:
        _make_unclear(joined, group, pairs, unclear)
        return {}
    first = pairs[0][0] if pairs else group[0]
    _remove(joined, [slide for slide in group if slide is not first])
    return {slide: f"the file is the same as {first.name}, byte by byte" for slide in group if slide is not first}


def _make_unclear(
    joined: Join, group: list[SlideFile], pairs: list[tuple[SlideFile, Path]], unclear: list[SlideFile]
) -> None:
    names = ", ".join([slide.name for slide in group] + [path.name for _, path in pairs])
    cause = "the outlines of one of them are unclear" if unclear else "their outlines differ"
    reason = f"files of the same bytes, and {cause}: {names}"
    for slide in group:
        joined.unclear_slides.setdefault(slide, reason)
    joined.unclear_outlines.update({path: reason for _, path in pairs})
    _remove(joined, group)


def _remove(joined: Join, slides: list[SlideFile]) -> None:
    """Takes slides out of the pairs and the lone ones."""
    joined.pairs = [(slide, path) for slide, path in joined.pairs if slide not in slides]
    joined.lone_slides = [slide for slide in joined.lone_slides if slide not in slides]
