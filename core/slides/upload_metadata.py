"""Upload-Metadata of tus: the file's name, its digest and the slide's identifiers."""

import base64
import binascii
from dataclasses import dataclass

from core.errors import Conflict, Invalid
from core.slides.catalog import clean_filename

LONGEST_METADATA = 4096


@dataclass(frozen=True)
class Metadata:
    """Upload-Metadata of a file. `identifiers` is JSON text, not parsed yet."""

    filename: str
    sha256: str | None
    identifiers: str | None


def parse(header: str) -> Metadata:
    """Parses tus' Upload-Metadata: comma-separated pairs `key base64`.

    Raises:
        Invalid: another form, too long, or a value that is not UTF-8.
    """
    if len(header) > LONGEST_METADATA:
        raise Invalid("bad-metadata", f"Upload-Metadata is longer than {LONGEST_METADATA} characters", "shorten it")
    values: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            values[key] = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise Invalid("bad-metadata", f"the value of {key!r} is not base64 of UTF-8", "encode it again") from None
    sha256 = values.get("sha256", "").lower() or None
    if sha256 is not None and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
        raise Invalid("bad-metadata", "sha256 is not 64 hexadecimal digits", "send the file's SHA-256 or none")
    return Metadata(clean_filename(values.get("filename", values.get("name", ""))), sha256, values.get("identifiers"))


def require_same_file(declared: str, resumed: str) -> None:
    """Compares the sha256 that a resumed upload names with the one it was created with, each in its Upload-Metadata.

    Names and sizes do not tell two files apart, and bytes of two files joined are no slide. Without either digest
    nothing is compared here, and the inspection compares the whole file with the declared one.

    Raises:
        Conflict: the client resumes with another file. Invalid: bad metadata.
    """
    first, now = parse(declared).sha256, parse(resumed).sha256
    if first is None or now is None or first == now:
        return
    detail = f"this upload is of the file with sha256 {first}, and the file sent now has {now}"
    action = "go on with the first file, or create an upload of its own for this one"
    raise Conflict("other-file", detail, action, declared_sha256=first, sha256=now)
