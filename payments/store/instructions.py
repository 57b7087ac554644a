"""Instructions to the institution, as rows."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.store import tables as t
from payments.store.intents import due, due_query, lease
from payments.store.rows import Instruction, to_record
from payments.store.timeline import Timeline

_COLUMNS = [t.instructions.c[name] for name in Instruction.__struct_fields__]

# Built once: every settlement needs them.
_ADD = sa.insert(t.instructions)
_GET = sa.select(*_COLUMNS).where(t.instructions.c.id == sa.bindparam("wanted"))
_DUE = due_query(t.instructions, t.instructions.c.channel.not_in(sa.bindparam("without", expanding=True)))
_SAVE = sa.update(t.instructions).where(t.instructions.c.id == sa.bindparam("wanted"))


class Instructions:
    """The instructions of one transaction."""

    def __init__(self, connection: Connection, timeline: Timeline) -> None:
        self._connection = connection
        self._timeline = timeline

    def add(self, instruction: Instruction) -> None:
        self._connection.execute(_ADD, msgspec.structs.asdict(instruction))
        self._timeline.instruction(instruction)

    def get(self, instruction_id: str) -> Instruction | None:
        row = self._connection.execute(_GET, {"wanted": instruction_id}).first()
        return None if row is None else to_record(Instruction, row)

    def of(self, intent_id: str) -> list[Instruction]:
        """An intent's instructions, oldest first."""
        return self._select(t.instructions.c.intent_id == intent_id)

    def unfinished(self, kind: str) -> list[Instruction]:
        """Everything of a kind that is not done."""
        return self._select(sa.and_(t.instructions.c.due_at.is_not(None), t.instructions.c.kind == kind))

    def of_subject(self, subject: str) -> list[Instruction]:
        """What was told for one refund or withdrawal, oldest first."""
        return self._select(sa.and_(t.instructions.c.subject == subject, t.instructions.c.subject != ""))

    def to_confirm(self, account_ref: str, limit: int) -> list[Instruction]:
        """What this account's person has to say yes to, oldest first."""
        c = t.instructions.c
        waits = sa.and_(c.confirm_by == account_ref, c.confirm.is_not(None), c.is_done.is_(False))
        return self._select(waits, limit)

    def save(self, instruction: Instruction) -> None:
        """Write it and let go of the lease."""
        values = msgspec.structs.asdict(instruction) | {"lease_until": None, "wanted": instruction.id}
        changed = self._connection.execute(_SAVE, values)
        assert changed.rowcount == 1, f"no instruction {instruction.id}"

    def wake(self, instruction_id: str, now: datetime) -> bool:
        """Let the driver look at this instruction now, unless it is done; False when nobody knows it."""
        known = sa.update(t.instructions).where(t.instructions.c.id == instruction_id)
        due_at = sa.case((t.instructions.c.is_done, None), else_=sa.bindparam("now", now, t.instructions.c.due_at.type))
        return self._connection.execute(known.values(due_at=due_at)).rowcount == 1

    def due(self, now: datetime, limit: int, without: Collection[str] = ()) -> list[str]:
        """Up to ``limit`` due instructions that nobody holds, none of them for one of the channels ``without``."""
        return due(self._connection, _DUE, now, limit, without=list(without))

    def lease(self, numbers: Collection[str], now: datetime, until: datetime) -> set[str]:
        """Take those of them that are still due; nobody else is given them before ``until``."""
        return lease(self._connection, t.instructions, numbers, now, until)

    def _select(self, condition: sa.ColumnElement[bool], limit: int | None = None) -> list[Instruction]:
        query = sa.select(*_COLUMNS).where(condition).order_by(t.instructions.c.created_at, t.instructions.c.id)
        query = query.limit(limit)
        return [to_record(Instruction, row) for row in self._connection.execute(query)]
