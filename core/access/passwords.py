"""Sign-in of people with a name and a password: hashing and verification.

Passwords are stored as argon2id hashes (RFC 9106). An unknown name takes as long as a wrong password and gets the same
answer, so that neither the time nor the text says which names exist.
"""

import threading
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access.visitor import Visitor
from core.database.people import Password, Principal
from core.database.transactions import reading
from core.errors import Invalid, TooMany, Unauthenticated

SHORTEST, LONGEST = 12, 200
WRONG = ("not-signed-in", "the name or the password is wrong", "try again, or ask an administrator")
# Verifying takes 64 MiB and tens of milliseconds in one of the threads that all requests share: two run at once, and
# a third waits this long before it is refused, so that sign-ins cannot take every thread.
WAIT_SECONDS = 2.0
_argon2_slots = threading.BoundedSemaphore(2)
_hasher = PasswordHasher()
_HASH_OF_NOBODY = _hasher.hash("nobody has this password")  # verified for an unknown name, to take the same time


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
