"""The timeline's tables as SQLAlchemy sees them."""

from __future__ import annotations

import sqlalchemy as sa

from payments.store.tables import Instant, Json, metadata

timeline = sa.Table(
    "timeline",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("at", Instant),
    sa.Column("intent_id", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("code", sa.Text),
    sa.Column("channel", sa.Text),
    sa.Column("facts", Json),
)

callback_tallies = sa.Table(
    "callback_tallies",
    metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True),
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger),
    sa.Column("newest_at", Instant),
    sa.Column("reason", sa.Text),
)
