"""People, who sign in with a name and a password. Programs use API keys (core.access.keys).

Passwords are stored as argon2id hashes (RFC 9106). An unknown name takes as long as a wrong password and gets the same
answer, so that neither the time nor the text says which names exist.
"""

import threading
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.access.visitor import Visitor
from core.database.people import Credential, Password, Principal
from core.database.transactions import clock, reading
from core.errors import Conflict, Invalid, NotFound, TooMany, Unauthenticated

SHORTEST, LONGEST = 12, 200
WRONG = ("not-signed-in", "the name or the password is wrong", "try again, or ask an administrator")
# Verifying takes 64 MiB and tens of milliseconds in one of the threads that all requests share: two run at once, and
# a third waits this long before it is refused, so that sign-ins cannot take every thread.
WAIT_SECONDS = 2.0
_argon2_slots = threading.BoundedSemaphore(2)
_hasher = PasswordHasher()
_HASH_OF_NOBODY = _hasher.hash("nobody has this password")  # verified for an unknown name, to take the same time


@dataclass(frozen=True)
class Person:
    """What may be shown of a person. `created_at` in seconds since 1970."""

    id: str
    login: str
    role: str
    created_at: float


@dataclass(frozen=True)
class Proof:
    """The visitor whose password was verified, and the hash that it was verified against."""

    visitor: Visitor
    hash: str


def hash_password(login: str, password: str) -> str:
    """Returns the hash of a new password. Slow by design: call it outside any transaction.

    Raises:
        Invalid: it is too short or too long, contains the name, or repeats a few characters.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid("bad-password", f"a password has {SHORTEST} to {LONGEST} characters", "choose a longer sentence")
    if login.casefold() in password.casefold() or len(set(password)) < SHORTEST // 3:
        raise Invalid("bad-password", "the password contains the name or repeats a few characters", "choose another")
    with _argon2_slots:
        return _hasher.hash(password)


def create(session: Session, visitor: Visitor, login: str, role: str, hashed: str) -> Person:
    """Creates a person in the visitor's workspace.

    Raises:
        Conflict: the name is taken.
    """
    if session.scalars(select(Password).where(Password.login == login)).first() is not None:
        raise Conflict("name-taken", f"there is a person {login!r} already", "choose another name")
    principal = Principal(workspace_id=visitor.workspace_id, name=login, role=role)
    session.add(principal)
    session.flush()
    created = clock(session)
    session.add(Password(principal_id=principal.id, login=login, hash=hashed, created_at=created))
    session.flush()
    return Person(principal.id, login, role, created)


def list_people(session: Session, visitor: Visitor) -> list[Person]:
    """Returns the workspace's people, by name."""
    query = select(Password, Principal).join(Principal, Password.principal_id == Principal.id)
    rows = session.execute(query.where(Principal.workspace_id == visitor.workspace_id).order_by(Password.login))
    return [Person(principal.id, password.login, principal.role, password.created_at) for password, principal in rows]


def has_password(session: Session, visitor: Visitor) -> bool:
    """Whether the visitor is a person, not a program with a key."""
    return session.get(Password, visitor.principal_id) is not None


def find(session: Session, visitor: Visitor, person_id: str) -> Password:
    """Returns the password row of a person in the visitor's workspace.

    Raises:
        NotFound: there is no such person there.
    """
    principal, password = session.get(Principal, person_id), session.get(Password, person_id)
    # Another workspace's person gets the same answer as none, so that ids cannot be probed.
    if principal is None or password is None or principal.workspace_id != visitor.workspace_id:
        raise NotFound("no-such-person", "there is no such person here", "see GET /api/v1/people")
    return password


def change_password(session: Session, visitor: Visitor, person_id: str, hashed: str) -> None:
    """Stores a new password and ends every session of the person.

    Raises:
        NotFound: there is no such person in the visitor's workspace.
    """
    find(session, visitor, person_id).hash = hashed
    _end_sessions(session, person_id)


def remove(session: Session, visitor: Visitor, person_id: str) -> None:
    """Ends a person's access at once. The principal stays, and so does what the audit says of it.

    Raises:
        NotFound: there is no such person in the visitor's workspace.
    """
    session.delete(find(session, visitor, person_id))
    _end_sessions(session, person_id)


def _end_sessions(session: Session, person_id: str) -> None:
    # All of a person's credentials are sessions: keys have principals of their own.
    session.execute(update(Credential).where(Credential.principal_id == person_id).values(revoked=True))


def authenticate(login: str, password: str) -> Proof:
    """Verifies a name and a password. Slow by design: call it outside any transaction.

    Raises:
        Unauthenticated: the name or the password is wrong.
        TooMany: other sign-ins are being verified, and this one waited too long for its turn.
    """
    # The transaction ends before the slow part, which would keep a connection of the pool meanwhile.
    with reading() as session:
        query = select(Password, Principal).join(Principal, Password.principal_id == Principal.id)
        row = session.execute(query.where(Password.login == login)).first()
    if not _argon2_slots.acquire(timeout=WAIT_SECONDS):
        raise TooMany("too-many-sign-ins", "too many sign-ins are under way", "try again in a moment")
    try:
        _hasher.verify(row[0].hash if row else _HASH_OF_NOBODY, password)
    except (Argon2Error, InvalidHashError):
        row = None
    finally:
        _argon2_slots.release()
    if row is None:
        raise Unauthenticated(*WRONG)
    stored, principal = row
    return Proof(Visitor(principal.id, principal.workspace_id, principal.role, principal.name), stored.hash)


def confirm(session: Session, proof: Proof) -> Visitor:
    """Checks in the transaction that relies on a proof that the password is still the one that was verified.

    The row stays locked until the transaction ends, so that a change of the password waits for it.

    Raises:
        Unauthenticated: the password was changed or the person removed since.
    """
    mine = select(Password).where(Password.principal_id == proof.visitor.principal_id, Password.hash == proof.hash)
    if session.scalars(mine.with_for_update()).first() is None:
        raise Unauthenticated(*WRONG)
    return proof.visitor
