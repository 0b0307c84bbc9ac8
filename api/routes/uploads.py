"""tus 1.0.0: core, creation, termination, checksum, expiration. https://tus.io/protocols/resumable-upload

The protocol stands here, the bytes in core.slides.uploads. One PATCH writes an upload at a time: a HEAD, DELETE or
second PATCH ends the first one (whose client may be long gone) before it answers.
"""

import asyncio
import errno
import json
from email.utils import formatdate
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Request, Response

from api.contract.problems import UnsupportedType, UnsupportedVersion
from api.contract.values import iso
from api.metrics import UPLOADED
from api.request.handover import Holder
from api.request.trail import Told, Trail
from api.request.transactions import ring
from api.request.visitor import Analyst, Who
from core.database.slides import Slide, Upload
from core.database.transactions import reading, writing
from core.errors import Conflict, Invalid, NoSpace
from core.settings import get_settings
from core.slides import catalog, storage, uploads

router = APIRouter(prefix="/uploads", tags=["uploads (tus)"])
VERSION = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}
OFFSET_TYPE = "application/offset+octet-stream"
HANDOVER_SECONDS = 10.0
_holders: "dict[str, Holder]" = {}


def _whole_number(name: str, value: str | None) -> int:
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 18:
        raise Invalid("bad-header", f"{name} must be a whole number", f"send {name} as tus 1.0.0 says")
    return int(value)


def _require_tus(version: str | None) -> None:
    if version != "1.0.0":
        raise UnsupportedVersion("tus-version", "Tus-Resumable must be 1.0.0", "use a tus 1.0.0 client")


def _headers(upload: Upload) -> dict[str, str]:
    found = {**VERSION, "Upload-Offset": str(upload.offset), "Upload-Length": str(upload.length)}
    if upload.state == "open":
        found["Upload-Expires"] = formatdate(upload.expires_at, usegmt=True)
    return found


@router.options("", status_code=204)
@router.options("/{upload_id}", status_code=204)
def capabilities() -> Response:
    """What this server can do."""
    extensions = "creation,termination,checksum,expiration"
    known = {
        "Tus-Version": "1.0.0",
        "Tus-Extension": extensions,
        "Tus-Max-Size": str(get_settings().upload_max_bytes),
        "Tus-Checksum-Algorithm": ",".join(uploads.CHECKSUMS),
    }
    return Response(status_code=204, headers={**VERSION, **known})


@router.post("", status_code=201, response_class=Response)
def create(
    visitor: Analyst,
    request: Request,
    told: Told,
    tus_resumable: Annotated[str | None, Header()] = None,
    upload_length: Annotated[str | None, Header()] = None,
    upload_metadata: Annotated[str, Header()] = "",
) -> Response:
    """A new upload; metadata keys filename, sha256 and identifiers (JSON). Answers its address in Location."""
    _require_tus(tus_resumable)
    length = _whole_number("Upload-Length", upload_length)
    identifiers = _identifiers(uploads.parse_metadata(upload_metadata).identifiers)
    with writing() as session:
        upload = uploads.create(session, visitor, length, upload_metadata, identifiers)
        told.changed(session, "upload.create", upload.id, bytes=length)
    location = f"{request.url.path.rstrip('/')}/{upload.id}"
    return Response(status_code=201, headers={**_headers(upload), "Location": location})


def _identifiers(content: str | None) -> dict[str, str]:
    if not content:
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid("bad-metadata", "identifiers is no JSON object", 'send {"accession": "…"}')
    return catalog.clean_identifiers(found)


@router.head("/{upload_id}", status_code=200, response_class=Response)
async def offset(
    visitor: Who, upload_id: str, told: Told, tus_resumable: Annotated[str | None, Header()] = None
) -> Response:
    """How many bytes are safe. Ends a PATCH that still holds the upload: its client asks because it was cut off."""
    _require_tus(tus_resumable)
    await _hand_over(visitor, upload_id)
    # A PATCH whose last bytes were safe may have died before it said so.
    return Response(headers=await to_thread.run_sync(_finish, visitor, upload_id, told))


def _location(upload: Upload, slide: Slide) -> dict[str, str]:
    return {"Location-Slide": f"/api/v1/slides/{slide.id}"} if upload.state == "finished" else {}


async def _hand_over(visitor: Who, upload_id: str) -> None:
    """Ask the PATCH that holds this upload, if any, to stop, and wait until its bytes are safe.

    It is never cut off in the middle of a write or a commit. Of several that wait here one goes on first and becomes
    the holder before another looks: there is no await between.
    Raises NotFound or Gone (there is none for this visitor) or Conflict (the holder does not end).
    """
    await to_thread.run_sync(_require, visitor, upload_id)
    while (holder := _holders.get(upload_id)) is not None:
        holder.stop()
        try:
            await asyncio.wait_for(holder.ended.wait(), HANDOVER_SECONDS)
        except TimeoutError:
            raise Conflict("upload-busy", "another request still writes this upload", "try again in a moment") from None


@router.patch("/{upload_id}", status_code=204)
async def append(
    visitor: Analyst,
    upload_id: str,
    request: Request,
    told: Told,
    tus_resumable: Annotated[str | None, Header()] = None,
    upload_offset: Annotated[str | None, Header()] = None,
    upload_checksum: Annotated[str | None, Header()] = None,
    content_type: Annotated[str | None, Header()] = None,
) -> Response:
    """Bytes from Upload-Offset on. The last one hands the slide to inspection and answers Location-Slide."""
    _require_tus(tus_resumable)
    start = _whole_number("Upload-Offset", upload_offset)
    if content_type != OFFSET_TYPE:
        raise UnsupportedType("bad-content-type", f"PATCH takes {OFFSET_TYPE}", f"send Content-Type: {OFFSET_TYPE}")
    await _hand_over(visitor, upload_id)
    holder = _holders[upload_id] = Holder(request.stream())
    try:
        await _write(visitor, upload_id, start, upload_checksum, holder)
    finally:
        await holder.end()
        del _holders[upload_id]
    if holder.stalled:
        raise Invalid(
            "upload-stalled", "no bytes came for too long; those that came are safe", "ask with HEAD, go on there"
        )
    if holder.stopped:
        raise Invalid("handed-over", "another request took this upload over", "ask with HEAD and go on there")
    return Response(status_code=204, headers=await to_thread.run_sync(_finish, visitor, upload_id, told))


async def _write(visitor: Who, upload_id: str, start: int, checksum: str | None, holder: Holder) -> None:
    writer = await to_thread.run_sync(_open, visitor, upload_id, start, checksum)
    whole = False
    try:
        while (batch := await holder.batch()) is not None:
            await to_thread.run_sync(writer.write, batch)
            UPLOADED.inc(len(batch))
        whole = holder.whole and not holder.stopped
    except OSError as error:
        raise _no_space(error) from None
    finally:
        await to_thread.run_sync(_close, writer, whole)


def _close(writer: uploads.Writer, whole: bool) -> None:
    try:
        writer.close(whole)
    except OSError as error:
        raise _no_space(error) from None


def _no_space(error: OSError) -> Exception:
    """A full disk is the sender's to know of; any other fault of the disk stays what it is."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return NoSpace("no-space", "the disk is full; what was safe stays safe", "free space, then go on")


def _require(visitor: Who, upload_id: str) -> None:
    with reading() as session:
        uploads.find(session, visitor, upload_id)


def _open(visitor: Who, upload_id: str, start: int, checksum: str | None) -> uploads.Writer:
    with reading() as session:
        upload = uploads.find(session, visitor, upload_id)
        slide = session.get_one(Slide, upload.slide_id)
    return uploads.Writer(upload, slide, start, checksum)  # it looks for itself: two connections held at once can lock


def _finish(visitor: Who, upload_id: str, told: Trail) -> dict[str, str]:
    with writing() as session:
        upload = uploads.find(session, visitor, upload_id)
        work = uploads.finish(session, upload_id)
        if work is not None:
            told.changed(session, "upload.finish", upload_id, bytes=upload.length)
        session.refresh(upload)
        headers = {**_headers(upload), **_location(upload, session.get_one(Slide, upload.slide_id))}
    if work is not None:
        ring()
    return headers


@router.delete("/{upload_id}", status_code=204)
async def terminate(
    visitor: Analyst, upload_id: str, told: Told, tus_resumable: Annotated[str | None, Header()] = None
) -> Response:
    """Give an unfinished upload up; its bytes are removed."""
    _require_tus(tus_resumable)
    await _hand_over(visitor, upload_id)
    await to_thread.run_sync(_terminate, visitor, upload_id, told)
    return Response(status_code=204, headers=VERSION)


def _terminate(visitor: Who, upload_id: str, told: Trail) -> None:
    with writing() as session:
        upload = uploads.find(session, visitor, upload_id)
        uploads.terminate(session, upload)
        told.changed(session, "upload.terminate", upload_id)
    storage.remove(upload.slide_id)


@router.get("/{upload_id}")
def state(visitor: Who, upload_id: str) -> dict[str, Any]:
    """Where an upload stands, and its slide."""
    with reading() as session:
        upload = uploads.find(session, visitor, upload_id)
        known = {"id": upload.id, "state": upload.state, "offset": upload.offset, "length": upload.length}
        finished = upload.state == "finished"
        return {**known, "slide_id": upload.slide_id if finished else None, "expires_at": iso(upload.expires_at)}
