"""Credit in SQL: lines that are only ever added, each with the score after it, and the appeals against them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update

from ..model.credit import AppealStatus, CreditAppeal, CreditEntry, CreditReason
from ..model.errors import NotFound, StaleVersion
from .scope import CampusScope, by_id
from .tables import credit_appeals as a
from .tables import credit_entries as t
from .tables import memberships as m

_ENTRY, _APPEAL = tuple(CreditEntry.__dataclass_fields__), tuple(CreditAppeal.__dataclass_fields__)
_INSERT, _BY_ID, _APPEAL_BY_ID = insert(t), by_id(t), by_id(a)
# Asked with every delivery, so built once.
_OF_ACCOUNT = (t.c.campus_id == bindparam("_campus_id"), t.c.account_id == bindparam("_account_id"))
_FIND = select(t).where(*_OF_ACCOUNT, t.c.reason == bindparam("_reason"), t.c.subject_id == bindparam("_subject_id"))
_MOVED = select(func.coalesce(func.sum(t.c.delta), 0)).where(
    *_OF_ACCOUNT, t.c.reason == bindparam("_reason"), t.c.at >= bindparam("_since")
)
_MOVE = (
    update(m)
    .where(
        m.c.campus_id == bindparam("_campus_id"),
        m.c.account_id == bindparam("_account_id"),
        m.c.credit_lines == bindparam("_lines"),
    )
    .values(credit=bindparam("_credit"), credit_lines=bindparam("_lines") + 1)
)


class Credit:
    """One campus's histories. There is no way to change or to delete a line."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def append(self, entry: CreditEntry) -> None:
        """Add the line and move the score with it; raises :class:`StaleVersion` when somebody else wrote the line of
        this number first. Who comes second learns it from the row of the membership, before the unique index."""
        self._scope.check(entry.campus_id)
        moved = self._sql.execute(
            _MOVE, self._of(entry.account_id) | {"_lines": entry.number - 1, "_credit": entry.balance}
        )
        if moved.rowcount != 1:
            raise StaleVersion("somebody else moved this score first")
        self._sql.execute(_INSERT, {name: getattr(entry, name) for name in _ENTRY})

    def get(self, entry_id: str) -> CreditEntry:
        """The line; raises :class:`NotFound`, also for another campus's."""
        row = self._scope.find(_BY_ID, entry_id)
        if row is None:
            raise NotFound("there is no such line here")
        return _entry(row)

    def find(self, account_id: str, reason: CreditReason, subject_id: str) -> CreditEntry | None:
        """The line that was written for this, if there is one."""
        row = self._sql.execute(_FIND, self._of(account_id) | {"_reason": reason, "_subject_id": subject_id}).first()
        return None if row is None else _entry(row)

    def last(self, account_id: str) -> CreditEntry | None:
        found = self.page(account_id, limit=1)
        return found[0] if found else None

    def page(self, account_id: str, limit: int = 50, before: int | None = None) -> list[CreditEntry]:
        """Newest first; ``before`` is the number of the last line of the page before."""
        query = select(t).where(self._scope.mine(t), t.c.account_id == account_id).order_by(t.c.number.desc())
        if before is not None:
            query = query.where(t.c.number < before)
        return [_entry(row) for row in self._sql.execute(query.limit(limit))]

    def moved_since(self, account_id: str, reason: CreditReason, since: datetime) -> int:
        """The points of one kind since then."""
        return int(self._sql.scalar(_MOVED, self._of(account_id) | {"_reason": reason, "_since": since}) or 0)

    def reversed_among(self, entries: Iterable[CreditEntry]) -> frozenset[str]:
        """The ids of those of the lines that were taken back."""
        wanted = {entry.id: entry.account_id for entry in entries}
        query = select(t.c.subject_id).where(
            self._scope.mine(t), t.c.account_id.in_(set(wanted.values())), t.c.reason == CreditReason.REVERSED,
            t.c.subject_id.in_(list(wanted)),
        )  # fmt: skip
        return frozenset(self._sql.scalars(query))

    def _of(self, account_id: str) -> dict[str, Any]:
        return {"_campus_id": self._scope.campus_id, "_account_id": account_id}


class CreditAppeals:
    """What runners say against lines: one appeal a line."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, appeal: CreditAppeal) -> bool:
        """False, with nothing changed, where the line has an appeal already."""
        self._scope.check(appeal.campus_id)
        values = {name: getattr(appeal, name) for name in _APPEAL}
        return self._scope.insert_new(a, values, ("campus_id", "entry_id"))

    def get(self, appeal_id: str) -> CreditAppeal:
        """The appeal; raises :class:`NotFound`, also for another campus's."""
        row = self._scope.find(_APPEAL_BY_ID, appeal_id)
        if row is None:
            raise NotFound("there is no such appeal here")
        return _appeal(row)

    def decide(self, appeal: CreditAppeal) -> None:
        """Store the decision; raises :class:`StaleVersion` when somebody else has decided already."""
        self._scope.check(appeal.campus_id)
        decided = self._sql.execute(
            update(a)
            .where(self._scope.mine(a), a.c.id == appeal.id, a.c.status == AppealStatus.OPEN)
            .values(
                status=appeal.status, decided_at=appeal.decided_at, decided_by=appeal.decided_by, answer=appeal.answer
            )
        )
        if decided.rowcount != 1:
            raise self._scope.missed(a, appeal.id, "appeal")

    def count_open(self, account_id: str) -> int:
        mine = self._scope.mine(a), a.c.account_id == account_id, a.c.status == AppealStatus.OPEN
        return int(self._sql.scalar(select(func.count()).where(*mine)) or 0)

    def of_entries(self, entry_ids: Iterable[str]) -> dict[str, CreditAppeal]:
        """By the line's id."""
        query = select(a).where(self._scope.mine(a), a.c.entry_id.in_(list(entry_ids)))
        return {row.entry_id: _appeal(row) for row in self._sql.execute(query)}


def _entry(row: Row[Any]) -> CreditEntry:
    stored = row._mapping
    return CreditEntry(**{name: stored[name] for name in _ENTRY})


def _appeal(row: Row[Any]) -> CreditAppeal:
    stored = row._mapping
    return CreditAppeal(**{name: stored[name] for name in _APPEAL})
