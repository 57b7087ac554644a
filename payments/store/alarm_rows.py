"""Alarms and the webhook's queue as rows, and the counts that the alarms' rules look at."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.store import reconcile_tables as r
from payments.store import tables as t
from payments.store.intents import _is_free
from payments.store.rows import to_record
from payments.upkeep.alarms import AlarmView, Flow, GhostHour, Waiting

_ALARM = [r.alarms.c[name] for name in AlarmView.__struct_fields__]
#: Closed alarms beyond so many are forgotten, the oldest first.
MOST_CLOSED = 2000
#: So many deliveries wait at most; when more come, the oldest ones are dropped.
MOST_DELIVERIES = 1000
WEEK = timedelta(days=7)
_IS_SUSPICIOUS = sa.text(r.SUSPICIOUS)
_IS_HOLDING = sa.text(r.HOLDING)
_IS_UNFINISHED = sa.text(r.UNFINISHED)

#: Instructions after which money is with its payer again.
_TO_PAYERS = ("refund", "release", "refund_duplicate", "give_back", "take_back")


class AlarmRows:
    """The alarms of one transaction, and what they are about."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self, limit: int = 1000) -> list[AlarmView]:
        """What is wrong now."""
        return self._select(r.alarms.c.closed_at.is_(None), limit)

    def newest(self, limit: int) -> list[AlarmView]:
        """Open and closed ones, the newest first."""
        return self._select(sa.true(), limit)

    def put(self, alarm: AlarmView) -> None:
        """Write the alarm as it is now."""
        values = msgspec.structs.asdict(alarm)
        changed = self._connection.execute(sa.update(r.alarms).where(r.alarms.c.id == alarm.id).values(**values))
        if changed.rowcount == 0:
            self._connection.execute(sa.insert(r.alarms).values(**values))

    def forget(self) -> None:
        """Drop what is over and old."""
        c = r.alarms.c
        over = sa.select(c.id).where(c.closed_at.is_not(None)).order_by(c.closed_at.desc()).offset(MOST_CLOSED)
        # SQLite knows no OFFSET without a LIMIT.
        self._connection.execute(sa.delete(r.alarms).where(c.id.in_(over.limit(10_000).scalar_subquery())))

    def _select(self, condition: sa.ColumnElement[bool], limit: int) -> list[AlarmView]:
        query = sa.select(*_ALARM).where(condition).order_by(r.alarms.c.opened_at.desc(), r.alarms.c.id).limit(limit)
        return [to_record(AlarmView, row) for row in self._connection.execute(query)]

    # -- facts ----------------------------------------------------------------------------------------------------

    def flows(self, now: datetime, within: timedelta, time_to_pay: timedelta) -> list[Flow]:
        """What the payers of each campus did; whoever has only just begun is not counted."""
        c = t.intents.c
        is_whole = sa.or_(c.part.is_(None), c.part == 0)
        asked = self._counts(
            sa.select(c.campus_id, sa.func.count())
            .where(c.created_at >= now - within, c.created_at < now - time_to_pay, is_whole)
            .group_by(c.campus_id)
        )
        paid = self._counts(self._paid(now - within, now))
        last_week = self._counts(self._paid(now - WEEK - within, now - WEEK))
        return [
            Flow(
                campus_id=campus_id,
                asked=asked.get(campus_id, 0),
                paid=paid.get(campus_id, 0),
                paid_last_week=last_week.get(campus_id, 0),
            )
            for campus_id in sorted({*asked, *paid, *last_week})
        ]

    def ghosts(
        self, since: datetime, until: datetime, direct_debits: Collection[str], judged_until: datetime
    ) -> list[GhostHour]:
        """Per channel and hour: payments, and those before ``judged_until`` that no callback ever told of. A direct
        debit tells it itself."""
        e, a = t.entries.c, t.attempts.c
        heard = sa.exists().where(
            t.notices.c.attempt_id == e.attempt_id,
            t.notices.c.channel == a.channel,
            # What is called about a refund or a split says nothing about the payment's own callback.
            t.notices.c.notice_id.not_like("money:%"),
        )
        query = (
            sa.select(a.channel, e.at, heard.label("is_heard"))
            .join_from(t.entries, t.attempts, e.attempt_id == a.id)
            .where(
                e.kind.in_(["pay_in", "duplicate"]),
                e.at >= since,
                e.at < until,
                a.channel.not_in(direct_debits),
            )
        )
        hours: dict[tuple[str, datetime], tuple[int, int]] = {}
        for row in self._connection.execute(query):
            key = row.channel, row.at.replace(minute=0, second=0, microsecond=0)
            payments, ghosts = hours.get(key, (0, 0))
            hours[key] = payments + 1, ghosts + (row.at < judged_until and not row.is_heard)
        return [
            GhostHour(channel=channel, begins_at=begins_at, payments=payments, ghosts=ghosts)
            for (channel, begins_at), (payments, ghosts) in sorted(hours.items())
        ]

    def suspicious(self) -> list[Waiting]:
        """Suspicious payments, per campus."""
        c = t.intents.c
        return self._waiting(c.campus_id, c.created_at, c.order_ref, t.intents, _IS_SUSPICIOUS)

    def old_holds(self, before: datetime) -> list[Waiting]:
        """Money that came in before that and is held still, per campus."""
        c = t.intents.c
        paid_before = sa.exists().where(
            t.entries.c.order_ref == c.order_ref,
            t.entries.c.intent_id == c.id,
            t.entries.c.kind == "hold",
            t.entries.c.at < before,
        )
        return self._waiting(
            c.campus_id,
            c.created_at,
            c.order_ref,
            t.intents,
            sa.and_(_IS_HOLDING, c.created_at < before, paid_before),
        )

    def overdue_refunds(self, before: datetime) -> list[Waiting]:
        """Money that was to be back with its payer and is not, per campus."""
        o, i = t.instructions.c, t.intents.c
        joined = t.instructions.join(t.intents, o.intent_id == i.id)
        is_overdue = sa.and_(_IS_UNFINISHED, o.created_at < before, o.kind.in_(_TO_PAYERS))
        return self._waiting(i.campus_id, o.created_at, i.order_ref, joined, is_overdue)

    def _waiting(
        self,
        of: sa.Column[Any],
        at: sa.Column[Any],
        name: sa.Column[Any],
        source: sa.FromClause,
        condition: sa.ColumnElement[bool] | sa.TextClause,
    ) -> list[Waiting]:
        query = (
            sa.select(of, sa.func.count().label("number"), sa.func.min(at, type_=at.type).label("oldest_at"))
            .select_from(source)
            .where(condition)
            .group_by(of)
        )
        result = []
        for row in self._connection.execute(query).all():
            oldest = sa.select(name).select_from(source).where(condition, of == row[0], at == row.oldest_at).limit(1)
            result.append(
                Waiting(
                    of=row[0],
                    count=row.number,
                    oldest_at=row.oldest_at,
                    oldest=str(self._connection.execute(oldest).scalar()),
                )
            )
        return result

    def _paid(self, since: datetime, until: datetime) -> sa.Select[Any]:
        c = t.entries.c
        return (
            sa.select(c.campus_id, sa.func.count())
            .where(c.kind == "hold", c.at >= since, c.at < until)
            .group_by(c.campus_id)
        )

    def _counts(self, query: sa.Select[Any]) -> dict[str, int]:
        return {row[0]: row[1] for row in self._connection.execute(query)}


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message that waits for the webhook's receiver."""

    seq: int
    id: str
    body: str
    tries: int
    due_at: datetime


_DELIVERY = [r.webhook_queue.c[name] for name in Delivery.__struct_fields__]


class WebhookQueue:
    """What waits to be delivered; a row leaves when it is heard, given up or dropped."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, delivery_id: str, body: str, now: datetime) -> None:
        """Queue a message; beyond the bound the oldest ones go."""
        c = r.webhook_queue.c
        self._connection.execute(
            sa.insert(r.webhook_queue).values(id=delivery_id, body=body, tries=0, due_at=now, lease_until=None)
        )
        newest = sa.select(c.seq).order_by(c.seq.desc()).offset(MOST_DELIVERIES).limit(10_000)
        self._connection.execute(sa.delete(r.webhook_queue).where(c.seq.in_(newest.scalar_subquery())))

    def lease_due(self, now: datetime, until: datetime, limit: int) -> list[Delivery]:
        """Take up to ``limit`` due messages, the oldest first; nobody else is given them before ``until``."""
        c = r.webhook_queue.c
        is_free = _is_free(r.webhook_queue, now)
        found = [
            to_record(Delivery, row)
            for row in self._connection.execute(sa.select(*_DELIVERY).where(is_free).order_by(c.seq).limit(limit))
        ]
        return [
            delivery
            for delivery in found
            if self._connection.execute(
                sa.update(r.webhook_queue).where(c.seq == delivery.seq, is_free).values(lease_until=until)
            ).rowcount
        ]

    def is_any_due(self, now: datetime) -> bool:
        query = sa.select(r.webhook_queue.c.seq).where(_is_free(r.webhook_queue, now)).limit(1)
        return self._connection.execute(query).first() is not None

    def later(self, delivery_id: str, due_at: datetime) -> None:
        """Not heard; again then."""
        c = r.webhook_queue.c
        self._connection.execute(
            sa.update(r.webhook_queue)
            .where(c.id == delivery_id)
            .values(tries=c.tries + 1, due_at=due_at, lease_until=None)
        )

    def remove(self, delivery_ids: Iterable[str]) -> None:
        """Heard, or given up."""
        self._connection.execute(sa.delete(r.webhook_queue).where(r.webhook_queue.c.id.in_(list(delivery_ids))))

    def count(self) -> int:
        """How many messages wait."""
        return self._connection.execute(sa.select(sa.func.count()).select_from(r.webhook_queue)).scalar_one()
