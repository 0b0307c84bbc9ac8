"""API keys: made and revoked by administrators. A secret is shown once, in the answer that made it.

A key's role says what it may do at most; its scopes, if it has any, for what part of that it is (api.contract.scopes).
"""

from fastapi import APIRouter, Response

from api.contract.people import KeyOut, KeyRequest
from api.request.once import OnlyOnce
from api.request.trail import Told
from api.request.transactions import Read, Write
from api.request.visitor import Admin
from core.access import keys
from core.access.idempotency import Answer

router = APIRouter(prefix="/keys", tags=["keys"])


@router.get("")
def listed(session: Read, visitor: Admin) -> list[KeyOut]:
    """The workspace's keys, newest first, without their secrets."""
    return [KeyOut.of(known) for known in keys.list_keys(session, visitor)]


@router.post("", status_code=201)
def create(session: Write, visitor: Admin, wanted: KeyRequest, once: OnlyOnce, told: Told) -> KeyOut:
    """A new key. Keep the secret: it is not kept here, and a replay of this call answers without it."""
    seconds = None if wanted.expires_days is None else wanted.expires_days * 86_400

    def produce() -> Answer:
        key, secret = keys.create_key(session, visitor, wanted.name, wanted.role, seconds, wanted.scopes)
        told.changed(session, "key.create", key.id, name=key.name, role=key.role, scopes=wanted.scopes)
        return KeyOut.of(key, secret).model_dump()

    return KeyOut(**once(wanted, produce, keep=lambda answer: {**answer, "key": None}))


@router.delete("/{key_id}", status_code=204)
def revoke(session: Write, visitor: Admin, key_id: str, once: OnlyOnce, told: Told) -> Response:
    """Revoke a key at once (tiles may be served to it for another second)."""

    def produce() -> Answer:
        if keys.revoke_key(session, visitor, key_id):
            told.changed(session, "key.revoke", key_id)
        return {}

    once(None, produce)
    return Response(status_code=204)
