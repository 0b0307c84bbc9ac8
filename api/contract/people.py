"""People, keys, sessions and the audit as the API shows and takes them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.contract.values import NOTICE, iso
from core.access import keys, people, visitor
from core.access.people import Person
from core.database.people import Audit


class KeyRequest(BaseModel):
    """An API key for a program or a person."""

    model_config = {"extra": "forbid"}
    name: str = Field(min_length=1, max_length=100, description="what it is for, shown in the list of keys")
    role: Literal["viewer", "analyst", "admin"] = "analyst"
    scopes: list[visitor.Scope] | None = Field(
        None,
        min_length=1,
        max_length=len(visitor.SCOPES),
        description="a part of what the role may do; null: all of it",
    )
    expires_days: float | None = Field(None, gt=0, le=3650, description="null: until it is revoked")


class KeyOut(BaseModel):
    id: str
    name: str
    role: str
    scopes: list[str] | None
    revoked: bool
    created_at: str | None
    expires_at: str | None
    used_at: str | None = Field(None, description="to the minute; null: never")
    key: str | None = Field(None, description="the secret, in the answer that made it and nowhere else")

    @classmethod
    def of(cls, known: keys.ApiKey, secret: str | None = None) -> "KeyOut":
        return cls(
            id=known.id,
            name=known.name,
            role=known.role,
            scopes=None if known.scopes is None else list(known.scopes),
            revoked=known.revoked,
            created_at=iso(known.created_at),
            expires_at=iso(known.expires_at),
            used_at=iso(known.used_at),
            key=secret,
        )


def _sent(*names: str) -> dict[str, Any]:
    return {"required": list(names), "properties": {name: {"type": "string", "minLength": 1} for name in names}}


class SignIn(BaseModel):
    """One of: a one-time link's token; an API key; a name and its password."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"anyOf": [_sent("token"), _sent("key"), _sent("login", "password")]}
    )
    token: str | None = Field(None, max_length=200, description="of a one-time sign-in link")
    key: str | None = Field(None, max_length=200, description="an API key")
    login: str | None = Field(None, max_length=100, description="a person's name, with a password")
    password: str | None = Field(None, max_length=200)


class Me(BaseModel):
    name: str
    role: str
    scopes: list[str] | None = Field(description="of the key that was signed in with; null: all that the role may do")
    workspace: str
    person_id: str | None = Field(description="of who signed in with a name and a password; null: a key")
    notice: str = NOTICE


class AuditRow(BaseModel):
    """`hash` seals the row and, through the one before it, all rows before."""

    number: int
    at: str | None
    who: str
    principal_id: str
    action: str
    subject: str
    origin: str
    detail: dict[str, Any]
    hash: str

    @classmethod
    def of(cls, row: Audit) -> "AuditRow":
        same = ("number", "who", "principal_id", "action", "subject", "origin", "detail", "hash")
        return cls(at=iso(row.at), **{name: getattr(row, name) for name in same})


class AuditPage(BaseModel):
    rows: list[AuditRow]
    next_cursor: int | None = Field(description="pass as `cursor` for the next page; null on the last")


class AuditCheck(BaseModel):
    holds: bool
    broken_at: int | None = Field(description="the number of the first row that is missing or was changed")


class PersonRequest(BaseModel):
    model_config = {"extra": "forbid"}
    login: str = Field(min_length=3, max_length=100, pattern=r"^[A-Za-z0-9._@-]+$")
    role: Literal["viewer", "analyst", "admin"] = "viewer"
    password: str = Field(max_length=people.LONGEST, json_schema_extra={"minLength": people.SHORTEST})


class PasswordChange(BaseModel):
    model_config = {"extra": "forbid"}
    password: str = Field(max_length=people.LONGEST, json_schema_extra={"minLength": people.SHORTEST})
    current: str | None = Field(None, max_length=people.LONGEST, description="one's own so far; to change one's own")


class PersonOut(BaseModel):
    id: str
    login: str
    role: str
    created_at: str | None

    @classmethod
    def of(cls, person: Person) -> "PersonOut":
        return cls(id=person.id, login=person.login, role=person.role, created_at=iso(person.created_at))
