"""What came in and what waits to go out: commands applied, notices seen, events nobody has acknowledged yet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.account import AccountEvent
from payments.port import AnyEvent
from payments.store import tables as t

_event = msgspec.json.Decoder(AnyEvent)
_account_event = msgspec.json.Decoder(AccountEvent)

# Built once: every payment needs them.
_GET_COMMAND = sa.select(t.inbox.c.body_hash).where(t.inbox.c.id == sa.bindparam("id"))
_ADD_COMMAND = sa.insert(t.inbox)
_GET_NOTICE = sa.select(t.notices.c.at).where(
    t.notices.c.channel == sa.bindparam("channel"), t.notices.c.notice_id == sa.bindparam("notice_id")
)
_ADD_NOTICE = sa.insert(t.notices)
_ADD_EVENT = sa.insert(t.outbox)


class Inbox:
    """Commands and provider notices that have had their effect."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_new_command(self, command_id: str, body_hash: str, now: datetime) -> bool:
        """Remember the command; False when it was applied before. ValueError: this id had another body."""
        known = self._connection.execute(_GET_COMMAND, {"id": command_id}).scalar()
        if known is not None:
            if known != body_hash:
                raise ValueError(f"command {command_id} was given before with another body")
            return False
        self._connection.execute(_ADD_COMMAND, {"id": command_id, "body_hash": body_hash, "at": now})
        return True

    def is_new_notice(self, channel: str, notice_id: str, attempt_id: str, now: datetime) -> bool:
        """Remember the notice; False when the provider sent it before."""
        wanted = {"channel": channel, "notice_id": notice_id}
        if self._connection.execute(_GET_NOTICE, wanted).first() is not None:
            return False
        self._connection.execute(_ADD_NOTICE, wanted | {"attempt_id": attempt_id, "at": now})
        return True


class Outbox:
    """Events, written in the transaction that made them true."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, event: AnyEvent) -> None:
        """Put an event about an intent, or an alarm (which is about none), on offer."""
        values = {"id": event.id, "intent_id": event.intent_id or "alarm", "body": msgspec.json.encode(event).decode()}
        self._connection.execute(_ADD_EVENT, values)

    def add_of_account(self, event: AccountEvent) -> None:
        values = {"id": event.id, "intent_id": "", "body": msgspec.json.encode(event).decode()}
        self._connection.execute(_ADD_EVENT, values)

    def waiting(self, limit: int) -> list[AnyEvent]:
        """Unacknowledged events of intents and alarms, oldest first."""
        rows = self._waiting(t.outbox.c.intent_id != "", limit)
        return [msgspec.structs.replace(_event.decode(body), seq=seq) for seq, body in rows]

    def waiting_of_accounts(self, limit: int) -> list[AccountEvent]:
        """Unacknowledged events of withdrawals, oldest first."""
        rows = self._waiting(t.outbox.c.intent_id == "", limit)
        return [msgspec.structs.replace(_account_event.decode(body), seq=seq) for seq, body in rows]

    def _waiting(self, condition: sa.ColumnElement[bool], limit: int) -> list[tuple[int, str]]:
        query = (
            sa.select(t.outbox.c.seq, t.outbox.c.body)
            .where(t.outbox.c.acknowledged_at.is_(None), condition)
            .order_by(t.outbox.c.seq)
            .limit(limit)
        )
        return [(row.seq, row.body) for row in self._connection.execute(query)]

    def acknowledge(self, event_ids: Iterable[str], now: datetime) -> None:
        ids = list(event_ids)
        self._connection.execute(
            sa.update(t.outbox)
            .where(t.outbox.c.id.in_(ids), t.outbox.c.acknowledged_at.is_(None))
            .values(acknowledged_at=now)
        )
