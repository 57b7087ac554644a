"""The tables as SQLAlchemy sees them; the migrations make them, and a test compares the two."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from payments.store.instant import from_us, to_us


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as microseconds."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else to_us(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else from_us(value)


class Json(TypeDecorator[Any]):
    """Anything msgspec can write, kept as text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


metadata = sa.MetaData()

intents = sa.Table(
    "intents",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("campus_id", sa.Text),
    sa.Column("order_ref", sa.Text),
    sa.Column("payer_ref", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("description", sa.Text),
    sa.Column("channels", Json),
    sa.Column("expires_at", Instant),
    sa.Column("phase", sa.Text),
    sa.Column("hold_state", sa.Text),
    sa.Column("paid_attempt", sa.Text),
    sa.Column("switch_to", sa.Text),
    sa.Column("is_suspicious", sa.Boolean),
    sa.Column("is_settling", sa.Boolean),
    sa.Column("captured_fen", sa.BigInteger),
    sa.Column("released_fen", sa.BigInteger),
    sa.Column("refunded_fen", sa.BigInteger),
    sa.Column("reason", sa.Text),
    sa.Column("parent_intent_id", sa.Text),
    sa.Column("part", sa.Integer),
    sa.Column("risk_verdict", sa.Text),
    sa.Column("key_id", sa.Text),
    sa.Column("created_at", Instant),
    sa.Column("due_at", Instant),
    sa.Column("lease_until", Instant),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("intent_id", sa.Text),
    sa.Column("number", sa.Integer),
    sa.Column("channel", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("created_at", Instant),
    sa.Column("changed_at", Instant),
    sa.Column("expires_at", Instant),
    sa.Column("dead_after", Instant),
    sa.Column("ask_at", Instant),
    sa.Column("asks", sa.Integer),
    sa.Column("seen", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("transaction_id", sa.Text),
    sa.Column("credential", Json),
)

instructions = sa.Table(
    "instructions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("intent_id", sa.Text),
    sa.Column("attempt_id", sa.Text),
    sa.Column("channel", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("receivers", Json),
    sa.Column("finished", Json),
    sa.Column("reason", sa.Text),
    sa.Column("is_done", sa.Boolean),
    sa.Column("is_reported", sa.Boolean),
    sa.Column("tries", sa.Integer),
    sa.Column("subject", sa.Text),
    sa.Column("undoes", sa.Text),
    sa.Column("confirm", Json),
    sa.Column("confirm_by", sa.Text),
    sa.Column("created_at", Instant),
    sa.Column("due_at", Instant),
    sa.Column("lease_until", Instant),
)

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("at", Instant),
    sa.Column("campus_id", sa.Text),
    sa.Column("intent_id", sa.Text),
    sa.Column("order_ref", sa.Text),
    sa.Column("attempt_id", sa.Text),
    sa.Column("debit", sa.Text),
    sa.Column("credit", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("kind", sa.Text),
    sa.Column("ref", sa.Text),
)

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("body_hash", sa.Text),
    sa.Column("at", Instant),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("id", sa.Text),
    sa.Column("intent_id", sa.Text),
    sa.Column("body", sa.Text),
    sa.Column("acknowledged_at", Instant),
)

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("notice_id", sa.Text, primary_key=True),
    sa.Column("attempt_id", sa.Text),
    sa.Column("at", Instant),
)
