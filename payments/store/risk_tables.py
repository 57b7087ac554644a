"""The tables of verdicts and one-time codes as SQLAlchemy sees them."""

from __future__ import annotations

import sqlalchemy as sa

from payments.store.tables import Instant, Json, metadata

risk_verdicts = sa.Table(
    "risk_verdicts",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("id", sa.Text),
    sa.Column("at", Instant),
    sa.Column("campus_id", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("ref", sa.Text),
    sa.Column("intent_id", sa.Text),
    sa.Column("account", sa.Text),
    sa.Column("device", sa.Text),
    sa.Column("ip", sa.Text),
    sa.Column("card", sa.Text),
    sa.Column("amount_fen", sa.BigInteger),
    sa.Column("group_ref", sa.Text),
    sa.Column("incident", sa.Text),
    sa.Column("decision", sa.Text),
    sa.Column("code", sa.Text),
    sa.Column("challenge", sa.Text),
    sa.Column("parameters", Json),
    sa.Column("objections", Json),
    sa.Column("standing", sa.Text),
    sa.Column("tries", sa.Integer),
    sa.Column("decided_at", Instant),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_because", sa.Text),
)

one_time_codes = sa.Table(
    "one_time_codes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account_ref", sa.Text),
    sa.Column("act_hash", sa.Text),
    sa.Column("salt", sa.Text),
    sa.Column("code_hash", sa.Text),
    sa.Column("created_at", Instant),
    sa.Column("expires_at", Instant),
    sa.Column("tries", sa.Integer),
    sa.Column("used_at", Instant),
    sa.Column("confirmed_at", Instant),
    sa.Column("used_for", sa.Text),
)
