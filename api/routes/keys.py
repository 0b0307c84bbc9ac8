"""API keys, created and revoked by administrators. The secret of a key is in the answer that creates it, nowhere else.

A key's role is the most that it may do; its scopes, if it has any, limit it to a part of that (api.contract.calls).
"""

from fastapi import APIRouter

from api.contract.people import KeyOut, KeyRequest
from api.request.change import Change
from api.request.transactions import Read
from api.request.visitor import Visitor
from core.access import keys

router = APIRouter(prefix="/keys", tags=["keys"])
DAY_SECONDS = 86_400


@router.get("")
def list_keys(session: Read, visitor: Visitor) -> list[KeyOut]:
    """Returns the workspace's keys, newest first, without their secrets."""
    return [KeyOut.from_key(key) for key in keys.list_keys(session, visitor)]


@router.post("", status_code=201)
def create_key(change: Change, request: KeyRequest) -> KeyOut:
    """Creates a key. Keep the secret: only its hash is stored, and a replay of this call answers without it."""
    change.begin(request)
    seconds = None if request.expires_days is None else request.expires_days * DAY_SECONDS
    key, secret = keys.create_key(change.session, change.visitor, request.name, request.role, seconds, request.scopes)
    change.audit(key.id, name=key.name, role=key.role, scopes=request.scopes)
    return change.answer(KeyOut.from_key(key, secret), stored=KeyOut.from_key(key))


@router.delete("/{key_id}", status_code=204)
def revoke_key(change: Change, key_id: str) -> None:
    """Revokes a key and the sessions that it opened, at once. Tiles may be served to it for another second."""
    change.begin()
    if keys.revoke_key(change.session, change.visitor, key_id):
        change.audit(key_id)
