"""Who takes part: the accounts that a server made for a load, as its plan file lists them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec


class Account(msgspec.Struct, frozen=True):
    """Somebody to sign in as."""

    role: str
    phone: str
    vehicle: str = "walk"


class PlanFile(msgspec.Struct, frozen=True):
    """The file that ``dispatch load-accounts`` writes (mode 0600: it holds passwords)."""

    campus_id: str
    password: str
    accounts: list[Account]

    def of_role(self, role: str) -> list[Account]:
        return [account for account in self.accounts if account.role == role]


def read_plan(path: Path) -> PlanFile:
    """Raises ValueError with the file's name when it is not a plan."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlanFile)
    except (OSError, msgspec.DecodeError) as fault:
        raise ValueError(f"{path}: not a plan of accounts ({fault})") from None


@dataclass(frozen=True, slots=True)
class Profile:
    """A load. ``orders_per_hour`` and ``report_s`` are in business time; ``burst_per_min``: one minute of the peak."""

    name: str
    students: int
    runners: int
    operators: int
    orders_per_hour: int
    burst_per_min: int
    report_s: int
    watchers: int


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("XS", 12, 8, 1, 60, 4, 5, 6),
        Profile("S", 150, 80, 3, 300, 20, 5, 100),
        Profile("M", 600, 320, 8, 1250, 80, 3, 600),
        Profile("T", 500, 200, 20, 300, 20, 5, 500),
    )
}
