"""People of a workspace, who sign in with a name and a password (core.access.passwords). Programs use keys."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.access.visitor import Visitor
from core.database.people import Credential, Password, Principal
from core.database.transactions import clock
from core.errors import Conflict, NotFound


@dataclass(frozen=True)
class Person:
    """What may be shown of a person. `created_at` in seconds since 1970."""

    id: str
    login: str
    role: str
    created_at: float


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
