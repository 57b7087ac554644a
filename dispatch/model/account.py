"""Accounts, their memberships per campus, and a runner's standing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    STUDENT = "student"
    RUNNER = "runner"
    OPERATOR = "operator"
    ADMIN = "admin"


class RunnerStatus(StrEnum):
    NONE = "none"
    APPLIED = "applied"
    APPROVED = "approved"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody known to one campus or more; the phone is personal and stored encrypted."""

    id: str
    name: str
    phone: str
    language: str
    is_blocked: bool
    created_at: datetime
    password_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """What an account is at one campus."""

    account_id: str
    campus_id: str
    roles: frozenset[Role]
    runner_status: RunnerStatus = RunnerStatus.NONE
    credit: int = 80
    vehicle: str = "walk"  # walk | e_bike
    is_on_duty: bool = False
    credit_lines: int = 0  # lines of the credit's history, of which ``credit`` is the sum


def masked_name(name: str) -> str:
    """What another person may see of a name: the first character."""
    return f"{name[:1]}*" if name else "*"


def masked_phone(phone: str) -> str:
    """What staff sees of a phone number without a reason: ``138****1234``."""
    return f"{phone[:-8]}****{phone[-4:]}" if len(phone) >= 8 else "****"
