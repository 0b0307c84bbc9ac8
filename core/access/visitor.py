"""The visitor: the authenticated principal of a request, with its workspace, role and scopes."""

from dataclasses import dataclass
from typing import Literal, get_args

from core.errors import Forbidden

Kind = Literal["key", "session", "link"]
Scope = Literal["read", "upload", "analyse", "manage"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ROLES = ("viewer", "analyst", "admin")  # each may do what those before it may


@dataclass(frozen=True)
class Visitor:
    """An authenticated principal. `scopes` limit what its key may be used for; None: whatever its role allows."""

    principal_id: str
    workspace_id: str
    role: str
    name: str
    scopes: tuple[str, ...] | None = None

    @classmethod
    def internal(cls, workspace_id: str, name: str) -> "Visitor":
        """Returns the visitor of a part of the service that acts by itself, such as retention.

        It has no principal; the audit records its name.
        """
        return cls("", workspace_id, "admin", name)

    def require_scope(self, scope: Scope | None) -> None:
        """Raises Forbidden when the visitor's key has scopes and this is none of them. None needs no scope."""
        if scope is not None and self.scopes is not None and scope not in self.scopes:
            detail = f"this needs a key with the scope {scope}; yours has {', '.join(self.scopes)}"
            raise Forbidden("scope-needed", detail, "use another key, or ask an administrator for one")

    def require_all_scopes(self) -> None:
        """Raises Forbidden when the visitor's key has scopes: what it would give (a key, a person) has more."""
        if self.scopes is not None:
            detail = "this would give more access than the scopes of your own key"
            raise Forbidden("scope-needed", detail, "use a key without scopes, or request no more than yours")

    def may(self, role: str) -> bool:
        """Whether the visitor has this role or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def require(self, role: str) -> None:
        """Raises Forbidden when the visitor's role is below this one."""
        if not self.may(role):
            raise Forbidden("role-needed", f"this needs the role {role}; yours is {self.role}", "ask an administrator")
