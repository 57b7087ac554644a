"""The schema's history: numbered, forward only; a migration that has shipped is never edited."""

from __future__ import annotations

from payments.store.m_append_only import APPEND_ONLY
from payments.store.m_money import CONFIRM, MONEY
from payments.store.m_reconcile import RECONCILE
from payments.store.m_risk import CODES, RISK
from payments.store.m_timeline import TIMELINE
from payments.store.m_vault import VAULT

#: Split groups (a parent with one child intent per part), risk verdicts and the key of encrypted columns have their
#: columns from the start, so that no later change has to touch a row that money hangs on.
FIRST = (
    """
    CREATE TABLE intents (
        id TEXT PRIMARY KEY,
        campus_id TEXT NOT NULL,
        order_ref TEXT NOT NULL,
        payer_ref TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        description TEXT NOT NULL,
        channels TEXT NOT NULL,
        expires_at BIGINT NOT NULL,
        phase TEXT NOT NULL CHECK (phase IN ('open', 'cancelling', 'cancelled', 'failed')),
        hold_state TEXT NOT NULL,
        paid_attempt TEXT,
        switch_to TEXT,
        is_suspicious BOOLEAN NOT NULL,
        is_settling BOOLEAN NOT NULL,
        captured_fen BIGINT NOT NULL CHECK (captured_fen >= 0),
        released_fen BIGINT NOT NULL CHECK (released_fen >= 0),
        refunded_fen BIGINT NOT NULL CHECK (refunded_fen >= 0),
        reason TEXT NOT NULL,
        parent_intent_id TEXT REFERENCES intents (id),
        part INTEGER,
        risk_verdict TEXT,
        key_id TEXT,
        created_at BIGINT NOT NULL,
        due_at BIGINT,
        lease_until BIGINT,
        CHECK (captured_fen + released_fen <= amount_fen),
        CHECK (refunded_fen <= captured_fen)
    )
    """,
    "CREATE INDEX intents_due ON intents (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX intents_order ON intents (order_ref)",
    """
    CREATE TABLE attempts (
        id TEXT PRIMARY KEY,
        intent_id TEXT NOT NULL REFERENCES intents (id),
        number INTEGER NOT NULL,
        channel TEXT NOT NULL,
        state TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        created_at BIGINT NOT NULL,
        changed_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        dead_after BIGINT NOT NULL,
        ask_at BIGINT NOT NULL,
        asks INTEGER NOT NULL,
        seen TEXT NOT NULL,
        reason TEXT NOT NULL,
        transaction_id TEXT NOT NULL,
        credential TEXT,
        UNIQUE (intent_id, number)
    )
    """,
    """
    CREATE UNIQUE INDEX attempts_one_live ON attempts (intent_id)
        WHERE state IN ('creating', 'issued', 'closing', 'unknown')
    """,
    """
    CREATE TABLE instructions (
        id TEXT PRIMARY KEY,
        intent_id TEXT NOT NULL REFERENCES intents (id),
        attempt_id TEXT NOT NULL REFERENCES attempts (id),
        channel TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('split', 'release', 'refund', 'refund_duplicate')),
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        receivers TEXT NOT NULL,
        finished TEXT NOT NULL,
        reason TEXT NOT NULL,
        is_done BOOLEAN NOT NULL,
        is_reported BOOLEAN NOT NULL,
        tries INTEGER NOT NULL,
        created_at BIGINT NOT NULL,
        due_at BIGINT,
        lease_until BIGINT
    )
    """,
    "CREATE INDEX instructions_due ON instructions (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX instructions_intent ON instructions (intent_id)",
    """
    CREATE TABLE entries (
        seq {serial},
        at BIGINT NOT NULL,
        campus_id TEXT NOT NULL,
        intent_id TEXT NOT NULL REFERENCES intents (id),
        order_ref TEXT NOT NULL,
        attempt_id TEXT NOT NULL,
        debit TEXT NOT NULL,
        credit TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        kind TEXT NOT NULL,
        ref TEXT NOT NULL,
        UNIQUE (ref, kind, debit, credit),
        CHECK (debit <> credit)
    )
    """,
    "CREATE INDEX entries_debit ON entries (debit, seq)",
    "CREATE INDEX entries_credit ON entries (credit, seq)",
    "CREATE INDEX entries_order ON entries (order_ref)",
    "CREATE INDEX entries_campus ON entries (campus_id, kind, credit, amount_fen)",
    """
    CREATE TABLE inbox (
        id TEXT PRIMARY KEY,
        body_hash TEXT NOT NULL,
        at BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE outbox (
        seq {serial},
        id TEXT NOT NULL UNIQUE,
        intent_id TEXT NOT NULL,
        body TEXT NOT NULL,
        acknowledged_at BIGINT
    )
    """,
    "CREATE INDEX outbox_waiting ON outbox (seq) WHERE acknowledged_at IS NULL",
    """
    CREATE TABLE notices (
        channel TEXT NOT NULL,
        notice_id TEXT NOT NULL,
        attempt_id TEXT NOT NULL,
        at BIGINT NOT NULL,
        PRIMARY KEY (channel, notice_id)
    )
    """,
)

MIGRATIONS: list[tuple[str, ...]] = [FIRST, VAULT, RISK, TIMELINE, RECONCILE, MONEY, CODES, APPEND_ONLY, CONFIRM]
