"""A session: somebody being signed in at one campus, and the one-time link that may begin it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .account import Role


@dataclass(frozen=True, slots=True)
class Session:
    """``refresh_hash`` is the hash of the one refresh token that is good now: a spent one that comes again is theft.

    ``roles`` narrows what the session may do (a page opened by a link); None: all that the membership allows.
    """

    id: str
    account_id: str
    campus_id: str
    refresh_hash: bytes
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    roles: frozenset[Role] | None = None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class Link:
    """What a one-time code stands for: an account at a campus, narrowed to ``roles`` unless None."""

    account_id: str
    campus_id: str
    roles: frozenset[Role] | None = None
