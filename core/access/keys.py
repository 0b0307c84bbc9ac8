"""API keys of a workspace: list, create and revoke them."""

from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from core.access.credentials import issue, secret_hash
from core.access.visitor import SCOPES, Scope, Visitor
from core.database.people import Credential, Principal
from core.errors import NotFound

# Hexadecimal digits: 64 bits name a key among a workspace's, and say nothing about the secret behind the hash.
ID_LENGTH = 16


@dataclass(frozen=True)
class ApiKey:
    """What may be shown of an API key. `id` is the beginning of its hash; times are seconds since 1970."""

    id: str
    name: str
    role: str
    scopes: tuple[str, ...] | None
    revoked: bool
    created_at: float
    expires_at: float | None
    used_at: float | None

    @classmethod
    def from_records(cls, credential: Credential, principal: Principal) -> "ApiKey":
        return cls(
            id=credential.hash[:ID_LENGTH],
            name=principal.name,
            role=principal.role,
            scopes=None if credential.scopes is None else tuple(credential.scopes),
            revoked=bool(credential.revoked),
            created_at=credential.created_at,
            expires_at=credential.expires_at,
            used_at=credential.used_at,
        )


def _query(visitor: Visitor) -> Select[Credential, Principal]:
    query = select(Credential, Principal).join(Principal, Credential.principal_id == Principal.id)
    return query.where(Credential.kind == "key", Principal.workspace_id == visitor.workspace_id)


def list_keys(session: Session, visitor: Visitor) -> list[ApiKey]:
    """Returns the workspace's API keys, newest first."""
    rows = session.execute(_query(visitor).order_by(Credential.created_at.desc()))
    return [ApiKey.from_records(*row) for row in rows]


def create_key(
    session: Session, visitor: Visitor, name: str, role: str, seconds: float | None, scopes: list[Scope] | None = None
) -> tuple[ApiKey, str]:
    """Creates a key with a principal of its own in the visitor's workspace; returns it and its secret.

    Raises:
        Forbidden: its scopes would exceed those of the visitor's own key.
    """
    if visitor.scopes is not None and not (scopes and set(scopes) <= set(visitor.scopes)):
        visitor.require_all_scopes()
    principal = Principal(workspace_id=visitor.workspace_id, name=name, role=role)
    session.add(principal)
    session.flush()
    secret = issue(session, principal.id, "key", seconds)
    session.flush()
    credential = session.get_one(Credential, secret_hash(secret))
    # In the order of SCOPES and without repetitions, however the request listed them.
    credential.scopes = None if scopes is None else [scope for scope in SCOPES if scope in scopes]
    return ApiKey.from_records(credential, principal), secret


def revoke_key(session: Session, visitor: Visitor, key_id: str) -> bool:
    """Revokes a key of the workspace at once; False when it was revoked already.

    Raises:
        NotFound: the workspace has no such key.
    """
    row = session.execute(_query(visitor).where(func.substr(Credential.hash, 1, ID_LENGTH) == key_id)).first()
    if row is None:
        raise NotFound("no-such-key", "there is no such key here", "see GET /api/v1/keys")
    before, row[0].revoked = row[0].revoked, True
    return not before
