"""Verdicts on requests, which are the history of the next ones, and one-time codes; both are bounded by age."""

from __future__ import annotations

RISK = (
    """
    CREATE TABLE risk_verdicts (
        seq {serial},
        id TEXT NOT NULL UNIQUE,
        at BIGINT NOT NULL,
        campus_id TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('pay', 'refund', 'coupon')),
        ref TEXT NOT NULL,
        intent_id TEXT,
        account TEXT NOT NULL,
        device TEXT,
        ip TEXT,
        card TEXT,
        amount_fen BIGINT NOT NULL,
        group_ref TEXT NOT NULL,
        incident TEXT NOT NULL,
        decision TEXT NOT NULL CHECK (decision IN ('allow', 'challenge', 'hold', 'refuse')),
        code TEXT NOT NULL,
        challenge TEXT,
        parameters TEXT NOT NULL,
        objections TEXT NOT NULL,
        standing TEXT NOT NULL CHECK (standing IN ('closed', 'open', 'passed', 'released', 'refused')),
        tries INTEGER NOT NULL,
        decided_at BIGINT,
        decided_by TEXT NOT NULL,
        decided_because TEXT NOT NULL,
        UNIQUE (kind, ref)
    )
    """,
    "CREATE INDEX risk_account ON risk_verdicts (account, at)",
    "CREATE INDEX risk_device ON risk_verdicts (device, at) WHERE device IS NOT NULL",
    "CREATE INDEX risk_card ON risk_verdicts (card, at) WHERE card IS NOT NULL",
    "CREATE INDEX risk_ip ON risk_verdicts (ip, at) WHERE ip IS NOT NULL AND decision <> 'allow'",
    "CREATE INDEX risk_coupons ON risk_verdicts (campus_id, at) WHERE kind = 'coupon'",
    "CREATE INDEX risk_campus ON risk_verdicts (campus_id, seq) WHERE decision <> 'allow'",
    "CREATE INDEX risk_age ON risk_verdicts (at)",
    """
    CREATE TABLE one_time_codes (
        id TEXT PRIMARY KEY,
        account_ref TEXT NOT NULL,
        act_hash TEXT NOT NULL,
        salt TEXT NOT NULL,
        code_hash TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        tries INTEGER NOT NULL,
        used_at BIGINT
    )
    """,
    "CREATE INDEX one_time_codes_account ON one_time_codes (account_ref, created_at)",
    "CREATE INDEX one_time_codes_age ON one_time_codes (expires_at)",
)

#: A code is confirmed by its person first, and then used by the one command that it allows.
CODES = (
    "ALTER TABLE one_time_codes ADD COLUMN confirmed_at BIGINT",
    "ALTER TABLE one_time_codes ADD COLUMN used_for TEXT",
)
