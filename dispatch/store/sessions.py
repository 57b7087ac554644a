"""Signing in, in SQL: sessions, codes sent by SMS, one-time links, lockouts. Secrets are kept as hashes only.

Session times are real time while the store's clock may run faster, so whoever calls may hand in their own ``now``.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, delete, insert, select, update

from ..model.account import Role, RunnerStatus
from ..model.errors import NotFound
from ..model.session import Link, Session
from .scope import Scope
from .tables import accounts as acc
from .tables import links as lnk
from .tables import lockouts as lck
from .tables import memberships as mem
from .tables import sessions as ses
from .tables import sign_in_codes as cod

#: After so many wrong tries a code is dead.
CODE_TRIES = 5


class Holder(NamedTuple):
    """A session with what counts of its account and of its membership, without opening what is sealed.

    ``roles`` narrows, None: not; the membership's columns are None where the account is no member of the campus."""

    id: str
    campus_id: str
    expires_at: datetime
    revoked_at: datetime | None
    roles: frozenset[Role] | None
    is_blocked: bool
    member_roles: frozenset[Role] | None
    runner_status: RunnerStatus | None
    is_on_duty: bool | None


_HOLDERS = (
    select(
        ses.c.id, ses.c.campus_id, ses.c.expires_at, ses.c.revoked_at, ses.c.roles, acc.c.is_blocked,
        mem.c.roles, mem.c.runner_status, mem.c.is_on_duty,
    )
    .join(acc, acc.c.id == ses.c.account_id)
    .outerjoin(mem, and_(mem.c.account_id == ses.c.account_id, mem.c.campus_id == ses.c.campus_id))
    .where(ses.c.id.in_(bindparam("_ids", expanding=True)))
)  # fmt: skip


class Sessions:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, session: Session) -> None:
        values = {name: getattr(session, name) for name in Session.__dataclass_fields__}
        self._sql.execute(insert(ses).values(values))

    def get(self, session_id: str) -> Session:
        """The session, good or not; raises :class:`NotFound`."""
        row = self._sql.execute(select(ses).where(ses.c.id == session_id)).first()
        if row is None:
            raise NotFound("there is no such session")
        return Session(**{**row._mapping, "refresh_hash": bytes(row.refresh_hash)})

    def holders(self, session_ids: Iterable[str]) -> dict[str, Holder]:
        """Who speaks in each of these sessions, good or not, in one question."""
        rows = self._sql.execute(_HOLDERS, {"_ids": list(dict.fromkeys(session_ids))})
        return {holder.id: holder for holder in map(Holder._make, rows)}

    def rotate(self, session_id: str, old_hash: bytes, new_hash: bytes, expires_at: datetime | None = None) -> bool:
        """Spend one refresh token for the next; False when it was spent before or the session is revoked."""
        values: dict[str, object] = {"refresh_hash": new_hash}
        if expires_at is not None:
            values["expires_at"] = expires_at
        change = update(ses).where(ses.c.id == session_id, ses.c.refresh_hash == old_hash, ses.c.revoked_at.is_(None))
        return self._sql.execute(change.values(values)).rowcount == 1

    def revoke(self, session_id: str, now: datetime | None = None) -> bool:
        """Whether it was good until now."""
        return self._revoke(ses.c.id == session_id, now) == 1

    def revoke_all(self, account_id: str, now: datetime | None = None) -> int:
        """End every session of an account; how many there were."""
        return self._revoke(ses.c.account_id == account_id, now)

    def _revoke(self, whose: ColumnElement[bool], now: datetime | None) -> int:
        change = update(ses).where(whose, ses.c.revoked_at.is_(None))
        return self._sql.execute(change.values(revoked_at=now or self._scope.now)).rowcount


class Codes:
    """At most one sign-in code per phone and campus."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def put(
        self, phone: str, campus_id: str, code_hash: bytes, expires_at: datetime, now: datetime | None = None
    ) -> None:
        """Remember a code that is being sent; an earlier one is void."""
        fresh = {"code_hash": code_hash, "sent_at": now or self._scope.now, "expires_at": expires_at, "failures": 0}
        self._sql.execute(
            self._scope.upsert(cod)
            .values(phone_hash=self._scope.vault.lookup_hash(phone), campus_id=campus_id, **fresh)
            .on_conflict_do_update(index_elements=["phone_hash", "campus_id"], set_=fresh)
        )

    def take(self, phone: str, campus_id: str, code_hash: bytes, now: datetime | None = None) -> bool:
        """Whether this is the code; it is good once. A wrong one is counted, and too many of them void the code."""
        here = self._here(phone, campus_id)
        row = self._sql.execute(select(cod).where(here)).first()
        if row is None or (now or self._scope.now) >= row.expires_at or row.failures >= CODE_TRIES:
            return False
        if not hmac.compare_digest(bytes(row.code_hash), code_hash):
            self._sql.execute(update(cod).where(here).values(failures=cod.c.failures + 1))
            return False
        return self._sql.execute(delete(cod).where(here, cod.c.code_hash == row.code_hash)).rowcount == 1

    def failures(self, phone: str, campus_id: str) -> int:
        """Wrong tries at the code that is good now."""
        return self._sql.scalar(select(cod.c.failures).where(self._here(phone, campus_id))) or 0

    def sent_at(self, phone: str, campus_id: str) -> datetime | None:
        """When the last unused code was sent."""
        sent_at: datetime | None = self._sql.scalar(select(cod.c.sent_at).where(self._here(phone, campus_id)))
        return sent_at

    def _here(self, phone: str, campus_id: str) -> ColumnElement[bool]:
        return and_(cod.c.phone_hash == self._scope.vault.lookup_hash(phone), cod.c.campus_id == campus_id)


class Links:
    """One-time codes that stand for an account."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def put(
        self,
        code_hash: bytes,
        account_id: str,
        campus_id: str,
        expires_at: datetime,
        roles: frozenset[Role] | None = None,
    ) -> None:
        values = {
            "code_hash": code_hash, "account_id": account_id, "campus_id": campus_id, "roles": roles,
            "expires_at": expires_at,
        }  # fmt: skip
        self._sql.execute(insert(lnk).values(values))

    def take(self, code_hash: bytes, now: datetime | None = None) -> Link | None:
        """What the code stands for, once; None when it is unknown, spent or too old."""
        row = self._sql.execute(select(lnk).where(lnk.c.code_hash == code_hash)).first()
        if row is None:
            return None
        spent = self._sql.execute(delete(lnk).where(lnk.c.code_hash == code_hash)).rowcount == 1
        if not spent or (now or self._scope.now) >= row.expires_at:
            return None
        return Link(row.account_id, row.campus_id, row.roles)


class Lockouts:
    """Counts wrong tries per key (a phone, say, which is kept as a hash only) and locks it for a while."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def fail(
        self,
        key: str,
        *,
        lock_after: int = 5,
        lock_s: float = 900.0,
        window_s: float = 900.0,
        now: datetime | None = None,
    ) -> int:
        """Count a wrong try; how many there were within the window. From ``lock_after`` on the key is locked."""
        at = now or self._scope.now
        key_hash = self._scope.vault.lookup_hash(key)
        row = self._sql.execute(select(lck).where(lck.c.key_hash == key_hash)).first()
        is_fresh = row is None or row.failed_at <= at - timedelta(seconds=window_s)
        failures = 1 if row is None or is_fresh else row.failures + 1
        locked_until = at + timedelta(seconds=lock_s) if failures >= lock_after else None
        fresh = {"failures": failures, "failed_at": at, "locked_until": locked_until}
        self._sql.execute(
            self._scope.upsert(lck)
            .values(key_hash=key_hash, **fresh)
            .on_conflict_do_update(index_elements=["key_hash"], set_=fresh)
        )
        return failures

    def clear(self, key: str) -> None:
        self._sql.execute(delete(lck).where(lck.c.key_hash == self._scope.vault.lookup_hash(key)))

    def locked_until(self, key: str, now: datetime | None = None) -> datetime | None:
        """Until when the key is locked; None when it is not."""
        is_locked = lck.c.locked_until > (now or self._scope.now)
        query = select(lck.c.locked_until).where(lck.c.key_hash == self._scope.vault.lookup_hash(key), is_locked)
        locked_until: datetime | None = self._sql.scalar(query)
        return locked_until
