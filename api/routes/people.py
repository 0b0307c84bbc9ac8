"""People who sign in with a password: created and removed by administrators. Each may change the own password."""

from fastapi import APIRouter, Request

from api.contract.people import CreatedPerson, PasswordChange, PersonOut, PersonRequest
from api.edge import sign_in_tries
from api.request.change import Change
from api.request.idempotency import Replayed
from api.request.transactions import Read
from api.request.visitor import Visitor
from core.access import passwords, people
from core.database.transactions import reading
from core.errors import Conflict, Forbidden, Unauthenticated

router = APIRouter(prefix="/people", tags=["people"])


@router.get("")
def list_people(session: Read, visitor: Visitor) -> list[PersonOut]:
    """Returns the workspace's people, by name."""
    return [PersonOut.from_person(person) for person in people.list_people(session, visitor)]


@router.post("", status_code=201)
def create_person(change: Change, request: PersonRequest) -> PersonOut:
    """Creates a person who signs in with a name and a password."""
    change.visitor.require_all_scopes()
    password_hash = passwords.hash_password(request.login, request.password)  # slow: before the transaction
    try:
        change.begin(CreatedPerson(login=request.login, role=request.role))
    except Replayed:
        change.session.rollback()  # the check below takes a connection and a second: hold none meanwhile
        _require_same_password(request)
        raise
    person = people.create(change.session, change.visitor, request.login, request.role, password_hash)
    change.audit(person.id, login=person.login, role=person.role)
    return change.answer(PersonOut.from_person(person))


def _require_same_password(request: PersonRequest) -> None:
    """Compares the password of a replay with the person's: it is no part of the stored request.

    Raises:
        Conflict: the password is another.
    """
    try:
        passwords.authenticate(request.login, request.password)
    except Unauthenticated:
        detail = "this Idempotency-Key was used with another password, or the password was changed since"
        raise Conflict("idempotency-key-reused", detail, "send a new key with a new request") from None


@router.put("/{person_id}/password", status_code=204)
def change_password(change: Change, person_id: str, body: PasswordChange, request: Request) -> None:
    """Changes the own password, with the current one; administrators anybody's. All the person's sessions end."""
    visitor = change.visitor
    own = visitor.principal_id == person_id
    if not own:
        visitor.require("admin")
        visitor.require_all_scopes()
    with reading() as session:
        login = people.find(session, visitor, person_id).login
    proof = _prove_owner(request, login, body.current) if own else None
    password_hash = passwords.hash_password(login, body.password)
    # No begin(): repeating it has the same effect, and the password must not enter the request's hash, which is fast.
    if proof is not None:
        passwords.confirm(change.session, proof)
    people.change_password(change.session, visitor, person_id, password_hash)
    change.audit(person_id)


def _prove_owner(request: Request, login: str, password: str | None) -> passwords.Proof:
    """Checks the current password: a session left open on a shared screen does not prove its owner.

    Raises:
        Forbidden: it is missing or wrong. TooMany: too many tries failed.
    """
    if password is None:
        raise Forbidden("password-needed", "the current password is needed to change it", "send it as `current`")
    try:
        return sign_in_tries.check_password(request, login, password)
    except Unauthenticated:
        raise Forbidden("wrong-password", "the current password is wrong", "try again") from None


@router.delete("/{person_id}", status_code=204)
def remove_person(change: Change, person_id: str) -> None:
    """Removes a person and ends the sessions at once (tiles: within a second). The audit keeps what the person did."""
    change.begin()
    people.remove(change.session, change.visitor, person_id)
    change.audit(person_id)
