"""Tokens and the sealed secrets behind them; one row for each account's secret, kept until it is forgotten."""

from __future__ import annotations

VAULT = (
    """
    CREATE TABLE vault (
        token TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        account_ref TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        key_id TEXT NOT NULL,
        sealed TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        UNIQUE (kind, account_ref, fingerprint)
    )
    """,
    "CREATE INDEX vault_key ON vault (key_id)",
    "CREATE INDEX vault_account ON vault (account_ref)",
)
