"""A principal: who is asking, at which campus, in which roles, by which session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..model.account import Role
from ..model.errors import NotPermitted
from .permissions import Permission, permissions_of


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody signed in. ``expires_at`` is real time, aware UTC: the token that says so is worth nothing after it."""

    account_id: str
    campus_id: str
    roles: frozenset[Role]
    session_id: str
    expires_at: datetime

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions_of(self.roles)

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Raises :class:`NotPermitted` naming what is missing."""
        if not self.may(permission):
            raise NotPermitted(f"this asks for the permission {permission}", permission=str(permission))
