"""Resumable uploads: the record and the bytes behind the tus protocol (which lives in api.routes.uploads).

The offset in the row is the truth: bytes up to it are durably on disk and, where a checksum came with them, verified.
The file may be longer after a kill; what stands beyond the offset is written again.
"""

import base64
import binascii
import errno
import fcntl
import hashlib
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from core.access import audit, quotas
from core.access.visitor import Visitor
from core.database.analyses import Work
from core.database.people import Principal
from core.database.slides import Slide, Upload
from core.database.transactions import affected_rows, clock, now, reading, writing
from core.errors import Conflict, Foreign, Gone, Invalid, NotFound, TooLarge
from core.settings import get_settings
from core.slides import catalog, deletion, durable, inspection, storage

DURABLE_EVERY = 8 << 20
CHECKSUMS = ("sha256", "sha1", "md5")
LONGEST_METADATA = 4096


@dataclass(frozen=True)
class Metadata:
    """What a client says of a file: its name, and perhaps its sha256 and identifiers (JSON)."""

    filename: str
    sha256: str | None
    identifiers: str | None


def parse_metadata(header: str) -> Metadata:
    """tus' Upload-Metadata: comma-separated `key base64` pairs.

    Raises:
        Invalid: not of that form, a value that is not UTF-8, or no usable file name.
    """
    if len(header) > LONGEST_METADATA:
        raise Invalid("bad-metadata", f"Upload-Metadata is longer than {LONGEST_METADATA} characters", "shorten it")
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise Invalid("bad-metadata", f"the value of {key!r} is not base64 of UTF-8", "encode it anew") from None
    sha256 = found.get("sha256", "").lower() or None
    if sha256 is not None and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
        raise Invalid("bad-metadata", "sha256 is not 64 hexadecimal digits", "send the file's SHA-256 or none")
    return Metadata(
        catalog.clean_filename(found.get("filename", found.get("name", ""))), sha256, found.get("identifiers")
    )


def create(session: Session, visitor: Visitor, length: int, header: str, identifiers: dict[str, str]) -> Upload:
    """A new upload and its slide's record.

    Raises:
        Invalid, TooLarge, TooMany, NoSpace.
    """
    settings, metadata = get_settings(), parse_metadata(header)
    if length <= 0:
        raise Invalid("empty-upload", "a slide of no bytes cannot be sent", "choose a file that is not empty")
    if length > settings.upload_max_bytes:
        told = f"{length} bytes are over the limit of {settings.upload_max_bytes}"
        raise TooLarge("upload-too-large", told, "raise QUARTERTURN_UPLOAD_MAX_BYTES, if this is a slide")
    quotas.require_slide_quota(session, visitor, length)
    storage.require_space(length)
    started = clock(session)
    slide = Slide(
        workspace_id=visitor.workspace_id,
        filename=metadata.filename,
        file="",
        declared_sha256=metadata.sha256,
        created_by=visitor.principal_id,
        identifiers=identifiers,
        created_at=started,
        updated_at=started,
    )
    session.add(slide)
    session.flush()
    slide.file = storage.slide_file(slide.id, metadata.filename)
    upload = Upload(
        id=slide.id,
        workspace_id=visitor.workspace_id,
        slide_id=slide.id,
        length=length,
        upload_metadata=header,
        expires_at=started + settings.upload_expires_hours * 3600,
    )
    session.add(upload)
    durable.create_empty(storage.absolute(slide.file))
    return upload


def find(session: Session, visitor: Visitor, upload_id: str) -> Upload:
    """An upload of the visitor's workspace.

    Raises:
        NotFound: none such.
        Gone: terminated or expired.
    """
    upload = session.get(Upload, upload_id)
    if upload is None or upload.workspace_id != visitor.workspace_id:
        missing = Foreign if upload else NotFound
        raise missing("no-such-upload", "there is no such upload here", "create one with POST")
    if upload.state in ("terminated", "expired"):
        raise Gone("upload-gone", f"this upload was {upload.state}", "create a new one with POST")
    return upload


class Writer:
    """Appends one PATCH to an upload's file. `close` makes what came durable and moves the offset.

    It alone writes the file: another one, in whatever process, is refused as long as this one lives.

    Raises:
        Conflict: another writes, or the offset is another one. Invalid: the checksum's form.
    """

    def __init__(self, upload: Upload, slide: Slide, offset: int, checksum: str | None) -> None:
        self.id, self.length, self.offset, self.start = upload.id, upload.length, offset, offset
        self.digest, self.expected = _checksum(checksum)
        with ExitStack() as opened:
            self.file: BinaryIO = opened.enter_context(storage.absolute(slide.file).open("r+b"))
            _hold(self.file)
            self._require_offset()
            self.file.truncate(offset)
            self.file.seek(offset)
            opened.pop_all()  # it stays open: all is well

    def _require_offset(self) -> None:
        """What counts now that nobody else writes."""
        with reading() as session:
            now_open = session.get_one(Upload, self.id)
            if now_open.state != "open" or now_open.offset != self.offset:
                told = f"the offset is {now_open.offset}, not {self.offset}"
                raise Conflict("wrong-offset", told, "ask with HEAD and go on there")

    def write(self, chunk: bytes) -> None:
        """Raises TooLarge past the declared length, OSError when the disk is full."""
        if self.offset + len(chunk) > self.length:
            raise TooLarge(
                "past-the-end", f"the upload was declared as {self.length} bytes and more came", "start anew"
            )
        self.file.write(chunk)
        if self.digest is not None:
            self.digest.update(chunk)
        before, self.offset = self.offset, self.offset + len(chunk)
        if self.digest is None and before // DURABLE_EVERY != self.offset // DURABLE_EVERY:
            self._commit()

    def close(self, whole: bool) -> None:
        """The end of the body (`whole`), or of the connection; unverified bytes are dropped.

        Raises:
            ChecksumMismatch: the bytes are not what Upload-Checksum says; the offset has not moved.
        """
        try:
            if self.digest is not None and (not whole or self.digest.digest() != self.expected):
                self.file.truncate(self.start)
                if whole:
                    raise ChecksumMismatch(
                        "checksum-mismatch", "the bytes are not what Upload-Checksum says", "send again"
                    )
                return
            self._commit()
        finally:
            self.file.close()

    def _commit(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        with writing() as session:
            expires = now() + get_settings().upload_expires_hours * 3600
            query = update(Upload).where(Upload.id == self.id, Upload.state == "open", Upload.offset <= self.offset)
            session.execute(query.values(offset=self.offset, expires_at=expires))


def _hold(file: BinaryIO) -> None:
    """Until the file is closed, or its process is killed. A file system without locks leaves it at one API process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict("upload-busy", "another request still writes this upload", "try again in a moment") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise


class ChecksumMismatch(Invalid):
    """tus' own status, 460."""


def _checksum(header: str | None) -> "tuple[hashlib._Hash | None, bytes]":
    if header is None:
        return None, b""
    name, _, value = header.partition(" ")
    if name not in CHECKSUMS:
        raise Invalid("unknown-checksum", f"the checksum algorithm {name!r} is not known", f"use one of {CHECKSUMS}")
    try:
        return hashlib.new(name, usedforsecurity=False), base64.b64decode(value, validate=True)
    except binascii.Error:
        raise Invalid("bad-checksum", "the checksum is not base64", "encode it anew") from None


def finish(session: Session, upload_id: str) -> Work | None:
    """When all bytes are here: hand the slide to inspection, once."""
    catalog.lock_row(session, session.get_one(Slide, upload_id))
    query = update(Upload).where(Upload.id == upload_id, Upload.state == "open", Upload.offset == Upload.length)
    if not affected_rows(session, query.values(state="finished")):
        return None
    upload = session.get_one(Upload, upload_id)
    return inspection.uploaded(session, session.get_one(Slide, upload.slide_id), upload.length)


def terminate(session: Session, upload: Upload, state: str = "terminated", *still: ColumnElement[bool]) -> None:
    """End an unfinished upload; its slide's record goes with it.

    Args:
        still: what must be true besides, at the very moment.

    Raises:
        Conflict: it is finished (or no longer so); delete the slide instead.
    """
    slide = session.get_one(Slide, upload.slide_id)
    catalog.lock_row(session, slide)
    ended = update(Upload).where(Upload.id == upload.id, Upload.state == "open", *still)
    if not affected_rows(session, ended.values(state=state)):
        raise Conflict("upload-finished", "the upload is finished", "delete the slide instead")
    deletion.forget(session, slide)


def finish_complete() -> int:
    """Hand over uploads whose bytes are all here and of which nobody said so; returns how many."""
    with reading() as session:
        found = list(session.scalars(select(Upload.id).where(Upload.state == "open", Upload.offset == Upload.length)))
    for upload_id in found:
        with writing() as session:
            if finish(session, upload_id) is not None:
                _tell_finished(session, upload_id)
    return len(found)


def _tell_finished(session: Session, upload_id: str) -> None:
    """Whoever sent the last bytes was cut off before it was told: it is told here, in the sender's name."""
    slide = session.get_one(Slide, upload_id)
    sender = session.get(Principal, slide.created_by)
    if sender is not None:
        visitor = Visitor(sender.id, slide.workspace_id, sender.role, sender.name)
        audit.write(session, visitor, "upload.finish", upload_id, "", bytes=slide.size_bytes)


def expire() -> int:
    """End uploads that nobody went on with; returns how many."""
    late = Upload.expires_at < now()
    with reading() as session:
        found = list(session.scalars(select(Upload.id).where(Upload.state == "open", late)))
    return sum(_expire(upload_id, late) for upload_id in found)


def _expire(upload_id: str, late: ColumnElement[bool]) -> bool:
    """False when somebody went on with it in the meantime."""
    try:
        with writing() as session:
            upload = session.get_one(Upload, upload_id)
            terminate(session, upload, "expired", late)
            keeper = Visitor.internal(upload.workspace_id, "retention")
            audit.write(session, keeper, "upload.expire", upload_id, "")
    except Conflict:
        return False
    storage.remove(upload_id)
    return True
