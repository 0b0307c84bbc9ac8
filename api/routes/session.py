"""Browser sessions: a one-time link's token, or an API key, is traded for a cookie."""

from contextlib import suppress

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from api.contract.people import Me, SignIn
from api.edge import sign_in_tries
from api.request.trail import origin_of
from api.request.transactions import Read, Write
from api.request.visitor import Who, cookie_name
from core.access import audit, credentials, people
from core.access.visitor import Visitor
from core.database.transactions import writing
from core.errors import Invalid, Unauthenticated
from core.settings import get_settings

router = APIRouter(prefix="/session", tags=["session"])


def _me(session: Session, visitor: Visitor) -> Me:
    scopes = None if visitor.scopes is None else list(visitor.scopes)
    person = visitor.principal_id if people.has_password(session, visitor) else None
    return Me(name=visitor.name, role=visitor.role, scopes=scopes, workspace=visitor.workspace_id, person_id=person)


def _proved(session: Session, wanted: SignIn, person: people.Proof | None) -> tuple[Visitor, str]:
    """Who signs in, and a new session's secret. Raises Unauthenticated or Invalid."""
    seconds = get_settings().session_hours * 3600
    if person is not None:
        visitor = people.confirm(session, person)
        return visitor, credentials.issue(session, visitor.principal_id, "session", seconds)
    if wanted.token:
        return credentials.open_session(session, wanted.token)
    if wanted.key:
        visitor = credentials.authenticate(session, wanted.key, "key")
        return visitor, credentials.issue(session, visitor.principal_id, "session", seconds, parent=wanted.key)
    raise Invalid("nothing-to-sign-in-with", "neither token, key nor name and password were sent", "send one of them")


@router.post("", status_code=201)
def sign_in(wanted: SignIn, request: Request, response: Response) -> Me:
    """Sign in with the token of a one-time link, with a key, or with a name and a password."""
    person = sign_in_tries.proved(request, wanted.login, wanted.password) if wanted.login and wanted.password else None
    with writing() as session:  # after the password, which is slow to check
        visitor, secret = _proved(session, wanted, person)
        audit.write(session, visitor, "session.open", visitor.principal_id, origin_of(request))
        me = _me(session, visitor)
    name = cookie_name()
    response.set_cookie(
        name,
        secret,
        max_age=int(get_settings().session_hours * 3600),
        httponly=True,
        samesite="strict",
        secure=name.startswith("__Host-"),
        path="/",
    )
    return me


@router.get("")
def who(session: Read, visitor: Who) -> Me:
    """Who is signed in."""
    return _me(session, visitor)


@router.delete("", status_code=204)
def sign_out(session: Write, request: Request) -> Response:
    """End this browser's session."""
    secret = request.cookies.get(cookie_name())
    if secret:
        with suppress(Unauthenticated):  # it ended before
            visitor = credentials.authenticate(session, secret, "session")
            credentials.revoke(session, secret)
            audit.write(session, visitor, "session.close", visitor.principal_id, origin_of(request))
    response = Response(status_code=204)
    name = cookie_name()  # a browser lets go of a `__Host-` cookie only by one that is as well kept
    response.delete_cookie(name, path="/", secure=name.startswith("__Host-"), httponly=True, samesite="strict")
    return response
