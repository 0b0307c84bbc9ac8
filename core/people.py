"""People who sign in with a name and a password. Passwords are kept as argon2id hashes; keys are for programs.

A wrong name costs as much time as a wrong password, and both are refused alike.
"""

from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.access import Visitor
from core.database import clock, reading
from core.errors import Conflict, Invalid, NotFound, Unauthenticated
from core.records import Credential, Password, Principal

SHORTEST, LONGEST = 12, 200
_hasher = PasswordHasher()
_NOBODY = _hasher.hash("nobody has this password")


@dataclass(frozen=True)
class Person:
    """What may be shown of a person."""

    id: str
    login: str
    role: str
    created_at: float


def _checked(login: str, password: str) -> str:
    """The hash. Raises Invalid for a password that is no password."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid("bad-password", f"a password has {SHORTEST} to {LONGEST} characters", "choose a longer sentence")
    if login.casefold() in password.casefold() or len(set(password)) < SHORTEST // 3:
        raise Invalid("bad-password", "the password is the name, or one thing again and again", "choose another")
    return _hasher.hash(password)


def create(session: Session, visitor: Visitor, login: str, role: str, password: str) -> Person:
    """A person in the visitor's workspace. Raises Invalid, and Conflict when the name is taken."""
    hashed = _checked(login, password)
    if session.scalars(select(Password).where(Password.login == login)).first() is not None:
        raise Conflict("name-taken", f"there is a person {login!r} already", "choose another name")
    principal = Principal(workspace_id=visitor.workspace_id, name=login, role=role)
    session.add(principal)
    session.flush()
    created = clock(session)
    session.add(Password(principal_id=principal.id, login=login, hash=hashed, created_at=created))
    session.flush()
    return Person(principal.id, login, role, created)


def listed(session: Session, visitor: Visitor) -> list[Person]:
    """The workspace's people, by name."""
    found = select(Password, Principal).join(Principal, Password.principal_id == Principal.id)
    mine = found.where(Principal.workspace_id == visitor.workspace_id).order_by(Password.login)
    return [Person(who.id, kept.login, who.role, kept.created_at) for kept, who in session.execute(mine)]


def _find(session: Session, visitor: Visitor, person_id: str) -> Password:
    principal, kept = session.get(Principal, person_id), session.get(Password, person_id)
    if principal is None or kept is None or principal.workspace_id != visitor.workspace_id:
        raise NotFound("no-such-person", "there is no such person here", "see GET /api/v1/people")
    return kept


def change_password(session: Session, visitor: Visitor, person_id: str, password: str) -> None:
    """A new password; every session of the person ends. Raises NotFound or Invalid."""
    kept = _find(session, visitor, person_id)
    kept.hash = _checked(kept.login, password)
    _end_sessions(session, person_id)


def remove(session: Session, visitor: Visitor, person_id: str) -> None:
    """Nobody signs in by this name any more, at once; what the person did stays told. Raises NotFound."""
    session.delete(_find(session, visitor, person_id))
    _end_sessions(session, person_id)


def _end_sessions(session: Session, person_id: str) -> None:
    session.execute(update(Credential).where(Credential.principal_id == person_id).values(revoked=True))


def recognise(login: str, password: str) -> Visitor:
    """Whom a name and a password prove. Slow on purpose, so outside any transaction.

    Raises:
        Unauthenticated: nobody.
    """
    with reading() as session:
        found = select(Password, Principal).join(Principal, Password.principal_id == Principal.id)
        row = session.execute(found.where(Password.login == login)).first()
    try:
        _hasher.verify(row[0].hash if row else _NOBODY, password)
    except (Argon2Error, InvalidHashError):
        row = None
    if row is None:
        raise Unauthenticated(
            "not-signed-in", "the name or the password is wrong", "try again, or ask an administrator"
        )
    who = row[1]
    return Visitor(who.id, who.workspace_id, who.role, who.name)
