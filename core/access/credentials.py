"""Credentials: the secrets that authenticate a principal. A secret is 256 random bits, of which only a hash is stored.

Three kinds: an API key (`qt_…`), a browser session, and a one-time link, whose token opens one session and is then
revoked.
"""

import hashlib
import secrets

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session, aliased

from core.access.visitor import Kind, Visitor
from core.database.people import Credential, Principal
from core.database.record import DEFAULT_WORKSPACE, Workspace
from core.database.transactions import affected_rows, clock, now, writing
from core.errors import Invalid, Unauthenticated
from core.settings import SHORTEST_ADMIN_KEY, get_settings

SECRET_BYTES = 32


def secret_hash(secret: str) -> str:
    """Returns the hash under which a secret is stored.

    A plain SHA-256: 256 random bits cannot be guessed, so neither a salt nor a slow function adds anything.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def ensure_administrator(session: Session) -> Principal:
    """Returns the default workspace's administrator, created on first use."""
    if session.get(Workspace, DEFAULT_WORKSPACE) is None:
        session.add(Workspace(id=DEFAULT_WORKSPACE, name="Default"))
        session.flush()
    administrator = session.scalars(select(Principal).where(Principal.name == "administrator")).first()
    if administrator is None:
        administrator = Principal(workspace_id=DEFAULT_WORKSPACE, name="administrator", role="admin")
        session.add(administrator)
        session.flush()
    return administrator


def adopt_key(session: Session, secret: str) -> None:
    """Gives the administrator the key that the operator set, and revokes the one that was set before.

    Raises:
        Invalid: it is shorter than 32 characters.
    """
    if len(secret) < SHORTEST_ADMIN_KEY:
        detail = f"QUARTERTURN_ADMIN_KEY is shorter than {SHORTEST_ADMIN_KEY} characters"
        raise Invalid("short-admin-key", detail, "choose a longer one")
    hashed = secret_hash(secret)
    # A key that the operator replaced must stop working, or replacing a leaked one would not help.
    earlier = update(Credential).where(Credential.adopted, Credential.hash != hashed)
    session.execute(earlier.values(revoked=True))
    principal, created = ensure_administrator(session), clock(session)
    stored = session.get(Credential, hashed)
    if stored is None:
        session.add(Credential(hash=hashed, kind="key", principal_id=principal.id, created_at=created, adopted=True))
    else:
        stored.revoked, stored.adopted = False, True


def issue(session: Session, principal_id: str, kind: Kind, seconds: float | None, parent: str | None = None) -> str:
    """Stores a new credential and returns its secret, which cannot be read again.

    Args:
        seconds: until it expires; None: never.
        parent: the secret of the key that a session is opened with. The session has its scopes and ends with it.
    """
    secret = ("qt_" if kind == "key" else "") + secrets.token_urlsafe(SECRET_BYTES)
    # The prefix lets scanners for leaked secrets recognise a key.
    created = clock(session)
    times = {"created_at": created, "expires_at": None if seconds is None else created + seconds}
    key = None if parent is None else session.get_one(Credential, secret_hash(parent))
    inherited = {"parent": key.hash, "scopes": key.scopes} if key else {}
    session.add(Credential(hash=secret_hash(secret), kind=kind, principal_id=principal_id, **inherited, **times))
    return secret


def lock_principal(session: Session, principal_id: str) -> None:
    """Locks a principal's row until the transaction ends.

    What a principal has is summed up and added to under this lock, so that two requests at once cannot both fit into
    the same quota. FOR NO KEY UPDATE: rows that only refer to the principal need not wait.
    """
    session.execute(select(Principal.id).where(Principal.id == principal_id).with_for_update(key_share=True))


def authenticate(session: Session, secret: str, kind: Kind) -> Visitor:
    """Returns the visitor that a secret authenticates.

    Raises:
        Unauthenticated: the secret is unknown, expired or revoked, or so is the key that opened the session. The
            answer is the same for all, so that it says nothing about which secrets exist.
    """
    # The key that opened a session is checked at every request: revoking it ends its sessions at once.
    parent = aliased(Credential)
    query = (
        select(Principal, Credential)
        .join(Credential, Credential.principal_id == Principal.id)
        .outerjoin(parent, Credential.parent == parent.hash)
        .where(Credential.hash == secret_hash(secret), Credential.kind == kind, *_is_valid(Credential))
        .where(or_(Credential.parent.is_(None), and_(*_is_valid(parent))))
    )
    # The lookup is by hash: how long it takes depends on the hash of the guess, which tells nothing about a secret.
    row = session.execute(query).first()
    if row is None:
        raise Unauthenticated("not-signed-in", "the key or session is unknown, expired or revoked", "sign in again")
    principal, credential = row
    scopes = None if credential.scopes is None else tuple(credential.scopes)
    return Visitor(principal.id, principal.workspace_id, principal.role, principal.name, scopes)


def _is_valid(credential: type[Credential]) -> tuple[ColumnElement[bool], ...]:
    # By the database's clock, like the times that it is compared with.
    return ~credential.revoked, or_(credential.expires_at.is_(None), credential.expires_at > now())


def record_use(secret: str) -> None:
    """Stores that a credential is in use now."""
    with writing() as session:
        session.execute(update(Credential).where(Credential.hash == secret_hash(secret)).values(used_at=now()))


def revoke(session: Session, secret: str) -> bool:
    """Revokes a secret at once. True for exactly one caller, so a one-time link opens one session."""
    query = update(Credential).where(Credential.hash == secret_hash(secret), ~Credential.revoked)
    return bool(affected_rows(session, query.values(revoked=True)))


def open_session_by_link(session: Session, token: str) -> tuple[Visitor, str]:
    """Trades a one-time link's token for a browser session; returns the visitor and the session's secret.

    Raises:
        Unauthenticated: the token is unknown, used or expired.
    """
    visitor = authenticate(session, token, "link")
    if not revoke(session, token):  # another request was faster: one UPDATE decides which
        raise Unauthenticated("link-used", "this sign-in link was used already", "restart for a new one")
    return visitor, issue(session, visitor.principal_id, "session", get_settings().session_hours * 3600)


def create_sign_in_link(session: Session, path: str = "/") -> str:
    """Returns a one-time link that signs the administrator in and leads to a page.

    The token is in the fragment, which browsers do not send (RFC 9110, section 4.2.5): no server or proxy logs it.
    """
    settings = get_settings()
    principal = ensure_administrator(session)
    token = issue(session, principal.id, "link", settings.link_minutes * 60)
    return f"{settings.base_url()}{path}#token={token}"
