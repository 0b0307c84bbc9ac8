"""Browser sessions: a one-time link's token, an API key, or a name and a password is exchanged for a cookie."""

from contextlib import suppress

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from api.contract.people import Me, SignIn
from api.edge import sign_in_tries
from api.request.trail import AuditTrail
from api.request.transactions import Read, Write
from api.request.visitor import Visitor, cookie_name
from core.access import credentials, people, visitor
from core.access.passwords import Proof, confirm
from core.database.transactions import writing
from core.errors import Invalid, Unauthenticated
from core.settings import get_settings

router = APIRouter(prefix="/session", tags=["session"])


def _me(session: Session, principal: visitor.Visitor) -> Me:
    person = principal.principal_id if people.has_password(session, principal) else None
    return Me.from_visitor(principal, person)


@router.post("", status_code=201)
def sign_in(body: SignIn, request: Request, response: Response) -> Me:
    """Signs in with the token of a one-time link, with a key, or with a name and a password."""
    proof = sign_in_tries.check_password(request, body.login, body.password) if body.login and body.password else None
    with writing() as session:  # after the password check, which is slow
        principal, secret = _open_session(session, body, proof)
        AuditTrail.of_request(principal, request).changed(session, principal.principal_id)
        me = _me(session, principal)
    name = cookie_name()
    response.set_cookie(
        name,
        secret,
        max_age=int(_session_seconds()),
        httponly=True,
        samesite="strict",
        secure=name.startswith("__Host-"),
        path="/",
    )
    return me


def _open_session(session: Session, body: SignIn, proof: Proof | None) -> tuple[visitor.Visitor, str]:
    """The visitor and the secret of a new session. Raises Unauthenticated or Invalid."""
    if proof is not None:
        principal = confirm(session, proof)
        return principal, credentials.issue(session, principal.principal_id, "session", _session_seconds())
    if body.token:
        return credentials.open_session_by_link(session, body.token)
    if body.key:
        principal = credentials.authenticate(session, body.key, "key")
        secret = credentials.issue(session, principal.principal_id, "session", _session_seconds(), parent=body.key)
        return principal, secret
    raise Invalid("nothing-to-sign-in-with", "neither token, key nor name and password were sent", "send one of them")


def _session_seconds() -> float:
    return get_settings().session_hours * 3600


@router.get("")
def get_session(session: Read, principal: Visitor) -> Me:
    """Returns the visitor of this request."""
    return _me(session, principal)


@router.delete("", status_code=204)
def sign_out(session: Write, request: Request) -> Response:
    """Ends this browser's session."""
    secret = request.cookies.get(cookie_name())
    if secret:
        with suppress(Unauthenticated):  # it has ended already
            principal = credentials.authenticate(session, secret, "session")
            credentials.revoke(session, secret)
            AuditTrail.of_request(principal, request).changed(session, principal.principal_id)
    response = Response(status_code=204)
    name = cookie_name()  # browsers delete a `__Host-` cookie only by one with the same attributes
    response.delete_cookie(name, path="/", secure=name.startswith("__Host-"), httponly=True, samesite="strict")
    return response
