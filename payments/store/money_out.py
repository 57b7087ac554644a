"""Dues, withdrawals, refunds, subsidies and deadlines, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.money import Fen
from payments.store import money_tables as t
from payments.store import tables
from payments.store.money_rows import Due, RefundRow, SubsidyRow, Withdrawal
from payments.store.rows import to_record

_DUE = [t.dues.c[name] for name in Due.__struct_fields__]
_WITHDRAWAL = [t.withdrawals.c[name] for name in Withdrawal.__struct_fields__]
_REFUND = [t.refunds.c[name] for name in RefundRow.__struct_fields__]
_SUBSIDY = [t.subsidies.c[name] for name in SubsidyRow.__struct_fields__]

#: A withdrawal that has not come to its end.
OPEN = ("held", "under_way")


class Subsidies:
    """What others than the payer add to intents."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, subsidy: SubsidyRow) -> None:
        self._connection.execute(sa.insert(t.subsidies).values(**msgspec.structs.asdict(subsidy)))

    def of(self, intent_id: str) -> list[SubsidyRow]:
        """An intent's subsidies, in the order in which they are used."""
        query = sa.select(*_SUBSIDY).where(t.subsidies.c.intent_id == intent_id).order_by(t.subsidies.c.part)
        return [to_record(SubsidyRow, row) for row in self._connection.execute(query)]

    def use(self, intent_id: str, part: int, used_fen: Fen) -> None:
        c = t.subsidies.c
        where = sa.and_(c.intent_id == intent_id, c.part == part)
        self._connection.execute(sa.update(t.subsidies).where(where).values(used_fen=used_fen))


class Dues:
    """What runners may withdraw."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, due: Due) -> None:
        self._connection.execute(sa.insert(t.dues).values(**msgspec.structs.asdict(due)))

    def get(self, attempt_id: str, account_ref: str) -> Due | None:
        found = self._select(_is(attempt_id, account_ref), limit=1)
        return found[0] if found else None

    def left(self, account_ref: str, limit: int) -> list[Due]:
        """An account's dues with something left, the one that has to be paid first in front."""
        return self._select(sa.and_(t.dues.c.account_ref == account_ref, t.dues.c.left_fen > 0), limit=limit)

    def left_fen(self, account_ref: str) -> tuple[Fen, datetime | None]:
        """What an account may withdraw, and when the first of it is paid anyhow."""
        c = t.dues.c
        query = sa.select(sa.func.coalesce(sa.func.sum(c.left_fen), 0), sa.func.min(c.pay_by))
        row = self._connection.execute(query.where(c.account_ref == account_ref, c.left_fen > 0)).one()
        return Fen(int(row[0])), row[1]

    def left_by_account(self) -> dict[str, Fen]:
        """Account → what is left of its dues."""
        c = t.dues.c
        query = sa.select(c.account_ref, sa.func.sum(c.left_fen)).where(c.left_fen > 0).group_by(c.account_ref)
        return {account_ref: Fen(int(fen)) for account_ref, fen in self._connection.execute(query)}

    def left_of_attempt(self, attempt_id: str) -> list[Due]:
        """An order's dues with something left."""
        return self._select(sa.and_(t.dues.c.attempt_id == attempt_id, t.dues.c.left_fen > 0), limit=100)

    def left_of_intent_fen(self, intent_id: str) -> Fen:
        c = t.dues.c
        query = sa.select(sa.func.coalesce(sa.func.sum(c.left_fen), 0)).where(c.intent_id == intent_id)
        return Fen(int(self._connection.execute(query).scalar_one()))

    def to_pay(self, now: datetime, limit: int) -> list[Due]:
        """Dues that have to be paid now without being asked for."""
        return self._select(sa.and_(t.dues.c.auto_at <= now, t.dues.c.left_fen > 0), limit=limit)

    def is_any_to_pay(self, now: datetime) -> bool:
        return bool(self.to_pay(now, 1))

    def take(self, due: Due, amount_fen: Fen) -> None:
        """Less is left of it; never less than nothing."""
        self._change(due, left_fen=t.dues.c.left_fen - amount_fen)

    def put_back(self, due: Due, amount_fen: Fen, auto_at: datetime | None) -> None:
        """It was not paid after all; paid without being asked for at ``auto_at``."""
        self._change(due, left_fen=t.dues.c.left_fen + amount_fen, auto_at=auto_at)

    def _change(self, due: Due, **values: Any) -> None:
        statement = sa.update(t.dues).where(_is(due.attempt_id, due.account_ref)).values(**values)
        assert self._connection.execute(statement).rowcount == 1, "a due is never removed"

    def _select(self, condition: sa.ColumnElement[bool], limit: int) -> list[Due]:
        c = t.dues.c
        query = sa.select(*_DUE).where(condition).order_by(c.pay_by, c.due_since, c.attempt_id).limit(limit)
        return [to_record(Due, row) for row in self._connection.execute(query)]


def _is(attempt_id: str, account_ref: str) -> sa.ColumnElement[bool]:
    return sa.and_(t.dues.c.attempt_id == attempt_id, t.dues.c.account_ref == account_ref)


class Withdrawals:
    """Withdrawals."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, withdrawal: Withdrawal) -> None:
        self._connection.execute(sa.insert(t.withdrawals).values(**msgspec.structs.asdict(withdrawal)))

    def get(self, withdrawal_id: str) -> Withdrawal | None:
        found = self._select(t.withdrawals.c.id == withdrawal_id, limit=1)
        return found[0] if found else None

    def save(self, withdrawal: Withdrawal) -> None:
        values = msgspec.structs.asdict(withdrawal)
        changed = self._connection.execute(
            sa.update(t.withdrawals).where(t.withdrawals.c.id == withdrawal.id).values(**values)
        )
        assert changed.rowcount == 1, f"no withdrawal {withdrawal.id}"

    def open_of(self, account_ref: str) -> Withdrawal | None:
        """The withdrawal that an account has asked for and that has not come to its end."""
        c = t.withdrawals.c
        found = self._select(
            sa.and_(c.account_ref == account_ref, c.state.in_(OPEN), c.is_automatic.is_(False)), limit=1
        )
        return found[0] if found else None

    def asked_since(self, account_ref: str, since: datetime) -> tuple[int, Fen]:
        """How many withdrawals an account asked for since then, and for how much; what was not paid does not count."""
        c = t.withdrawals.c
        counted = sa.case((c.state.in_(OPEN), c.amount_fen), else_=c.paid_fen)
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(counted), 0)).where(
            c.account_ref == account_ref, c.is_automatic.is_(False), c.created_at > since, c.state != "refused"
        )
        row = self._connection.execute(query).one()
        return int(row[0]), Fen(int(row[1]))

    def under_way_fen(self, account_ref: str, withdrawal_id: str | None = None) -> Fen:
        """What an account's withdrawals (or one of them) have instructed and the institution has not answered for
        good."""
        i, c = tables.instructions.c, t.withdrawals.c
        query = (
            sa.select(sa.func.coalesce(sa.func.sum(i.amount_fen), 0))
            .select_from(t.withdrawals.join(tables.instructions, i.subject == c.id))
            .where(c.account_ref == account_ref, c.state == "under_way", i.subject != "", i.is_done.is_(False))
        )
        if withdrawal_id is not None:
            query = query.where(c.id == withdrawal_id)
        return Fen(int(self._connection.execute(query).scalar_one()))

    def under_way_by_account(self) -> dict[str, Fen]:
        """Account → what its withdrawals have instructed and is not answered for good."""
        i, c = tables.instructions.c, t.withdrawals.c
        query = (
            sa.select(c.account_ref, sa.func.sum(i.amount_fen))
            .select_from(t.withdrawals.join(tables.instructions, i.subject == c.id))
            .where(i.kind == "withdraw", i.subject != "", i.is_done.is_(False))
            .group_by(c.account_ref)
        )
        return {account_ref: Fen(int(fen)) for account_ref, fen in self._connection.execute(query)}

    def listed(
        self,
        account_ref: str | None,
        campus_id: str | None,
        state: str | None,
        limit: int,
        withdrawal_id: str | None = None,
    ) -> list[Withdrawal]:
        """Withdrawals that fit, newest first; those that are held the other way round: none of them waits unseen."""
        c = t.withdrawals.c
        wanted = ((c.account_ref, account_ref), (c.campus_id, campus_id), (c.state, state), (c.id, withdrawal_id))
        fits = sa.and_(True, *(column == value for column, value in wanted if value is not None))
        return self._select(fits, limit, is_oldest_first=state == "held")

    def parts(self, withdrawal_id: str) -> int:
        """How many instructions a withdrawal has given."""
        i = tables.instructions.c
        query = sa.select(sa.func.count()).where(i.subject == withdrawal_id, i.subject != "")
        return int(self._connection.execute(query).scalar_one())

    def _select(
        self, condition: sa.ColumnElement[bool], limit: int, *, is_oldest_first: bool = False
    ) -> list[Withdrawal]:
        seq = t.withdrawals.c.seq
        query = sa.select(*_WITHDRAWAL).where(condition).order_by(seq if is_oldest_first else seq.desc()).limit(limit)
        return [to_record(Withdrawal, row) for row in self._connection.execute(query)]


class Refunds:
    """Refunds."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, refund: RefundRow) -> None:
        self._connection.execute(sa.insert(t.refunds).values(**msgspec.structs.asdict(refund)))

    def get(self, refund_id: str) -> RefundRow | None:
        found = self._select(t.refunds.c.id == refund_id, limit=1)
        return found[0] if found else None

    def require(self, refund_id: str) -> RefundRow:
        refund = self.get(refund_id)
        assert refund is not None, f"no refund {refund_id}"
        return refund

    def of(self, intent_id: str) -> list[RefundRow]:
        """An intent's refunds, newest first. An order cannot have more of them than the institution's numbers."""
        return self._select(t.refunds.c.intent_id == intent_id, limit=1296)

    def save(self, refund: RefundRow) -> None:
        values = msgspec.structs.asdict(refund)
        changed = self._connection.execute(sa.update(t.refunds).where(t.refunds.c.id == refund.id).values(**values))
        assert changed.rowcount == 1, f"no refund {refund.id}"

    def returning_fen(self, intent_id: str) -> Fen:
        """What refunds are taking out of the intent's hold and have not got back to the payer yet."""
        return Fen(sum(refund.of_path("held") for refund in self.of(intent_id) if refund.state != "done"))

    def is_any_open(self) -> bool:
        """Whether some refund is not with its payer yet."""
        return bool(self.listed(None, None, True, 1))

    def from_hold_fen(self, intent_id: str) -> Fen:
        """What refunds have given back, or are giving back, out of the intent's hold."""
        return Fen(sum(refund.of_path("held") for refund in self.of(intent_id)))

    def listed(self, order_ref: str | None, campus_id: str | None, is_open: bool | None, limit: int) -> list[RefundRow]:
        """Refunds that fit, newest first."""
        c = t.refunds.c
        wanted = [column == value for column, value in ((c.order_ref, order_ref), (c.campus_id, campus_id)) if value]
        if is_open is not None:
            wanted.append(c.state != "done" if is_open else c.state == "done")
        return self._select(sa.and_(True, *wanted), limit)

    def _select(self, condition: sa.ColumnElement[bool], limit: int) -> list[RefundRow]:
        query = sa.select(*_REFUND).where(condition).order_by(t.refunds.c.seq.desc()).limit(limit)
        return [to_record(RefundRow, row) for row in self._connection.execute(query)]


_d = t.deadlines.c
# Built once: every payment needs them, and every pass looks.
_ADD_DEADLINE = sa.insert(t.deadlines)
_DROP_DEADLINE = sa.delete(t.deadlines).where(_d.kind == sa.bindparam("kind"), _d.subject == sa.bindparam("subject"))
_DUE_DEADLINES = (
    sa.select(_d.kind, _d.subject, _d.due_at)
    .where(_d.due_at <= sa.bindparam("now"))
    .order_by(_d.due_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


class Deadlines:
    """What has to be true by a time, or be told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(self, kind: str, subject: str, due_at: datetime) -> None:
        self._connection.execute(_ADD_DEADLINE, {"kind": kind, "subject": subject, "due_at": due_at})

    def drop(self, kind: str, subject: str) -> None:
        """It was met, or told; dropping one that is gone changes nothing."""
        self._connection.execute(_DROP_DEADLINE, {"kind": kind, "subject": subject})

    def due(self, now: datetime, limit: int) -> list[tuple[str, str, datetime]]:
        """(kind, subject, due_at) of the deadlines that have come."""
        rows = self._connection.execute(_DUE_DEADLINES, {"now": now, "most": limit})
        return [(row.kind, row.subject, row.due_at) for row in rows]
