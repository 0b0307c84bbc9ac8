"""Turns what went wrong in the reader child into the errors of the domain. Loaded by the child alone.

OpenSlide has one error class and free text. The text decides between a fault of the storage, a lack of memory, a slide
that is not supported and a slide that is damaged. A text that is none of the first three counts as damage.
"""

import errno
import re
import struct
from pathlib import Path

import openslide

from core.errors import QuarterturnError, SlideRejected, SlideUnreadable, SlideUnsupported
from core.pixels import native_tiles
from core.reader.exit_status import OUT_OF_MEMORY, out_of_memory, storage_fault
from core.reader.redaction import bounded, paths_of_slide, without_paths, without_quotations

# Not "Unsupported marker type": libjpeg says so of a marker that no JPEG has, in a file that is damaged.
NOT_SUPPORTED = re.compile(
    r"unsupported(?! marker type)|(not|n't) (yet )?(supported|implemented)|unknown compression", re.IGNORECASE
)
STORAGE = re.compile(r"I/O error|Input/output error|Stale file handle|Remote I/O", re.IGNORECASE)
FORMATS = "send SVS, NDPI, SCN, BIF, DICOM or pyramidal TIFF; MRXS, VMS and DICOM series as a zip of all files"
COPY = "export or copy it again"


def domain_error(error: Exception, path: Path) -> QuarterturnError:
    """The domain's error for whatever reading a slide raised; `path`: the slide's file."""
    if isinstance(error, QuarterturnError):
        return error
    if isinstance(error, openslide.OpenSlideError):
        return from_openslide(error, path, "a part of the slide is damaged")
    if isinstance(error, MemoryError):
        return out_of_memory()
    if isinstance(error, OSError) and error.errno is not None:  # Pillow's errors of a damaged picture have no number
        return out_of_memory() if error.errno == errno.ENOMEM else storage_fault(error.strerror or "")
    return SlideUnreadable("unreadable", f"the slide cannot be read ({type(error).__name__})", COPY)


def from_openslide(error: openslide.OpenSlideError, path: Path, damage: str) -> QuarterturnError:
    """OpenSlide's own reason, bounded, without paths and quotations. `damage`: what to call it for a damaged file."""
    # Quotations go before the text decides: a file whose content says "I/O error" has not failed to be read.
    words = bounded(without_quotations(without_paths(str(error), paths_of_slide(path))))
    if OUT_OF_MEMORY.search(words):
        return out_of_memory()
    if STORAGE.search(words):
        return storage_fault(words)
    if NOT_SUPPORTED.search(words):
        action = "export it in another format or compression (JPEG in SVS or pyramidal TIFF)"
        return SlideUnsupported("unsupported", f"OpenSlide cannot read this slide: {words}", action)
    return SlideUnreadable("unreadable", f"{damage}: {words}", COPY)


def not_a_slide(path: Path) -> SlideRejected:
    """The error of a file in which OpenSlide recognises no format.

    It gives the same answer for a file that vanished and for a TIFF that was cut off.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            native_tiles.native_levels(file)
        except (ValueError, struct.error):
            detail = "the file is a TIFF that was cut off or is damaged: its directories point outside of it"
            return SlideUnreadable("not-a-slide", detail, COPY)
    return SlideUnsupported("not-a-slide", "this is not a whole-slide image that OpenSlide can read", FORMATS)
