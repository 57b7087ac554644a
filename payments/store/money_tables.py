"""The tables of money out as SQLAlchemy sees them."""

from __future__ import annotations

import sqlalchemy as sa

from payments.store.tables import Instant, Json, metadata

subsidies = sa.Table(
    "subsidies",
    metadata,
    sa.Column("intent_id", sa.Text, primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("party", sa.Text),
    sa.Column("account_ref", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("ref", sa.Text),
    sa.Column("used_fen", sa.BigInteger),
)

dues = sa.Table(
    "dues",
    metadata,
    sa.Column("attempt_id", sa.Text, primary_key=True),
    sa.Column("account_ref", sa.Text, primary_key=True),
    sa.Column("intent_id", sa.Text),
    sa.Column("campus_id", sa.Text),
    sa.Column("channel", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("left_fen", sa.BigInteger),
    sa.Column("due_since", Instant),
    sa.Column("pay_by", Instant),
    sa.Column("auto_at", Instant),
)

withdrawals = sa.Table(
    "withdrawals",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("id", sa.Text),
    sa.Column("campus_id", sa.Text),
    sa.Column("account_ref", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("paid_fen", sa.BigInteger),
    sa.Column("state", sa.Text),
    sa.Column("is_automatic", sa.Boolean),
    sa.Column("risk", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("reviewed_by", sa.Text),
    sa.Column("review_reason", sa.Text),
    sa.Column("requested_at", Instant),
    sa.Column("created_at", Instant),
    sa.Column("finished_at", Instant),
)

refunds = sa.Table(
    "refunds",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("id", sa.Text),
    sa.Column("intent_id", sa.Text),
    sa.Column("attempt_id", sa.Text),
    sa.Column("channel", sa.Text),
    sa.Column("campus_id", sa.Text),
    sa.Column("order_ref", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("state", sa.Text),
    sa.Column("parts", Json),
    sa.Column("reason", sa.Text),
    sa.Column("asked_at", Instant),
    sa.Column("due_by", Instant),
    sa.Column("done_at", Instant),
    sa.Column("is_overdue", sa.Boolean),
)

deadlines = sa.Table(
    "deadlines",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("due_at", Instant),
)
