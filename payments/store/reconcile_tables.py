"""The tables of reconciliation, alarms and the webhook as SQLAlchemy sees them."""

from __future__ import annotations

import sqlalchemy as sa

from payments.store.tables import Instant, Json, metadata

#: What the watch asks for every minute, in the words of the partial indexes that answer it.
SUSPICIOUS = "is_suspicious"
HOLDING = "hold_state IN ('held', 'capturing', 'releasing', 'release_failed')"
UNFINISHED = "NOT is_done"

reconciliations = sa.Table(
    "reconciliations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text),
    sa.Column("day", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("tries", sa.Integer),
    sa.Column("reason", sa.Text),
    sa.Column("digest", sa.Text),
    sa.Column("lines", sa.Integer),
    sa.Column("mismatches", sa.Integer),
    sa.Column("sums", Json),
    sa.Column("ran_at", Instant),
    sa.Column("due_at", Instant),
    sa.Column("lease_until", Instant),
)

bill_lines = sa.Table(
    "bill_lines",
    metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("number", sa.Text, primary_key=True),
    sa.Column("attempt_id", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("lines", sa.Integer),
    sa.Column("transaction_id", sa.Text),
    sa.Column("at", Instant),
)

work_items = sa.Table(
    "work_items",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text),
    sa.Column("channel", sa.Text),
    sa.Column("day", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("cause", sa.Text),
    sa.Column("what", sa.Text),
    sa.Column("number", sa.Text),
    sa.Column("attempt_id", sa.Text),
    sa.Column("intent_id", sa.Text),
    sa.Column("campus_id", sa.Text),
    sa.Column("order_ref", sa.Text),
    sa.Column("ours_fen", sa.BigInteger),
    sa.Column("theirs_fen", sa.BigInteger),
    sa.Column("transaction_id", sa.Text),
    sa.Column("repair", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("tries", sa.Integer),
    sa.Column("reason", sa.Text),
    sa.Column("handler", sa.Text),
    sa.Column("found_at", Instant),
    sa.Column("changed_at", Instant),
    sa.Column("due_at", Instant),
    sa.Column("lease_until", Instant),
)

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text),
    sa.Column("campus_id", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("step", sa.Integer),
    sa.Column("parameters", Json),
    sa.Column("times", sa.Integer),
    sa.Column("opened_at", Instant),
    sa.Column("told_at", Instant),
    sa.Column("seen_at", Instant),
    sa.Column("closed_at", Instant),
)

webhook_queue = sa.Table(
    "webhook_queue",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("id", sa.Text),
    sa.Column("body", sa.Text),
    sa.Column("tries", sa.Integer),
    sa.Column("due_at", Instant),
    sa.Column("lease_until", Instant),
)
