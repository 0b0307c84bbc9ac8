"""People who sign in with a name and a password. Passwords are kept as argon2id hashes; keys are for programs.

A wrong name costs as much time as a wrong password, and both are refused alike.
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
_hasher = PasswordHasher()
WAIT_SECONDS = 2.0  # in one of the threads that all requests share
_slowly = threading.BoundedSemaphore(2)
_NOBODY = _hasher.hash("nobody has this password")


@dataclass(frozen=True)
class Person:
    """What may be shown of a person."""

    id: str
    login: str
    role: str
    created_at: float


def hash_password(login: str, password: str) -> str:
    """The hash: slow on purpose, so outside any transaction. Raises Invalid for a password that is no password."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid("bad-password", f"a password has {SHORTEST} to {LONGEST} characters", "choose a longer sentence")
    if login.casefold() in password.casefold() or len(set(password)) < SHORTEST // 3:
        raise Invalid("bad-password", "the password is the name, or one thing again and again", "choose another")
    with _slowly:
        return _hasher.hash(password)


def create(session: Session, visitor: Visitor, login: str, role: str, hashed: str) -> Person:
    """A person in the visitor's workspace. Raises Conflict when the name is taken."""
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
    """The workspace's people, by name."""
    found = select(Password, Principal).join(Principal, Password.principal_id == Principal.id)
    mine = found.where(Principal.workspace_id == visitor.workspace_id).order_by(Password.login)
    return [Person(who.id, kept.login, who.role, kept.created_at) for kept, who in session.execute(mine)]


def has_password(session: Session, visitor: Visitor) -> bool:
    """Whether the visitor is a person, not a program with a key."""
    return session.get(Password, visitor.principal_id) is not None


def find(session: Session, visitor: Visitor, person_id: str) -> Password:
    """Raises NotFound."""
    principal, kept = session.get(Principal, person_id), session.get(Password, person_id)
    if principal is None or kept is None or principal.workspace_id != visitor.workspace_id:
        raise NotFound("no-such-person", "there is no such person here", "see GET /api/v1/people")
    return kept


def change_password(session: Session, visitor: Visitor, person_id: str, hashed: str) -> None:
    """A new password; every session of the person ends. Raises NotFound."""
    find(session, visitor, person_id).hash = hashed
    _end_sessions(session, person_id)


def remove(session: Session, visitor: Visitor, person_id: str) -> None:
    """Nobody signs in by this name any more, at once; what the person did stays told. Raises NotFound."""
    session.delete(find(session, visitor, person_id))
    _end_sessions(session, person_id)


def _end_sessions(session: Session, person_id: str) -> None:
    session.execute(update(Credential).where(Credential.principal_id == person_id).values(revoked=True))


@dataclass(frozen=True)
class Proof:
    """Whom a name and a password proved, and by which hash."""

    visitor: Visitor
    hash: str


def authenticate(login: str, password: str) -> Proof:
    """Whom a name and a password prove. Slow on purpose, so outside any transaction, and few at once: 64 MiB each.

    Raises:
        Unauthenticated: nobody. TooMany: others are being recognised, and more wait.
    """
    with reading() as session:
        found = select(Password, Principal).join(Principal, Password.principal_id == Principal.id)
        row = session.execute(found.where(Password.login == login)).first()
    if not _slowly.acquire(timeout=WAIT_SECONDS):
        raise TooMany("too-many-sign-ins", "many sign in at this moment", "try again in a moment")
    try:
        _hasher.verify(row[0].hash if row else _NOBODY, password)
    except (Argon2Error, InvalidHashError):
        row = None
    finally:
        _slowly.release()
    if row is None:
        raise Unauthenticated(*WRONG)
    kept, who = row
    return Proof(Visitor(who.id, who.workspace_id, who.role, who.name), kept.hash)


def confirm(session: Session, proof: Proof) -> Visitor:
    """The same in the transaction that stands on it: nobody changed the password or removed the person meanwhile.

    Raises:
        Unauthenticated: somebody did.
    """
    mine = select(Password).where(Password.principal_id == proof.visitor.principal_id, Password.hash == proof.hash)
    if session.scalars(mine.with_for_update()).first() is None:
        raise Unauthenticated(*WRONG)
    return proof.visitor
