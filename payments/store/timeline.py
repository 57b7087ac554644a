"""The timeline as rows that are only ever added, written together at the end of the transaction they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.attempt import Attempt
from payments.outcomes import MoneyAnswer, SplitAnswer
from payments.port import AnyEvent, CallbackTally, TimelineEntry
from payments.store import tables as t
from payments.store.rows import Instruction
from payments.store.timeline_tables import callback_tallies, timeline
from payments.timeline import LEFT_OUT, MOST_REPEATING, REPEATING, Row, RowKind, words

_c = timeline.c
_k = callback_tallies.c
#: What an event says that no timeline may: credentials are secrets until they are paid.
_SECRET = frozenset({"seq", "id", "intent_id", "campus_id", "order_ref", "at", "credential", "type", "account_ref"})
#: Hours of callbacks that are remembered.
TALLY_HOURS = 24 * 8

# Built once: every transaction of a payment needs them.
_ADD = sa.insert(timeline)
_COUNT = sa.select(sa.func.count()).where(
    _c.intent_id == sa.bindparam("intent_id"),
    _c.subject == sa.bindparam("subject"),
    _c.kind.in_(["request", "reply", "exchange", "callback"]),
)


class Timeline:
    """The timeline of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        """Remember what happened; it is written when the transaction ends."""
        self._rows.append(row)

    def attempt(self, attempt: Attempt) -> None:
        """An attempt came into being or moved."""
        facts = {"number": attempt.number, "amount_fen": attempt.amount_fen, "reason": attempt.reason}
        self._note("attempt", attempt.state.value, attempt, attempt.changed_at, facts)

    def request(self, attempt: Attempt, code: str, at: datetime) -> None:
        """A call is about to be made."""
        self._note("request", code, attempt, at, {})

    def reply(self, attempt: Attempt, code: str, at: datetime, **facts: Any) -> None:
        """The call was answered, or was not."""
        self._note("reply", code, attempt, at, facts)

    def callback(self, attempt: Attempt, code: str, at: datetime, **facts: Any) -> None:
        """The provider called about this attempt."""
        self._note("callback", code, attempt, at, facts)

    def instruction(self, order: Instruction) -> None:
        """Money was told to move."""
        facts = {"amount_fen": order.amount_fen, "reason": order.reason, "receivers": len(order.receivers)}
        self._instruction("instruction", order, order.created_at, facts)

    def instructed(self, order: Instruction, answer: SplitAnswer | MoneyAnswer, at: datetime) -> None:
        """What the institution said to it."""
        facts: dict[str, Any] = {"try": order.tries + 1, "reason": answer.reason}
        if isinstance(answer, MoneyAnswer):
            facts["answer"] = answer.standing
        else:
            facts["answer"] = [f"{outcome.party}:{outcome.standing}" for outcome in answer.receivers]
        self._instruction("reply", order, at, facts)

    def _instruction(self, kind: RowKind, order: Instruction, at: datetime, facts: dict[str, Any]) -> None:
        self.add(
            Row(
                at=at,
                intent_id=order.intent_id,
                subject=order.id,
                kind=kind,
                code=order.kind,
                channel=order.channel,
                facts=facts,
            )
        )

    def event(self, event: AnyEvent) -> None:
        """A decision that the outside is told."""
        facts = {name: value for name, value in msgspec.to_builtins(event).items() if name not in _SECRET}
        channel = facts.pop("channel", "")
        code = type(event).__name__
        self.add(
            Row(
                at=event.at,
                intent_id=event.intent_id,
                subject="",
                kind="decision",
                code=code,
                channel=channel,
                facts=facts,
            )
        )

    def _note(self, kind: RowKind, code: str, attempt: Attempt, at: datetime, facts: dict[str, Any]) -> None:
        self.add(
            Row(
                at=at,
                intent_id=attempt.intent_id,
                subject=attempt.id,
                kind=kind,
                code=code,
                channel=attempt.channel,
                facts=facts,
            )
        )

    def flush(self) -> None:
        """Write what this transaction remembered, within the bounds."""
        rows, self._rows = self._rows, []
        repeating: defaultdict[tuple[str, str], int] = defaultdict(int)
        kept: list[Row] = []
        for row in rows:
            if row.kind in REPEATING:
                key = (row.intent_id, row.subject)
                count = repeating.get(key)
                count = self._count_repeating(*key) if count is None else count
                repeating[key] = count + 1
                if count > MOST_REPEATING:
                    continue
                if count == MOST_REPEATING:
                    row = msgspec.structs.replace(row, code=LEFT_OUT, facts={"most": MOST_REPEATING})
            kept.append(row)
        if kept:
            self._connection.execute(_ADD, [msgspec.structs.asdict(row) for row in kept])

    def _count_repeating(self, intent_id: str, subject: str) -> int:
        return int(self._connection.execute(_COUNT, {"intent_id": intent_id, "subject": subject}).scalar_one())

    def of_intents(self, intent_ids: Iterable[str], limit: int) -> list[TimelineEntry]:
        """What happened to these intents, oldest first, at most ``limit`` rows (the newest are kept)."""
        columns = (_c.seq, _c.at, _c.intent_id, _c.subject, _c.kind, _c.code, _c.channel, _c.facts)
        query = sa.select(*columns).where(_c.intent_id.in_(list(intent_ids))).order_by(_c.seq.desc()).limit(limit)
        found = []
        for row in self._connection.execute(query):
            title_zh, title_en = words(row.kind, row.code)
            found.append(TimelineEntry(**row._mapping, title_zh=title_zh, title_en=title_en))
        return found[::-1]

    def intents_of(self, subjects: Iterable[str]) -> dict[str, str]:
        """Which intent each attempt or instruction belongs to; numbers that nobody knows are missing."""
        wanted = sorted(set(subjects))
        found: dict[str, str] = {}
        for table in (t.attempts, t.instructions):
            rows = self._connection.execute(sa.select(table.c.id, table.c.intent_id).where(table.c.id.in_(wanted)))
            found |= {row.id: row.intent_id for row in rows}
        return found

    # -- callbacks, counted -----------------------------------------------------------------------------------------

    def tally(self, channel: str, outcome: str, count: int, reason: str, now: datetime) -> None:
        """So many callbacks of a channel fared like this."""
        hour = int(now.timestamp()) // 3600
        is_this = sa.and_(_k.channel == channel, _k.hour == hour, _k.outcome == outcome)
        values = {"count": _k.count + count, "newest_at": now, "reason": reason}
        if self._connection.execute(sa.update(callback_tallies).where(is_this).values(**values)).rowcount:
            return
        first = {"channel": channel, "hour": hour, "outcome": outcome, "count": count, "newest_at": now}
        self._connection.execute(sa.insert(callback_tallies).values(**first, reason=reason))
        self._connection.execute(sa.delete(callback_tallies).where(_k.hour < hour - TALLY_HOURS))

    def tallies(self, since: datetime) -> list[CallbackTally]:
        """How callbacks fared in the hours from ``since`` on."""
        hour = int(since.timestamp()) // 3600
        query = (
            sa.select(
                _k.channel, _k.outcome, sa.func.sum(_k.count).label("count"), sa.func.max(_k.newest_at).label("newest")
            )
            .where(_k.hour >= hour)
            .group_by(_k.channel, _k.outcome)
            .order_by(_k.channel, _k.outcome)
        )
        whole = since - timedelta(minutes=since.minute, seconds=since.second, microseconds=since.microsecond)
        return [
            CallbackTally(channel=channel, outcome=outcome, count=int(count), newest_at=newest, since=whole)
            for channel, outcome, count, newest in self._connection.execute(query)
        ]
