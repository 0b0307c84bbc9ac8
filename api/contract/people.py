"""Requests and answers about people, keys, sessions and the audit."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.contract.values import NOTICE, iso
from core.access import keys, passwords, visitor
from core.access.people import Person
from core.database.people import Audit


class KeyRequest(BaseModel):
    """An API key for a program or a person."""

    model_config = {"extra": "forbid"}
    name: str = Field(min_length=1, max_length=100, description="the key's purpose, shown in the list of keys")
    role: Literal["viewer", "analyst", "admin"] = "analyst"
    scopes: list[visitor.Scope] | None = Field(
        None,
        min_length=1,
        max_length=len(visitor.SCOPES),
        description="the part of the role that the key is for; null: all of it",
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
    key: str | None = Field(None, description="the secret; only in the answer that creates the key")

    @classmethod
    def from_key(cls, key: keys.ApiKey, secret: str | None = None) -> "KeyOut":
        return cls(
            id=key.id,
            name=key.name,
            role=key.role,
            scopes=None if key.scopes is None else list(key.scopes),
            revoked=key.revoked,
            created_at=iso(key.created_at),
            expires_at=iso(key.expires_at),
            used_at=iso(key.used_at),
            key=secret,
        )


def _requires(*names: str) -> dict[str, Any]:
    return {"required": list(names), "properties": {name: {"type": "string", "minLength": 1} for name in names}}


class SignIn(BaseModel):
    """One of: the token of a one-time link, an API key, a name and its password."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"anyOf": [_requires("token"), _requires("key"), _requires("login", "password")]},
    )
    token: str | None = Field(None, max_length=200, description="of a one-time sign-in link")
    key: str | None = Field(None, max_length=200, description="an API key")
    login: str | None = Field(None, max_length=100, description="a person's name, with a password")
    password: str | None = Field(None, max_length=200)


class Me(BaseModel):
    name: str
    role: str
    scopes: list[str] | None = Field(
        description="of the key that opened the session; null: everything that the role may do"
    )
    workspace: str
    person_id: str | None = Field(description="of a person who signed in with a password; null: a key")
    notice: str = NOTICE

    @classmethod
    def from_visitor(cls, principal: visitor.Visitor, person_id: str | None) -> "Me":
        return cls(
            name=principal.name,
            role=principal.role,
            scopes=None if principal.scopes is None else list(principal.scopes),
            workspace=principal.workspace_id,
            person_id=person_id,
        )


class AuditRow(BaseModel):
    """One row of the audit. `hash` seals the row and, through the hash of the row before, all rows before it."""

    number: int
    at: str | None
    who: str
    principal_id: str
    action: str
    subject: str
    origin: str
    detail: dict[str, JsonValue]
    hash: str

    @classmethod
    def from_row(cls, row: Audit) -> "AuditRow":
        same = ("number", "who", "principal_id", "action", "subject", "origin", "detail", "hash")
        return cls(at=iso(row.at), **{name: getattr(row, name) for name in same})


class AuditPage(BaseModel):
    rows: list[AuditRow]
    next_cursor: int | None = Field(description="pass as `cursor` for the next page; null on the last")


class AuditCheck(BaseModel):
    holds: bool
    broken_at: int | None = Field(description="number of the first row that is missing or was changed")


class PersonRequest(BaseModel):
    model_config = {"extra": "forbid"}
    login: str = Field(min_length=3, max_length=100, pattern=r"^[A-Za-z0-9._@-]+$")
    role: Literal["viewer", "analyst", "admin"] = "viewer"
    password: str = Field(max_length=passwords.LONGEST, json_schema_extra={"minLength": passwords.SHORTEST})


class CreatedPerson(BaseModel):
    """The part of a PersonRequest that an Idempotency-Key stands for: the password is stored as its slow hash alone."""

    login: str
    role: str


class PasswordChange(BaseModel):
    model_config = {"extra": "forbid"}
    password: str = Field(max_length=passwords.LONGEST, json_schema_extra={"minLength": passwords.SHORTEST})
    current: str | None = Field(
        None, max_length=passwords.LONGEST, description="the current password; needed to change the own one"
    )


class PersonOut(BaseModel):
    id: str
    login: str
    role: str
    created_at: str | None

    @classmethod
    def from_person(cls, person: Person) -> "PersonOut":
        return cls(id=person.id, login=person.login, role=person.role, created_at=iso(person.created_at))
