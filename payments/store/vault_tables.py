"""The table of tokens as SQLAlchemy sees it."""

from __future__ import annotations

import sqlalchemy as sa

from payments.store.tables import Instant, metadata

vault = sa.Table(
    "vault",
    metadata,
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text),
    sa.Column("account_ref", sa.Text),
    sa.Column("fingerprint", sa.Text),
    sa.Column("key_id", sa.Text),
    sa.Column("sealed", sa.Text),
    sa.Column("created_at", Instant),
)
