"""Runs of reconciliation, the bills' lines, the work items, and our side of a bill, as rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.money import Fen
from payments.outcomes import BillKind, Capabilities
from payments.reconcile.compare import (
    BOOKED_KINDS,
    AttemptFacts,
    Billed,
    Booked,
    InstructionFacts,
    Key,
    OtherDays,
    Ours,
)
from payments.reconcile.view import UNFINISHED, Cause, ReconciliationView, Sums, WorkItemView
from payments.store import reconcile_tables as r
from payments.store import tables as t
from payments.store.intents import due, due_query, is_any_due, lease, lease_due
from payments.store.rows import to_record

_RUN = [r.reconciliations.c[name] for name in ReconciliationView.__struct_fields__]
_ITEM = [r.work_items.c[name] for name in WorkItemView.__struct_fields__]
_BILLED = tuple(name for name in Billed.__struct_fields__ if name != "flow_fen")
#: SQLite's oldest bound on the parameters of one statement, less some.
_CHUNK = 900

_e = t.entries.c
#: A captured part moves when it is split: a merchant's under that number, a runner's when it is withdrawn.
_IS_ON_BILL = sa.and_(
    _e.kind.in_(BOOKED_KINDS),
    sa.or_(
        _e.kind != "capture",
        sa.and_(_e.credit.not_like("runner:%"), _e.credit.not_like("owed:%"), _e.ref.like(_e.attempt_id + "S%")),
    ),
)


class Reconciliations:
    """The reconciliation of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # -- runs -----------------------------------------------------------------------------------------------------

    def newest_day(self, channel: str) -> date | None:
        """The last day of the channel that has a run."""
        newest = sa.select(sa.func.max(r.reconciliations.c.day)).where(r.reconciliations.c.channel == channel)
        day = self._connection.execute(newest).scalar()
        return None if day is None else date.fromisoformat(day)

    def first_attempt_at(self, channel: str) -> datetime | None:
        """When the channel's first attempt was made."""
        query = sa.select(t.attempts.c.created_at).where(t.attempts.c.channel == channel)
        return self._connection.execute(query.order_by(t.attempts.c.created_at).limit(1)).scalar()

    def add(self, run: ReconciliationView) -> None:
        self._connection.execute(sa.insert(r.reconciliations).values(**_values(run)))

    def get(self, run_id: str) -> ReconciliationView | None:
        found = self._runs(sa.select(*_RUN).where(r.reconciliations.c.id == run_id))
        return found[0] if found else None

    def newest(self, limit: int) -> list[ReconciliationView]:
        """The newest runs first."""
        c = r.reconciliations.c
        return self._runs(sa.select(*_RUN).order_by(c.day.desc(), c.channel).limit(limit))

    def without_bill(self, since: date, before: date) -> list[ReconciliationView]:
        """Runs of the days from ``since`` until before ``before`` whose bill has not come."""
        c = r.reconciliations.c
        unfinished = c.state.in_(["waiting", "given_up"])
        is_within = sa.and_(c.day >= since.isoformat(), c.day < before.isoformat())
        return self._runs(sa.select(*_RUN).where(unfinished, is_within).order_by(c.day).limit(100))

    def save(self, run: ReconciliationView) -> None:
        """Write it and let go of the lease."""
        values = _values(run) | {"lease_until": None}
        changed = self._connection.execute(
            sa.update(r.reconciliations).where(r.reconciliations.c.id == run.id).values(**values)
        )
        assert changed.rowcount == 1, f"no run {run.id}"

    def lease_due(self, now: datetime, until: datetime, limit: int) -> list[str]:
        return lease_due(self._connection, r.reconciliations, now, until, limit)

    def is_any_due(self, now: datetime) -> bool:
        """Whether a run or an item's repair is due."""
        return is_any_due(self._connection, r.reconciliations, now) or is_any_due(self._connection, r.work_items, now)

    def _runs(self, query: sa.Select[Any]) -> list[ReconciliationView]:
        return [to_record(ReconciliationView, row) for row in self._connection.execute(query)]

    # -- the bill -------------------------------------------------------------------------------------------------

    def put_bill(self, channel: str, day: date, lines: Iterable[Billed]) -> None:
        """The bill of that day, in place of what was there before."""
        c = r.bill_lines.c
        self._connection.execute(sa.delete(r.bill_lines).where(c.channel == channel, c.day == day.isoformat()))
        rows = [
            {"channel": channel, "day": day.isoformat(), **{name: getattr(line, name) for name in _BILLED}}
            for line in lines
        ]
        if rows:
            self._connection.execute(sa.insert(r.bill_lines), rows)

    def other_days(self, channel: str, day: date, numbers: Collection[str]) -> OtherDays:
        """What the bills of other days say of these numbers, attempts' and instructions'."""
        is_other = r.bill_lines.c.day != day.isoformat()
        return OtherDays(
            sums=self._billed(is_other, channel, numbers), returned=self._returned(is_other, channel, numbers)
        )

    def billed_fen(self, channel: str, key: Key) -> Fen:
        """What all bills together say of one movement."""
        return self._billed(sa.true(), channel, [key[1]]).get(key, Fen(0))

    def _billed(self, condition: sa.ColumnElement[bool], channel: str, numbers: Collection[str]) -> dict[Key, Fen]:
        c = r.bill_lines.c
        result: dict[Key, Fen] = {}
        for chunk in _chunks(numbers):
            query = (
                sa.select(c.kind, c.number, sa.func.sum(c.amount_fen))
                .where(c.channel == channel, c.number.in_(chunk), condition)
                .group_by(c.kind, c.number)
            )
            for kind, number, sum_fen in self._connection.execute(query):
                result[kind, number] = Fen(int(sum_fen))
        return result

    def _returned(
        self, condition: sa.ColumnElement[bool], channel: str, attempt_ids: Collection[str]
    ) -> dict[str, Fen]:
        """What went back of these attempts under numbers that we never gave."""
        c = r.bill_lines.c
        is_ours = sa.exists().where(t.instructions.c.id == c.number)
        result: dict[str, Fen] = {}
        for chunk in _chunks(attempt_ids):
            query = (
                sa.select(c.attempt_id, sa.func.sum(c.amount_fen))
                .where(c.channel == channel, c.kind == "refunded", c.attempt_id.in_(chunk), condition, sa.not_(is_ours))
                .group_by(c.attempt_id)
            )
            for attempt_id, sum_fen in self._connection.execute(query):
                result[attempt_id] = Fen(int(sum_fen))
        return result

    # -- our side -------------------------------------------------------------------------------------------------

    def ours(
        self,
        shape: Capabilities,
        numbers: Collection[str],
        orders: Collection[str],
        span: tuple[datetime, datetime],
    ) -> Ours:
        """What we know of these numbers, and every movement of the channel in that time and of these ``orders``
        (attempts that the bill names instead of what was done with them)."""
        moves = self._moves(shape.code)
        happened = sa.select(t.entries.c.ref).distinct().where(moves, *_within(span))
        refs = {*numbers, *self._connection.execute(happened).scalars()}
        refs |= self._refs_of(orders)
        return Ours(
            attempts=self._attempts(numbers),
            instructions=self._instructions(numbers),
            booked=self._of(refs, moves, shape),
        )

    def sums(self, shape: Capabilities, span: tuple[datetime, datetime]) -> Sums:
        """The channel's movements in that time by our books."""
        query = (
            sa.select(t.entries.c.kind, sa.func.sum(t.entries.c.amount_fen))
            .where(self._moves(shape.code), *_within(span))
            .group_by(t.entries.c.kind)
        )
        sums: dict[str, int] = {}
        for kind, sum_fen in self._connection.execute(query):
            for moved in _movements(kind, shape):
                name = f"{moved}_fen"
                sums[name] = sums.get(name, 0) + int(sum_fen)
        return msgspec.convert(sums, Sums)

    def booked_fen(self, key: Key, shape: Capabilities) -> Fen:
        """What our books say of one movement, by its own number or by its order's."""
        refs = {key[1], *self._refs_of([key[1]])}
        return Fen(sum(row.amount_fen for row in self._of(refs, _IS_ON_BILL, shape) if key in (row.key, row.order_key)))

    def _refs_of(self, attempt_ids: Collection[str]) -> set[str]:
        """The numbers of everything that was done with these attempts."""
        c = t.entries.c
        return {
            ref
            for chunk in _chunks(attempt_ids)
            for ref in self._connection.execute(sa.select(c.ref).distinct().where(c.attempt_id.in_(chunk))).scalars()
        }

    def _moves(self, channel: str) -> sa.ColumnElement[bool]:
        of_channel = sa.exists().where(t.attempts.c.id == t.entries.c.attempt_id, t.attempts.c.channel == channel)
        return sa.and_(_IS_ON_BILL, of_channel)

    def _of(self, refs: Collection[str], condition: sa.ColumnElement[bool], shape: Capabilities) -> tuple[Booked, ...]:
        c = t.entries.c
        rows = (
            row
            for chunk in _chunks(refs)
            for row in self._connection.execute(
                sa.select(c.kind, c.ref, c.attempt_id, c.amount_fen, c.at, c.debit, c.credit).where(
                    c.ref.in_(chunk), condition
                )
            )
        )
        return tuple(
            Booked(
                kind=kind,
                number=row.ref,
                attempt_id=row.attempt_id,
                amount_fen=Fen(row.amount_fen),
                at=row.at,
                is_billed=_is_billed(kind, row, shape),
            )
            for row in rows
            for kind in _movements(row.kind, shape)
        )

    def _attempts(self, numbers: Collection[str]) -> dict[str, AttemptFacts]:
        a, i = t.attempts.c, t.intents.c
        result: dict[str, AttemptFacts] = {}
        for chunk in _chunks(numbers):
            query = (
                sa.select(a.id, a.intent_id, a.channel, a.amount_fen, i.paid_attempt)
                .join_from(t.attempts, t.intents, a.intent_id == i.id)
                .where(a.id.in_(chunk))
            )
            for row in self._connection.execute(query):
                result[row.id] = AttemptFacts(
                    intent_id=row.intent_id,
                    channel=row.channel,
                    amount_fen=Fen(row.amount_fen),
                    is_intent_paid=row.paid_attempt not in (None, row.id),
                )
        return result

    def _instructions(self, numbers: Collection[str]) -> dict[str, InstructionFacts]:
        c = t.instructions.c
        return {
            row.id: InstructionFacts(channel=row.channel, amount_fen=Fen(row.amount_fen))
            for chunk in _chunks(numbers)
            for row in self._connection.execute(sa.select(c.id, c.channel, c.amount_fen).where(c.id.in_(chunk)))
        }

    # -- work items -----------------------------------------------------------------------------------------------

    def known_items(self, ids: Collection[str]) -> set[str]:
        """Which of these items there are already."""
        c = r.work_items.c
        return {
            item_id
            for chunk in _chunks(ids)
            for item_id in self._connection.execute(sa.select(c.id).where(c.id.in_(chunk))).scalars()
        }

    def add_item(self, item: WorkItemView) -> None:
        self._connection.execute(sa.insert(r.work_items).values(**_values(item)))

    def item(self, item_id: str) -> WorkItemView | None:
        found = self._items(r.work_items.c.id == item_id, 1)
        return found[0] if found else None

    def items_of_run(self, run_id: str, limit: int, campus_ids: Collection[str] | None = None) -> list[WorkItemView]:
        """What a run found first, oldest first; of these campuses, or of all."""
        return self._items(sa.and_(r.work_items.c.run_id == run_id, _of_campuses(campus_ids)), limit)

    def unfinished_items(self, limit: int, campus_ids: Collection[str] | None = None) -> list[WorkItemView]:
        """What needs a person, oldest first; of these campuses, or of all."""
        return self._items(sa.and_(r.work_items.c.state.in_(UNFINISHED), _of_campuses(campus_ids)), limit)

    def count_unfinished(self) -> dict[str, int]:
        """How many items of each channel need a person."""
        c = r.work_items.c
        query = sa.select(c.channel, sa.func.count()).where(c.state.in_(UNFINISHED)).group_by(c.channel)
        return {row[0]: row[1] for row in self._connection.execute(query)}

    def waiting_items(self, channel: str, *causes: Cause) -> list[WorkItemView]:
        """A channel's items of these causes that nobody has taken yet."""
        c = r.work_items.c
        is_waiting = sa.and_(c.channel == channel, c.cause.in_(causes), c.state.in_(["repairing", "open"]))
        return self._items(is_waiting, 1000)

    def save_item(self, item: WorkItemView) -> None:
        """Write it and let go of the lease."""
        values = _values(item) | {"lease_until": None}
        changed = self._connection.execute(sa.update(r.work_items).where(r.work_items.c.id == item.id).values(**values))
        assert changed.rowcount == 1, f"no item {item.id}"

    def lease_due_items(self, now: datetime, until: datetime, limit: int, run_id: str | None = None) -> list[str]:
        """Take items whose repair is due: of one run, or of any."""
        of_run = sa.true() if run_id is None else r.work_items.c.run_id == run_id
        found = due(self._connection, due_query(r.work_items, of_run), now, limit)
        taken = lease(self._connection, r.work_items, found, now, until)
        return [item_id for item_id in found if item_id in taken]

    def _items(self, condition: sa.ColumnElement[bool], limit: int) -> list[WorkItemView]:
        c = r.work_items.c
        query = sa.select(*_ITEM).where(condition).order_by(c.found_at, c.id).limit(limit)
        return [to_record(WorkItemView, row) for row in self._connection.execute(query)]


def _of_campuses(campus_ids: Collection[str] | None) -> sa.ColumnElement[bool]:
    return sa.true() if campus_ids is None else r.work_items.c.campus_id.in_(campus_ids)


def _movements(kind: str, shape: Capabilities) -> tuple[BillKind, ...]:
    """What an entry moves at the institution: a withdrawal may be a split and, after it, a transfer."""
    if kind == "withdraw" and shape.transfers_withdrawals:
        return BOOKED_KINDS[kind], "transferred"
    return (BOOKED_KINDS[kind],)


def _is_billed(kind: BillKind, row: Any, shape: Capabilities) -> bool:
    if kind == "transferred":
        return shape.bills_transfers
    return kind in ("paid", "refunded") or _party(row) in shape.billed_parts


def _party(row: Any) -> str:
    """Who got a part, or gave it back."""
    account: str = row.credit if row.kind == "capture" else row.debit
    return account.partition(":")[0]


def _within(span: tuple[datetime, datetime]) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return t.entries.c.at >= span[0], t.entries.c.at < span[1]


def _values(record: msgspec.Struct) -> dict[str, Any]:
    values = msgspec.structs.asdict(record)
    return values | {"day": values["day"].isoformat()}


def _chunks(values: Iterable[str]) -> Iterator[Sequence[str]]:
    left = iter(sorted(set(values)))
    while chunk := list(islice(left, _CHUNK)):
        yield chunk
