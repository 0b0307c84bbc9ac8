"""Resumable uploads: the records and bytes behind the tus protocol (https://tus.io, spoken by api.routes.uploads).

The offset in the row is the truth: the bytes before it are durably on disk and, where a checksum came with them,
verified. After a kill the file may be longer; bytes beyond the offset are written again.
"""

import base64
import binascii
import errno
import fcntl
import hashlib
import os
from contextlib import ExitStack
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
from core.slides import catalog, deletion, durable, inspection, storage, upload_metadata

DURABLE_EVERY = 8 << 20
CHECKSUMS = ("sha256", "sha1", "md5")


def create(session: Session, visitor: Visitor, length: int, header: str, identifiers: dict[str, str]) -> Upload:
    """Creates an upload, its slide's record and an empty file.

    Raises:
        Invalid: no bytes, or bad metadata. TooLarge, NoSpace: of the length. TooMany: over the principal's quota.
    """
    settings, metadata = get_settings(), upload_metadata.parse(header)
    if length <= 0:
        raise Invalid("empty-upload", "an upload of no bytes is not a slide", "choose a file that is not empty")
    if length > settings.upload_max_bytes:
        detail = f"{length} bytes are over the limit of {settings.upload_max_bytes}"
        action, most = "raise QUARTERTURN_UPLOAD_MAX_BYTES, if this is a slide", settings.upload_max_bytes
        raise TooLarge("upload-too-large", detail, action, bytes=length, most_bytes=most)
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
    """Returns an upload of the visitor's workspace.

    Raises:
        NotFound: the workspace has no such upload. Gone: it was terminated, or has expired.
    """
    upload = session.get(Upload, upload_id)
    if upload is None or upload.workspace_id != visitor.workspace_id:
        missing = Foreign if upload else NotFound
        raise missing("no-such-upload", "there is no such upload here", "create one with POST")
    if upload.state in ("terminated", "expired"):
        raise Gone("upload-gone", f"this upload was {upload.state}", "create a new one with POST")
    return upload


class Writer:
    """Appends the body of one PATCH to an upload's file. `close` makes the bytes durable and moves the offset.

    A lock on the file makes it the only writer: as long as it lives, others are refused, in whatever process.

    Raises:
        Conflict: another request writes, or the offset is not the upload's. Invalid: the checksum's form.
    """

    def __init__(self, upload: Upload, slide: Slide, offset: int, checksum: str | None) -> None:
        self.id, self.length, self.offset, self.start = upload.id, upload.length, offset, offset
        self.digest, self.expected = _checksum(checksum)
        with ExitStack() as opened:
            self.file: BinaryIO = opened.enter_context(storage.absolute(slide.file).open("r+b"))
            _lock(self.file)
            self._require_offset()
            self.file.truncate(offset)
            self.file.seek(offset)
            opened.pop_all()  # the file stays open from here on

    def _require_offset(self) -> None:
        """Reads the offset again under the lock: it may have moved while this request waited for it."""
        with reading() as session:
            upload = session.get_one(Upload, self.id)
            if upload.state != "open" or upload.offset != self.offset:
                detail = f"the offset is {upload.offset}, not {self.offset}"
                action = "ask for the offset with HEAD and continue there"
                raise Conflict("wrong-offset", detail, action, offset=upload.offset, sent_offset=self.offset)

    def write(self, chunk: bytes) -> None:
        """Appends bytes, and commits now and then where no checksum must be verified first.

        Raises:
            TooLarge: past the declared length. OSError: the disk is full, say.
        """
        if self.offset + len(chunk) > self.length:
            detail = f"the upload was declared as {self.length} bytes, and more were sent"
            raise TooLarge("past-the-end", detail, "start again", declared_bytes=self.length)
        self.file.write(chunk)
        if self.digest is not None:
            self.digest.update(chunk)
        # A commit costs an fsync and a transaction, so it is made once in DURABLE_EVERY bytes.
        before, self.offset = self.offset, self.offset + len(chunk)
        if self.digest is None and before // DURABLE_EVERY != self.offset // DURABLE_EVERY:
            self._commit()

    def close(self, complete: bool) -> None:
        """Commits the bytes at the end of the body (`complete`) or of the connection, without those not verified.

        Raises:
            ChecksumMismatch: the bytes are not those of Upload-Checksum; the offset has not moved.
        """
        try:
            if self.digest is not None and (not complete or self.digest.digest() != self.expected):
                self.file.truncate(self.start)
                if complete:
                    raise ChecksumMismatch(
                        "checksum-mismatch", "the bytes are not those of Upload-Checksum", "send them again"
                    )
                return
            self._commit()
        finally:
            self.file.close()

    def _commit(self) -> None:
        # Bytes first, offset second: after a power cut the offset never counts bytes that are not on the disk.
        self.file.flush()
        os.fsync(self.file.fileno())
        with writing() as session:
            expires = now() + get_settings().upload_expires_hours * 3600
            query = update(Upload).where(Upload.id == self.id, Upload.state == "open", Upload.offset <= self.offset)
            session.execute(query.values(offset=self.offset, expires_at=expires))


def _lock(file: BinaryIO) -> None:
    """Locks a file until it is closed or its process ends.

    A file system without locks (some network shares) is accepted: with one API process nothing else writes there.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict("upload-busy", "another request still writes this upload", "try again in a moment") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise


class ChecksumMismatch(Invalid):
    """Answered with tus' own status, 460."""


def _checksum(header: str | None) -> "tuple[hashlib._Hash | None, bytes]":
    if header is None:
        return None, b""
    name, _, value = header.partition(" ")
    if name not in CHECKSUMS:
        raise Invalid(
            "unknown-checksum", f"the checksum algorithm {name!r} is not supported", f"use one of {CHECKSUMS}"
        )
    try:
        return hashlib.new(name, usedforsecurity=False), base64.b64decode(value, validate=True)
    except binascii.Error:
        raise Invalid("bad-checksum", "the checksum is not base64", "encode it again") from None


def finish(session: Session, upload_id: str) -> Work | None:
    """Opens the inspection of an upload whose bytes are complete. Returns None when that was done, or they are not."""
    catalog.lock_row(session, session.get_one(Slide, upload_id))
    query = update(Upload).where(Upload.id == upload_id, Upload.state == "open", Upload.offset == Upload.length)
    if not affected_rows(session, query.values(state="finished")):
        return None
    upload = session.get_one(Upload, upload_id)
    return inspection.begin(session, session.get_one(Slide, upload.slide_id), upload.length)


def terminate(session: Session, upload: Upload, state: str = "terminated", *still: ColumnElement[bool]) -> None:
    """Ends an unfinished upload, and with it the slide's record.

    Args:
        still: further conditions on the row, checked in the same statement.

    Raises:
        Conflict: the upload is finished, or a condition no longer holds.
    """
    slide = session.get_one(Slide, upload.slide_id)
    catalog.lock_row(session, slide)
    # One UPDATE decides between this and a last PATCH that completes the upload at the same moment.
    ended = update(Upload).where(Upload.id == upload.id, Upload.state == "open", *still)
    if not affected_rows(session, ended.values(state=state)):
        raise Conflict("upload-finished", "the upload is finished", "delete the slide instead")
    deletion.forget(session, slide)


def finish_complete() -> int:
    """Finishes uploads whose bytes are complete and whose last request ended early. Returns how many."""
    with reading() as session:
        ids = list(session.scalars(select(Upload.id).where(Upload.state == "open", Upload.offset == Upload.length)))
    for upload_id in ids:
        with writing() as session:
            if finish(session, upload_id) is not None:
                _audit_finish(session, upload_id)
    return len(ids)


def _audit_finish(session: Session, upload_id: str) -> None:
    """Audits the end of an upload in the name of its sender, whose request ended before it could."""
    slide = session.get_one(Slide, upload_id)
    sender = session.get(Principal, slide.created_by)
    if sender is not None:
        visitor = Visitor(sender.id, slide.workspace_id, sender.role, sender.name)
        audit.write(session, visitor, "upload.finish", upload_id, "", bytes=slide.size_bytes)


def expire() -> int:
    """Ends uploads that were not continued in time. Returns how many."""
    late = Upload.expires_at < now()
    with reading() as session:
        ids = list(session.scalars(select(Upload.id).where(Upload.state == "open", late)))
    return sum(_expire(upload_id, late) for upload_id in ids)


def _expire(upload_id: str, late: ColumnElement[bool]) -> bool:
    """Ends one upload. Returns False when it was continued meanwhile."""
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
