"""People: made and removed by administrators; each may change the own password."""

from fastapi import APIRouter, Request, Response

from api.contract.people import PasswordChange, PersonOut, PersonRequest
from api.edge import sign_in_tries
from api.request.once import OnlyOnce, SentKey
from api.request.trail import Told
from api.request.transactions import Read, Write
from api.request.visitor import Admin, Who
from core.access import idempotency, people
from core.access.idempotency import Answer
from core.database.transactions import reading, writing
from core.errors import Conflict, Forbidden, Unauthenticated

router = APIRouter(prefix="/people", tags=["people"])


@router.get("")
def listed(session: Read, visitor: Admin) -> list[PersonOut]:
    """The workspace's people, by name."""
    return [PersonOut.of(person) for person in people.list_people(session, visitor)]


@router.post("", status_code=201)
def create(visitor: Admin, wanted: PersonRequest, told: Told, key: SentKey = None) -> PersonOut:
    """A person who signs in with a name and a password."""
    visitor.require_all_scopes()
    hashed, created = people.hash_password(wanted.login, wanted.password), list[str]()
    with writing() as session:

        def produce() -> Answer:
            created.append(wanted.login)
            person = people.create(session, visitor, wanted.login, wanted.role, hashed)
            told.changed(session, "person.create", person.id, login=person.login, role=person.role)
            return PersonOut.of(person).model_dump()

        asked = ["POST people", wanted.login, wanted.role]  # the password is kept as its slow hash alone
        made = PersonOut(**idempotency.answer_once(session, visitor, key, asked, produce))
    if not created:
        _require_same(wanted)
    return made


def _require_same(wanted: PersonRequest) -> None:
    """Of a request that was answered before. Raises Conflict: its password was another."""
    try:
        people.authenticate(wanted.login, wanted.password)
    except Unauthenticated:
        told = "this key was used for another password, or it was changed since"
        raise Conflict("idempotency-key-reused", told, "send a new key with a new request") from None


@router.put("/{person_id}/password", status_code=204)
def change_password(
    visitor: Who, person_id: str, wanted: PasswordChange, told: Told, request: Request, key: SentKey = None
) -> Response:
    """One's own, with the one so far; or anybody else's for an administrator. Every session of the person ends."""
    if not (mine := visitor.principal_id == person_id):
        visitor.require("admin")
        visitor.require_all_scopes()
    with reading() as looked:
        login = people.find(looked, visitor, person_id).login
    proof = _owner(request, login, wanted.current) if mine else None
    hashed = people.hash_password(login, wanted.password)
    with writing() as session:  # whatever the key: once more is the same, and another password no repetition
        if proof is not None:
            people.confirm(session, proof)
        people.change_password(session, visitor, person_id, hashed)
        told.changed(session, "person.password", person_id)
    return Response(status_code=204)


def _owner(request: Request, login: str, password: str | None) -> people.Proof:
    """A session left open is not yet its owner. Raises Forbidden."""
    if password is None:
        raise Forbidden("password-needed", "your password so far is needed to change it", "send it as `current`")
    try:
        return sign_in_tries.proved(request, login, password)
    except Unauthenticated:
        raise Forbidden("wrong-password", "your password so far is another", "try again") from None


@router.delete("/{person_id}", status_code=204)
def remove(session: Write, visitor: Admin, person_id: str, told: Told, once: OnlyOnce) -> Response:
    """Sessions end at once (tiles may be served for another second); what the person did stays told."""

    def produce() -> Answer:
        people.remove(session, visitor, person_id)
        told.changed(session, "person.remove", person_id)
        return {}

    once(None, produce)
    return Response(status_code=204)
