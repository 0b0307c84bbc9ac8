"""Who asks: a principal with a role and scopes in a workspace."""

from dataclasses import dataclass
from typing import Literal, get_args

from core.errors import Forbidden

Kind = Literal["key", "session", "link"]
Scope = Literal["read", "upload", "analyse", "manage"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ROLES = ("viewer", "analyst", "admin")


@dataclass(frozen=True)
class Visitor:
    """An authenticated principal, as requests carry it. `scopes`: its key's; None: all that the role may do."""

    principal_id: str
    workspace_id: str
    role: str
    name: str
    scopes: tuple[str, ...] | None = None

    @classmethod
    def internal(cls, workspace_id: str, name: str) -> "Visitor":
        """A part of the service that acts by itself, under its own name in the audit."""
        return cls("", workspace_id, "admin", name)

    def require_scope(self, scope: Scope | None) -> None:
        """Raises Forbidden where the key is not for this."""
        if scope is not None and self.scopes is not None and scope not in self.scopes:
            detail = f"this needs a key with the scope {scope}; yours is for {', '.join(self.scopes)}"
            raise Forbidden("scope-needed", detail, "use another key, or ask an administrator for one")

    def require_all_scopes(self) -> None:
        """Raises Forbidden where the key is for a part of its role alone."""
        if self.scopes is not None:
            detail = "this gives more than your own key is for"
            raise Forbidden("scope-needed", detail, "use a key without scopes, or ask for no more than yours")

    def require(self, role: str) -> None:
        """Raises Forbidden below the role."""
        if ROLES.index(self.role) < ROLES.index(role):
            raise Forbidden("role-needed", f"this needs the role {role}; yours is {self.role}", "ask an administrator")
