"""Permissions, and the groups of them that a role stands for."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from ..model.account import Membership, Role, RunnerStatus


class Permission(StrEnum):
    """One thing that somebody may do at their campus; endpoints and topics name the one they ask for."""

    ORDERS_PLACE = "orders.place"
    ORDERS_READ_OWN = "orders.read_own"
    TASKS_CARRY = "tasks.carry"
    ORDERS_READ_ANY = "orders.read_any"
    ORDERS_REASSIGN = "orders.reassign"
    ACCOUNTS_MANAGE = "accounts.manage"
    PERSONAL_REVEAL = "personal.reveal"
    AUDIT_READ = "audit.read"
    MONEY_READ = "money.read"
    MONEY_MANAGE = "money.manage"
    CAMPUS_MANAGE_SETTINGS = "campus.manage_settings"
    CAMPUS_MANAGE = "campus.manage"


_P = Permission
_STUDENT = frozenset({_P.ORDERS_PLACE, _P.ORDERS_READ_OWN})

#: What each role may do. Somebody with several roles may do what any of them may.
GROUPS: dict[Role, frozenset[Permission]] = {
    Role.STUDENT: _STUDENT,
    Role.RUNNER: _STUDENT | {_P.TASKS_CARRY},
    Role.OPERATOR: frozenset({
        _P.ORDERS_READ_ANY, _P.ORDERS_REASSIGN, _P.ACCOUNTS_MANAGE, _P.PERSONAL_REVEAL, _P.AUDIT_READ, _P.MONEY_READ,
        _P.MONEY_MANAGE, _P.CAMPUS_MANAGE_SETTINGS,
    }),
    Role.ADMIN: frozenset(Permission),
}  # fmt: skip


def permissions_of(roles: Iterable[Role]) -> frozenset[Permission]:
    """Everything that somebody with these roles may do."""
    return frozenset().union(*(GROUPS[role] for role in roles))


def effective_roles(membership: Membership) -> frozenset[Role]:
    """The roles that count today."""
    return roles_today(membership.roles, membership.runner_status)


def roles_today(roles: frozenset[Role], runner_status: RunnerStatus | None) -> frozenset[Role]:
    """Carrying asks for an approved application besides the role."""
    return roles if runner_status is RunnerStatus.APPROVED else roles - {Role.RUNNER}
