"""tus 1.0.0: core, creation, termination, checksum, expiration. https://tus.io/protocols/resumable-upload

This file has the protocol, core.slides.uploads the bytes. One PATCH writes an upload at a time: a HEAD, DELETE or
second PATCH by a visitor who may write ends the first one, whose client may be long gone, before it answers.
"""

import errno
import json
from email.utils import formatdate
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Request, Response

from api.contract.calls import PREFIX
from api.contract.media import OFFSET_TYPE, TUS_VERSION
from api.contract.problems import UnsupportedType, UnsupportedVersion
from api.contract.slides import UploadOut
from api.metrics import UPLOADED
from api.request import handover
from api.request.handover import UploadWriter
from api.request.trail import Trail
from api.request.transactions import ring
from api.request.visitor import Visitor
from core.database.slides import Slide, Upload
from core.database.transactions import reading, writing
from core.errors import Invalid, NoSpace
from core.settings import get_settings
from core.slides import catalog, storage, uploads
from core.slides import upload_metadata as metadata

router = APIRouter(prefix="/uploads", tags=["uploads (tus)"])
VERSION = {"Tus-Resumable": TUS_VERSION, "Cache-Control": "no-store"}


def _whole_number(name: str, value: str | None) -> int:
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 18:
        raise Invalid("bad-header", f"{name} must be a whole number", f"send {name} as tus {TUS_VERSION} says")
    return int(value)


def _require_tus(version: str | None) -> None:
    if version != TUS_VERSION:
        detail = f"Tus-Resumable must be {TUS_VERSION}"
        raise UnsupportedVersion("tus-version", detail, f"use a tus {TUS_VERSION} client")


def _headers(upload: Upload) -> dict[str, str]:
    headers = {**VERSION, "Upload-Offset": str(upload.offset), "Upload-Length": str(upload.length)}
    if upload.state == "open":
        headers["Upload-Expires"] = formatdate(upload.expires_at, usegmt=True)
    return headers


@router.options("", status_code=204)
@router.options("/{upload_id}", status_code=204)
def get_capabilities() -> Response:
    """The extensions and limits of this server."""
    extensions = "creation,termination,checksum,expiration"
    capabilities = {
        "Tus-Version": TUS_VERSION,
        "Tus-Extension": extensions,
        "Tus-Max-Size": str(get_settings().upload_max_bytes),
        "Tus-Checksum-Algorithm": ",".join(uploads.CHECKSUMS),
    }
    return Response(status_code=204, headers={**VERSION, **capabilities})


@router.post("", status_code=201, response_class=Response)
def create_upload(
    visitor: Visitor,
    request: Request,
    trail: Trail,
    tus_resumable: Annotated[str | None, Header()] = None,
    upload_length: Annotated[str | None, Header()] = None,
    upload_metadata: Annotated[str, Header()] = "",
) -> Response:
    """Creates an upload; metadata keys filename, sha256 and identifiers (JSON). Its address is in Location."""
    _require_tus(tus_resumable)
    length = _whole_number("Upload-Length", upload_length)
    identifiers = _identifiers(metadata.parse(upload_metadata).identifiers)
    with writing() as session:
        upload = uploads.create(session, visitor, length, upload_metadata, identifiers)
        trail.changed(session, upload.id, bytes=length)
    location = f"{request.url.path.rstrip('/')}/{upload.id}"
    return Response(status_code=201, headers={**_headers(upload), "Location": location})


def _identifiers(content: str | None) -> dict[str, str]:
    if not content:
        return {}
    try:
        identifiers = json.loads(content)
    except (ValueError, RecursionError):
        identifiers = None
    if not isinstance(identifiers, dict):
        raise Invalid("bad-metadata", "identifiers is no JSON object", 'send {"accession": "…"}')
    return catalog.clean_identifiers(identifiers)


@router.head("/{upload_id}", status_code=200, response_class=Response)
async def get_offset(
    visitor: Visitor,
    upload_id: str,
    trail: Trail,
    tus_resumable: Annotated[str | None, Header()] = None,
    upload_metadata: Annotated[str, Header()] = "",
) -> Response:
    """The number of safe bytes. Ends a PATCH that still writes, if this visitor may write: its client was cut off.

    Upload-Metadata may name the sha256 of the file that the client resumes with: 409 `other-file` if it is another.
    """
    _require_tus(tus_resumable)
    await to_thread.run_sync(_require, visitor, upload_id, upload_metadata)
    if not visitor.may("analyst"):  # one who only looks neither ends nor completes another's upload
        return Response(headers=await to_thread.run_sync(_read_offset, visitor, upload_id))
    await handover.take_over(upload_id)
    # A PATCH whose last bytes were safe may have died before it finished the upload.
    return Response(headers=await to_thread.run_sync(_finish, visitor, upload_id, trail))


async def _take_over(visitor: Visitor, upload_id: str, resumed: str = "") -> None:
    """Raises NotFound or Gone, or Conflict: the file is another, or the PATCH that writes does not end."""
    await to_thread.run_sync(_require, visitor, upload_id, resumed)
    await handover.take_over(upload_id)


@router.patch("/{upload_id}", status_code=204)
async def append(
    visitor: Visitor,
    upload_id: str,
    request: Request,
    trail: Trail,
    tus_resumable: Annotated[str | None, Header()] = None,
    upload_offset: Annotated[str | None, Header()] = None,
    upload_checksum: Annotated[str | None, Header()] = None,
    upload_metadata: Annotated[str, Header()] = "",
    content_type: Annotated[str | None, Header()] = None,
) -> Response:
    """Appends bytes from Upload-Offset on. The last ones start the inspection; the answer has Location-Slide.

    Upload-Metadata may name the sha256 of the file that the bytes are of: 409 `other-file` if it is another.
    """
    _require_tus(tus_resumable)
    start = _whole_number("Upload-Offset", upload_offset)
    if content_type != OFFSET_TYPE:
        raise UnsupportedType("bad-content-type", f"PATCH takes {OFFSET_TYPE}", f"send Content-Type: {OFFSET_TYPE}")
    await _take_over(visitor, upload_id, upload_metadata)
    writer = handover.begin_writing(upload_id, request.stream())
    try:
        await _write(visitor, upload_id, start, upload_checksum, writer)
    finally:
        await handover.end_writing(upload_id, writer)
    if writer.stalled:
        detail = "no bytes came for too long; those that came are safe"
        raise Invalid("upload-stalled", detail, "read the offset with HEAD and go on there")
    if writer.stopped:
        detail = "another request took this upload over"
        raise Invalid("handed-over", detail, "read the offset with HEAD and go on there")
    return Response(status_code=204, headers=await to_thread.run_sync(_finish, visitor, upload_id, trail))


async def _write(visitor: Visitor, upload_id: str, start: int, checksum: str | None, writer: UploadWriter) -> None:
    file = await to_thread.run_sync(_open, visitor, upload_id, start, checksum)
    complete = False
    try:
        while (batch := await writer.batch()) is not None:
            await to_thread.run_sync(file.write, batch)
            UPLOADED.inc(len(batch))
        complete = writer.complete and not writer.stopped
    except OSError as error:
        raise _no_space(error) from None
    finally:
        await to_thread.run_sync(_close, file, complete)


def _close(file: uploads.Writer, complete: bool) -> None:
    try:
        file.close(complete)
    except OSError as error:
        raise _no_space(error) from None


def _no_space(error: OSError) -> Exception:
    """NoSpace for a full disk, which the sender can act on; any other fault of the disk stays what it is."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return NoSpace("no-space", "the disk is full; what was safe stays safe", "free space, then go on")


def _require(visitor: Visitor, upload_id: str, resumed: str) -> None:
    with reading() as session:
        metadata.require_same_file(uploads.find(session, visitor, upload_id).upload_metadata, resumed)


def _read_offset(visitor: Visitor, upload_id: str) -> dict[str, str]:
    with reading() as session:
        upload = uploads.find(session, visitor, upload_id)
        return {**_headers(upload), **_location(upload)}


def _open(visitor: Visitor, upload_id: str, start: int, checksum: str | None) -> uploads.Writer:
    with reading() as session:
        upload = uploads.find(session, visitor, upload_id)
        slide = session.get_one(Slide, upload.slide_id)
    # The writer reads by itself, after this session: a thread that holds two connections can lock the pool.
    return uploads.Writer(upload, slide, start, checksum)


def _finish(visitor: Visitor, upload_id: str, trail: Trail) -> dict[str, str]:
    """Starts the inspection once all bytes are safe. Returns the headers of the answer."""
    with writing() as session:
        upload = uploads.find(session, visitor, upload_id)
        work = uploads.finish(session, upload_id)
        if work is not None:
            trail.changed(session, upload_id, bytes=upload.length)
        session.refresh(upload)
        headers = {**_headers(upload), **_location(upload)}
    if work is not None:
        ring()
    return headers


def _location(upload: Upload) -> dict[str, str]:
    return {"Location-Slide": f"{PREFIX}/slides/{upload.slide_id}"} if upload.state == "finished" else {}


@router.delete("/{upload_id}", status_code=204)
async def terminate(
    visitor: Visitor, upload_id: str, trail: Trail, tus_resumable: Annotated[str | None, Header()] = None
) -> Response:
    """Gives up an unfinished upload and removes its bytes."""
    _require_tus(tus_resumable)
    await _take_over(visitor, upload_id)
    await to_thread.run_sync(_terminate, visitor, upload_id, trail)
    return Response(status_code=204, headers=VERSION)


def _terminate(visitor: Visitor, upload_id: str, trail: Trail) -> None:
    with writing() as session:
        upload = uploads.find(session, visitor, upload_id)
        uploads.terminate(session, upload)
        trail.changed(session, upload_id)
    storage.remove(upload.slide_id)


@router.get("/{upload_id}")
def get_upload(visitor: Visitor, upload_id: str) -> UploadOut:
    """Returns the state of an upload and, once it is finished, its slide."""
    with reading() as session:
        return UploadOut.from_record(uploads.find(session, visitor, upload_id))
