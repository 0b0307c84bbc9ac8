"""Who is there: principals, and the secrets that prove them. A secret is 256 random bits; only its hash is kept.

API keys look like qt_…; a one-time link's token opens one browser session and is then used up.
"""

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from core.access.visitor import SCOPES, Kind, Scope, Visitor
from core.database.people import Credential, Principal
from core.database.record import DEFAULT_WORKSPACE, Workspace
from core.database.transactions import affected_rows, clock, now, writing
from core.errors import NotFound, Unauthenticated
from core.settings import get_settings

SHORTEST_OWN_KEY = 32
KEY_ID = 16


def secret_hash(secret: str) -> str:
    """The hash that stands for a secret. Its 256 bits need no salt and no slow function."""
    return hashlib.sha256(secret.encode()).hexdigest()


def ensure_administrator(session: Session) -> Principal:
    """The default workspace's administrator, made on first use."""
    if session.get(Workspace, DEFAULT_WORKSPACE) is None:
        session.add(Workspace(id=DEFAULT_WORKSPACE, name="Default"))
        session.flush()
    found = session.scalars(select(Principal).where(Principal.name == "administrator")).first()
    if found is None:
        found = Principal(workspace_id=DEFAULT_WORKSPACE, name="administrator", role="admin")
        session.add(found)
        session.flush()
    return found


def adopt_key(session: Session, secret: str) -> None:
    """Make the operator's own key the administrator's; one that was adopted before is revoked.

    Raises:
        ValueError: it is shorter than 32 characters.
    """
    if len(secret) < SHORTEST_OWN_KEY:
        raise ValueError(f"QUARTERTURN_ADMIN_KEY is shorter than {SHORTEST_OWN_KEY} characters: choose a longer one")
    hashed = secret_hash(secret)
    earlier = update(Credential).where(Credential.adopted, Credential.hash != hashed)
    session.execute(earlier.values(revoked=True))
    principal, created = ensure_administrator(session), clock(session)
    known = session.get(Credential, hashed)
    if known is None:
        session.add(Credential(hash=hashed, kind="key", principal_id=principal.id, created_at=created, adopted=True))
    else:
        known.revoked, known.adopted = False, True


def issue(session: Session, principal_id: str, kind: Kind, seconds: float | None, parent: str | None = None) -> str:
    """A new secret; this is the only time that it is seen. `parent`: the secret that it ends with, and whose scopes it
    has."""
    secret = ("qt_" if kind == "key" else "") + secrets.token_urlsafe(32)
    created = clock(session)
    expires = None if seconds is None else created + seconds
    hashed = secret_hash(secret)
    times = {"created_at": created, "expires_at": expires}
    above = None if parent is None else session.get_one(Credential, secret_hash(parent))
    lineage = {"parent": above.hash, "scopes": above.scopes} if above else {}
    session.add(Credential(hash=hashed, kind=kind, principal_id=principal_id, **lineage, **times))
    return secret


@dataclass(frozen=True)
class ApiKey:
    """What may be shown of an API key. `id` is the beginning of its hash."""

    id: str
    name: str
    role: str
    scopes: tuple[str, ...] | None
    revoked: bool
    created_at: float
    expires_at: float | None
    used_at: float | None


def _key_query(visitor: Visitor) -> Select[Credential, Principal]:
    found = select(Credential, Principal).join(Principal, Credential.principal_id == Principal.id)
    return found.where(Credential.kind == "key", Principal.workspace_id == visitor.workspace_id)


def _api_key(credential: Credential, principal: Principal) -> ApiKey:
    key_id, revoked = credential.hash[:KEY_ID], bool(credential.revoked)
    times = (credential.created_at, credential.expires_at, credential.used_at)
    return ApiKey(key_id, principal.name, principal.role, _scopes(credential), revoked, *times)


def _scopes(credential: Credential) -> tuple[str, ...] | None:
    return None if credential.scopes is None else tuple(credential.scopes)


def lock_principal(session: Session, principal_id: str) -> None:
    """Until the transaction ends, nobody else holds this principal: what it has is summed up, and added to, in turn."""
    session.execute(select(Principal.id).where(Principal.id == principal_id).with_for_update(key_share=True))


def list_keys(session: Session, visitor: Visitor) -> list[ApiKey]:
    """The workspace's API keys, newest first."""
    return [_api_key(*row) for row in session.execute(_key_query(visitor).order_by(Credential.created_at.desc()))]


def create_key(
    session: Session, visitor: Visitor, name: str, role: str, seconds: float | None, scopes: list[Scope] | None = None
) -> tuple[ApiKey, str]:
    """A key of a principal of its own in the visitor's workspace, and its secret.

    Raises:
        Forbidden: it would be for more than the visitor's own key is.
    """
    if visitor.scopes is not None and not (scopes and set(scopes) <= set(visitor.scopes)):
        visitor.require_all_scopes()
    principal = Principal(workspace_id=visitor.workspace_id, name=name, role=role)
    session.add(principal)
    session.flush()
    secret = issue(session, principal.id, "key", seconds)
    session.flush()
    made = session.get_one(Credential, secret_hash(secret))
    made.scopes = None if scopes is None else [known for known in SCOPES if known in scopes]
    return _api_key(made, principal), secret


def revoke_key(session: Session, visitor: Visitor, key_id: str) -> bool:
    """Revoke a key of the workspace at once; doing it twice is no error, and False.

    Raises:
        NotFound: there is no such key here.
    """
    found = _key_query(visitor).where(func.substr(Credential.hash, 1, KEY_ID) == key_id)
    row = session.execute(found).first()
    if row is None:
        raise NotFound("no-such-key", "there is no such key here", "see GET /api/v1/keys")
    before, row[0].revoked = row[0].revoked, True
    return not before


def authenticate(session: Session, secret: str, kind: Kind) -> Visitor:
    """Whom a secret proves.

    Raises:
        Unauthenticated: nobody; unknown, expired and revoked secrets answer alike.
    """
    parent = aliased(Credential)
    query = (
        select(Principal, Credential)
        .join(Credential, Credential.principal_id == Principal.id)
        .outerjoin(parent, Credential.parent == parent.hash)
        .where(Credential.hash == secret_hash(secret), Credential.kind == kind, *_is_valid(Credential))
        .where(or_(Credential.parent.is_(None), and_(*_is_valid(parent))))
    )
    row = session.execute(query).first()
    if row is None:
        raise Unauthenticated("not-signed-in", "the key or session is unknown, expired or revoked", "sign in again")
    found, proof = row
    return Visitor(found.id, found.workspace_id, found.role, found.name, _scopes(proof))


def _is_valid(credential: type[Credential]) -> tuple[ColumnElement[bool], ...]:
    return ~credential.revoked, or_(credential.expires_at.is_(None), credential.expires_at > now())


def record_use(secret: str) -> None:
    """A key or session is in use now."""
    with writing() as session:
        session.execute(update(Credential).where(Credential.hash == secret_hash(secret)).values(used_at=now()))


def revoke(session: Session, secret: str) -> bool:
    """Revoke a secret at once; True for the one caller who did it."""
    query = update(Credential).where(Credential.hash == secret_hash(secret), ~Credential.revoked)
    return bool(affected_rows(session, query.values(revoked=True)))


def open_session(session: Session, link: str) -> tuple[Visitor, str]:
    """Trade a one-time link's token for a browser session's secret.

    Raises:
        Unauthenticated: the token is unknown, used or expired.
    """
    visitor = authenticate(session, link, "link")
    if not revoke(session, link):
        raise Unauthenticated("link-used", "this sign-in link was used already", "restart for a new one")
    return visitor, issue(session, visitor.principal_id, "session", get_settings().session_hours * 3600)


def create_sign_in_link(session: Session, path: str = "/") -> str:
    """A one-time link for the administrator to a page; its token stands in the fragment, which no server sees."""
    settings = get_settings()
    principal = ensure_administrator(session)
    token = issue(session, principal.id, "link", settings.link_minutes * 60)
    return f"{settings.base_url()}{path}#token={token}"
