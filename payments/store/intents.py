"""Intents and their attempts, as rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.attempt import Attempt, AttemptState
from payments.failover import LAST_LOOK, PROOF_WITHIN_S, Intent
from payments.store import tables as t
from payments.store.rows import IntentRow, to_record
from payments.store.timeline import Timeline

_WAITING = ("issued", "closing", "unknown")
_FIELDS = tuple(IntentRow.__struct_fields__)
_COLUMNS = [t.intents.c[name] for name in _FIELDS]
_ATTEMPT_COLUMNS = [t.attempts.c[name] for name in Attempt.__struct_fields__]

# What every payment asks for is built once: SQLAlchemy takes five times as long to build a statement as to run it.
_WANTED: sa.BindParameter[str] = sa.bindparam("wanted")
_ADD_INTENT = sa.insert(t.intents)
_GET_INTENT = sa.select(*_COLUMNS).where(t.intents.c.id == _WANTED)
_CHANGE_INTENT = sa.update(t.intents).where(t.intents.c.id == _WANTED)
_CLAIM_PAID = sa.update(t.intents).where(t.intents.c.id == _WANTED, t.intents.c.paid_attempt.is_(None))
_IS_HELD = sa.select(t.intents.c.id).where(t.intents.c.id == _WANTED, t.intents.c.lease_until == sa.bindparam("until"))
_CHILDREN = sa.select(*_COLUMNS).where(t.intents.c.parent_intent_id == _WANTED).order_by(t.intents.c.part)
_ADD_ATTEMPT = sa.insert(t.attempts)
_GET_ATTEMPT = sa.select(*_ATTEMPT_COLUMNS).where(t.attempts.c.id == _WANTED)
_ATTEMPTS_OF = sa.select(*_ATTEMPT_COLUMNS).where(t.attempts.c.intent_id == _WANTED).order_by(t.attempts.c.number)
_SAVE_ATTEMPT = sa.update(t.attempts).where(t.attempts.c.id == _WANTED, t.attempts.c.state == sa.bindparam("was"))

_is_of = t.attempts.c.intent_id == t.intents.c.id
#: Nothing was made yet that its payer could pay, or nothing that is there can be paid any more.
_IS_NEW = sa.and_(
    t.intents.c.phase == "open",
    t.intents.c.paid_attempt.is_(None),
    ~sa.exists().where(_is_of, t.attempts.c.state.in_(_WAITING)),
)

_NOW: sa.BindParameter[datetime] = sa.bindparam("now")


def _is_free(table: sa.Table, now: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.due_at <= now, sa.or_(table.c.lease_until.is_(None), table.c.lease_until <= now))


def due_query(table: sa.Table, condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Due rows that nobody holds and that are so, the longest due first: ``now``, and at most ``most``. Built once,
    for every pass looks."""
    query = sa.select(table.c.id).where(_is_free(table, _NOW), condition).order_by(table.c.due_at)
    return query.limit(sa.bindparam("most", type_=sa.Integer))


_DUE_NEW = due_query(t.intents, _IS_NEW)
#: A provider would be asked about this attempt now. A credential nobody wants any more, or whose time is over, is
#: closed before its next question is due; one that is closed is asked about once more, if at all.
_IS_ASKED = sa.or_(
    sa.and_(
        t.attempts.c.state == "issued",
        sa.or_(
            t.attempts.c.expires_at <= _NOW,
            t.intents.c.phase != "open",
            t.intents.c.switch_to.is_not(None),
            t.intents.c.is_suspicious,
            t.intents.c.paid_attempt.is_not(None),
            t.intents.c.risk_verdict != "allow",
        ),
    ),
    sa.and_(t.attempts.c.ask_at <= _NOW, t.attempts.c.state == "issued"),
    sa.and_(
        t.attempts.c.ask_at <= _NOW,
        # Not asked about for ever: people and the bill decide on what is older.
        t.attempts.c.created_at > sa.bindparam("oldest"),
        sa.or_(
            t.attempts.c.state.in_(["closing", "unknown", "abandoned"]),
            sa.and_(t.attempts.c.state == "closed", t.attempts.c.seen == LAST_LOOK),
        ),
    ),
)
_IS_THEIRS = sa.exists().where(_is_of, t.attempts.c.channel.in_(sa.bindparam("without", expanding=True)), _IS_ASKED)
_DUE_ASKED = due_query(t.intents, sa.and_(~_IS_NEW, ~_IS_THEIRS))


class Intents:
    """The intents of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, intent: IntentRow, due_at: datetime | None) -> None:
        values = {name: getattr(intent, name) for name in _FIELDS}
        self._connection.execute(_ADD_INTENT, values | {"due_at": due_at})

    def get(self, intent_id: str) -> IntentRow | None:
        row = self._connection.execute(_GET_INTENT, {"wanted": intent_id}).first()
        return None if row is None else to_record(IntentRow, row)

    def require(self, intent_id: str) -> IntentRow:
        intent = self.get(intent_id)
        assert intent is not None, f"no intent {intent_id}"
        return intent

    def of_order(self, order_ref: str) -> list[IntentRow]:
        rows = self._connection.execute(
            sa.select(*_COLUMNS).where(t.intents.c.order_ref == order_ref).order_by(t.intents.c.created_at)
        )
        return [to_record(IntentRow, row) for row in rows]

    def change(self, intent_id: str, **values: Any) -> None:
        """Set columns of one intent that exists."""
        changed = self._connection.execute(_CHANGE_INTENT, values | {"wanted": intent_id})
        assert changed.rowcount == 1, f"no intent {intent_id}"

    def claim_paid(self, intent_id: str, attempt_id: str) -> bool:
        """The compare-and-set that makes one attempt the payer: True for the first, False for every other."""
        changed = self._connection.execute(_CLAIM_PAID, {"wanted": intent_id, "paid_attempt": attempt_id})
        return changed.rowcount == 1

    def wake(self, intent_id: str, now: datetime) -> None:
        """Let the driver look at this intent now."""
        self.change(intent_id, due_at=now)

    def due_new(self, now: datetime, limit: int) -> list[str]:
        """Up to ``limit`` due intents that nobody holds and whose payer has nothing to pay with (yet)."""
        return due(self._connection, _DUE_NEW, now, limit)

    def due_asked(self, now: datetime, limit: int, without: Collection[str] = ()) -> list[str]:
        """Up to ``limit`` others, but none that is to be asked about now at one of the channels ``without``."""
        return due(
            self._connection,
            _DUE_ASKED,
            now,
            limit,
            without=list(without),
            oldest=now - timedelta(seconds=PROOF_WITHIN_S),
        )

    def lease(self, intent_ids: Collection[str], now: datetime, until: datetime) -> set[str]:
        """Take those of them that are still due; nobody else is given them before ``until``."""
        return lease(self._connection, t.intents, intent_ids, now, until)

    def let_go(self, intent_id: str, due_at: datetime | None) -> None:
        """Done with it for now; ``due_at`` None: until something arrives."""
        self.change(intent_id, due_at=due_at, lease_until=None)

    def is_held(self, intent_id: str, until: datetime) -> bool:
        """Whether the lease that runs until then is still the one on this intent."""
        return self._connection.execute(_IS_HELD, {"wanted": intent_id, "until": until}).first() is not None

    def wake_unfinished(self, now: datetime) -> int:
        """Let the driver look at every intent that has an attempt without an end or waits for one and is not due; how
        many were asleep. Nothing of a normal run sleeps so: this finds what a restored backup or a bug left."""
        unfinished = sa.select(t.attempts.c.intent_id).where(t.attempts.c.state.in_(["creating", *_WAITING]))
        asleep = sa.and_(
            t.intents.c.due_at.is_(None),
            t.intents.c.is_suspicious.is_(False),
            sa.or_(t.intents.c.id.in_(unfinished), t.intents.c.phase == "cancelling"),
        )
        return self._connection.execute(sa.update(t.intents).where(asleep).values(due_at=now)).rowcount

    def children(self, parent_id: str) -> list[IntentRow]:
        """The parts of a split group, first part first."""
        rows = self._connection.execute(_CHILDREN, {"wanted": parent_id})
        return [to_record(IntentRow, row) for row in rows]

    def all_ids(self) -> Sequence[str]:
        return self._connection.execute(sa.select(t.intents.c.id).order_by(t.intents.c.created_at)).scalars().all()


class Attempts:
    """The attempts of one transaction."""

    def __init__(self, connection: Connection, timeline: Timeline) -> None:
        self._connection = connection
        self._timeline = timeline

    def add(self, attempt: Attempt) -> None:
        self._connection.execute(_ADD_ATTEMPT, msgspec.structs.asdict(attempt))
        self._timeline.attempt(attempt)

    def get(self, attempt_id: str) -> Attempt | None:
        row = self._connection.execute(_GET_ATTEMPT, {"wanted": attempt_id}).first()
        return None if row is None else to_record(Attempt, row)

    def require(self, attempt_id: str) -> Attempt:
        attempt = self.get(attempt_id)
        assert attempt is not None, f"no attempt {attempt_id}"
        return attempt

    def of(self, intent: Intent | str) -> list[Attempt]:
        """An intent's attempts, oldest first."""
        wanted = intent if isinstance(intent, str) else intent.id
        return [to_record(Attempt, row) for row in self._connection.execute(_ATTEMPTS_OF, {"wanted": wanted})]

    def save(self, attempt: Attempt, was: AttemptState) -> None:
        """Write the attempt over the row that is still in state ``was``."""
        values = msgspec.structs.asdict(attempt) | {"wanted": attempt.id, "was": was}
        changed = self._connection.execute(_SAVE_ATTEMPT, values)
        assert changed.rowcount == 1, f"attempt {attempt.id} is not {was}"
        if attempt.state is not was:
            self._timeline.attempt(attempt)

    def with_money(self) -> list[Attempt]:
        """Every attempt that money came in by."""
        return self._select(t.attempts.c.state.in_(["paid", "paid_duplicate", "refunded"]))

    def _select(self, condition: sa.ColumnElement[bool]) -> list[Attempt]:
        query = sa.select(*_ATTEMPT_COLUMNS).where(condition).order_by(t.attempts.c.intent_id, t.attempts.c.number)
        return [to_record(Attempt, row) for row in self._connection.execute(query)]


def is_any_due(connection: Connection, table: sa.Table, now: datetime) -> bool:
    """Whether there is a due row that nobody holds."""
    return connection.execute(sa.select(table.c.id).where(_is_free(table, now)).limit(1)).first() is not None


def due(connection: Connection, query: sa.Select[Any], now: datetime, limit: int, **more: Any) -> list[str]:
    """Up to ``limit`` rows that ``due_query`` finds."""
    if limit <= 0:
        return []
    return list(connection.execute(query, {"now": now, "most": limit, **more}).scalars())


def lease(connection: Connection, table: sa.Table, ids: Collection[str], now: datetime, until: datetime) -> set[str]:
    """Take those of the rows that are still due and free: two processes never take the same."""
    if not ids:
        return set()
    taking = sa.update(table).where(table.c.id.in_(ids), _is_free(table, now)).values(lease_until=until)
    return set(connection.execute(taking.returning(table.c.id)).scalars())


def lease_due(connection: Connection, table: sa.Table, now: datetime, until: datetime, limit: int) -> list[str]:
    """Take due rows that nobody holds: each UPDATE repeats the condition, so two processes never take the same."""
    is_free = _is_free(table, now)
    ids = connection.execute(sa.select(table.c.id).where(is_free).order_by(table.c.due_at).limit(limit)).scalars().all()
    return [
        row_id
        for row_id in ids
        if connection.execute(sa.update(table).where(table.c.id == row_id, is_free).values(lease_until=until)).rowcount
    ]
