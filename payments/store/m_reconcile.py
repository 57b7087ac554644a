"""The migration that brings reconciliation, alarms and the webhook."""

from __future__ import annotations

from payments.store.reconcile_tables import HOLDING, SUSPICIOUS, UNFINISHED

#: ``reconciliations`` gains a row per channel and day, ``bill_lines`` a row per movement that a provider names: they
#: are the evidence of what the institution said, kept as long as the ledger is. ``work_items`` has one row per
#: difference, ever. ``alarms`` and ``webhook_queue`` have their bounds in the code that fills them.
RECONCILE = (
    """
    CREATE TABLE reconciliations (
        id TEXT PRIMARY KEY,
        channel TEXT NOT NULL,
        day TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'agreed', 'differing', 'given_up')),
        tries INTEGER NOT NULL,
        reason TEXT NOT NULL,
        digest TEXT NOT NULL,
        lines INTEGER NOT NULL,
        mismatches INTEGER NOT NULL,
        sums TEXT NOT NULL,
        ran_at BIGINT,
        due_at BIGINT,
        lease_until BIGINT,
        UNIQUE (channel, day)
    )
    """,
    "CREATE INDEX reconciliations_due ON reconciliations (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX reconciliations_day ON reconciliations (day, channel)",
    """
    CREATE TABLE bill_lines (
        channel TEXT NOT NULL,
        day TEXT NOT NULL,
        kind TEXT NOT NULL,
        number TEXT NOT NULL,
        attempt_id TEXT NOT NULL,
        amount_fen BIGINT NOT NULL,
        lines INTEGER NOT NULL,
        transaction_id TEXT NOT NULL,
        at BIGINT,
        PRIMARY KEY (channel, day, kind, number)
    )
    """,
    "CREATE INDEX bill_lines_number ON bill_lines (number)",
    "CREATE INDEX bill_lines_attempt ON bill_lines (attempt_id)",
    """
    CREATE TABLE work_items (
        id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES reconciliations (id),
        channel TEXT NOT NULL,
        day TEXT NOT NULL,
        kind TEXT NOT NULL,
        cause TEXT NOT NULL,
        what TEXT NOT NULL,
        number TEXT NOT NULL,
        attempt_id TEXT NOT NULL,
        intent_id TEXT NOT NULL,
        campus_id TEXT NOT NULL,
        order_ref TEXT NOT NULL,
        ours_fen BIGINT NOT NULL,
        theirs_fen BIGINT NOT NULL,
        transaction_id TEXT NOT NULL,
        repair TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('repairing', 'repaired', 'open', 'taken', 'closed')),
        tries INTEGER NOT NULL,
        reason TEXT NOT NULL,
        handler TEXT NOT NULL,
        found_at BIGINT NOT NULL,
        changed_at BIGINT NOT NULL,
        due_at BIGINT,
        lease_until BIGINT
    )
    """,
    "CREATE INDEX work_items_run ON work_items (run_id)",
    "CREATE INDEX work_items_open ON work_items (state, found_at)",
    "CREATE INDEX work_items_due ON work_items (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE alarms (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        campus_id TEXT NOT NULL,
        subject TEXT NOT NULL,
        step INTEGER NOT NULL,
        parameters TEXT NOT NULL,
        times INTEGER NOT NULL,
        opened_at BIGINT NOT NULL,
        told_at BIGINT NOT NULL,
        seen_at BIGINT NOT NULL,
        closed_at BIGINT
    )
    """,
    "CREATE UNIQUE INDEX alarms_open ON alarms (kind, campus_id, subject) WHERE closed_at IS NULL",
    "CREATE INDEX alarms_opened ON alarms (opened_at)",
    """
    CREATE TABLE webhook_queue (
        seq {serial},
        id TEXT NOT NULL UNIQUE,
        body TEXT NOT NULL,
        tries INTEGER NOT NULL,
        due_at BIGINT NOT NULL,
        lease_until BIGINT
    )
    """,
    "CREATE INDEX webhook_queue_due ON webhook_queue (due_at)",
    "CREATE INDEX entries_at ON entries (at)",
    "CREATE INDEX entries_attempt ON entries (attempt_id)",
    "CREATE INDEX attempts_channel ON attempts (channel, created_at)",
    "CREATE INDEX notices_attempt ON notices (attempt_id)",
    "CREATE INDEX intents_created ON intents (created_at)",
    # The watch asks in these very words, or SQLite would not see that the index answers.
    f"CREATE INDEX intents_suspicious ON intents (campus_id) WHERE {SUSPICIOUS}",
    f"CREATE INDEX intents_holding ON intents (created_at) WHERE {HOLDING}",
    f"CREATE INDEX instructions_unfinished ON instructions (created_at) WHERE {UNFINISHED}",
)
