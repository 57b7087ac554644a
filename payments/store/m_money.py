"""Money out: what runners may withdraw, withdrawals, refunds with their paths, subsidies, and deadlines to keep."""

from __future__ import annotations

from payments.store.reconcile_tables import UNFINISHED

#: Days of 86 400 s, in microseconds: how long after payment a runner's part is paid at the latest.
_PAY_WITHIN_US = 25 * 86_400_000_000
_REFUND_WITHIN_US = 86_400_000_000

_INSTRUCTION = (
    "id, intent_id, attempt_id, channel, kind, amount_fen, receivers, finished, reason, is_done, is_reported, tries,"
    " created_at, due_at, lease_until"
)

MONEY = (
    # A constraint cannot be changed in place everywhere, so the table is made anew with more kinds and a subject.
    """
    CREATE TABLE instructions_with_subject (
        id TEXT PRIMARY KEY,
        intent_id TEXT NOT NULL REFERENCES intents (id),
        attempt_id TEXT NOT NULL REFERENCES attempts (id),
        channel TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN
            ('split', 'release', 'refund', 'refund_duplicate', 'withdraw', 'give_back', 'take_back', 'transfer')),
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        receivers TEXT NOT NULL,
        finished TEXT NOT NULL,
        reason TEXT NOT NULL,
        is_done BOOLEAN NOT NULL,
        is_reported BOOLEAN NOT NULL,
        tries INTEGER NOT NULL,
        subject TEXT NOT NULL,
        undoes TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        due_at BIGINT,
        lease_until BIGINT
    )
    """,
    f"""
    INSERT INTO instructions_with_subject ({_INSTRUCTION}, subject, undoes)
        SELECT {_INSTRUCTION}, CASE WHEN kind IN ('refund', 'refund_duplicate') THEN id ELSE '' END, ''
        FROM instructions
    """,  # noqa: S608
    "DROP TABLE instructions",
    "ALTER TABLE instructions_with_subject RENAME TO instructions",
    "CREATE INDEX instructions_due ON instructions (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX instructions_intent ON instructions (intent_id)",
    "CREATE INDEX instructions_subject ON instructions (subject) WHERE subject <> ''",
    f"CREATE INDEX instructions_unfinished ON instructions (created_at) WHERE {UNFINISHED}",
    """
    CREATE TABLE subsidies (
        intent_id TEXT NOT NULL REFERENCES intents (id),
        part INTEGER NOT NULL,
        party TEXT NOT NULL CHECK (party IN ('campus', 'platform')),
        account_ref TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        ref TEXT NOT NULL,
        used_fen BIGINT NOT NULL CHECK (used_fen >= 0 AND used_fen <= amount_fen),
        PRIMARY KEY (intent_id, part)
    )
    """,
    """
    CREATE TABLE dues (
        attempt_id TEXT NOT NULL REFERENCES attempts (id),
        account_ref TEXT NOT NULL,
        intent_id TEXT NOT NULL REFERENCES intents (id),
        campus_id TEXT NOT NULL,
        channel TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        left_fen BIGINT NOT NULL CHECK (left_fen >= 0 AND left_fen <= amount_fen),
        due_since BIGINT NOT NULL,
        pay_by BIGINT NOT NULL,
        auto_at BIGINT,
        PRIMARY KEY (attempt_id, account_ref)
    )
    """,
    "CREATE INDEX dues_account ON dues (account_ref, pay_by) WHERE left_fen > 0",
    "CREATE INDEX dues_auto ON dues (auto_at) WHERE auto_at IS NOT NULL AND left_fen > 0",
    "CREATE INDEX dues_intent ON dues (intent_id)",
    """
    CREATE TABLE withdrawals (
        seq {serial},
        id TEXT NOT NULL UNIQUE,
        campus_id TEXT NOT NULL,
        account_ref TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        paid_fen BIGINT NOT NULL CHECK (paid_fen >= 0 AND paid_fen <= amount_fen),
        state TEXT NOT NULL CHECK (state IN ('held', 'under_way', 'done', 'failed', 'refused')),
        is_automatic BOOLEAN NOT NULL,
        risk TEXT NOT NULL,
        reason TEXT NOT NULL,
        reviewed_by TEXT NOT NULL,
        review_reason TEXT NOT NULL,
        requested_at BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        finished_at BIGINT
    )
    """,
    """
    CREATE UNIQUE INDEX withdrawals_one_open ON withdrawals (account_ref)
        WHERE state IN ('held', 'under_way') AND NOT is_automatic
    """,
    "CREATE INDEX withdrawals_account ON withdrawals (account_ref, seq)",
    "CREATE INDEX withdrawals_campus ON withdrawals (campus_id, state, seq)",
    """
    CREATE TABLE refunds (
        seq {serial},
        id TEXT NOT NULL UNIQUE,
        intent_id TEXT NOT NULL REFERENCES intents (id),
        attempt_id TEXT NOT NULL REFERENCES attempts (id),
        channel TEXT NOT NULL,
        campus_id TEXT NOT NULL,
        order_ref TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        state TEXT NOT NULL CHECK (state IN ('taking_back', 'paying', 'done')),
        parts TEXT NOT NULL,
        reason TEXT NOT NULL,
        asked_at BIGINT NOT NULL,
        due_by BIGINT NOT NULL,
        done_at BIGINT,
        is_overdue BOOLEAN NOT NULL
    )
    """,
    "CREATE INDEX refunds_intent ON refunds (intent_id)",
    "CREATE INDEX refunds_order ON refunds (order_ref)",
    "CREATE INDEX refunds_open ON refunds (campus_id, seq) WHERE state <> 'done'",
    f"""
    INSERT INTO refunds (id, intent_id, attempt_id, channel, campus_id, order_ref, amount_fen, state, parts, reason,
                         asked_at, due_by, done_at, is_overdue)
        SELECT o.id, o.intent_id, o.attempt_id, o.channel, i.campus_id, i.order_ref, o.amount_fen,
               CASE WHEN o.is_done THEN 'done' ELSE 'paying' END,
               '[{{{{"path":"' || CASE WHEN o.kind = 'refund' THEN 'borne' ELSE 'duplicate' END
                   || '","party":"platform","account_ref":"platform","amount_fen":' || CAST(o.amount_fen AS TEXT)
                   || '}}}}]',
               o.reason, o.created_at, o.created_at + {_REFUND_WITHIN_US},
               CASE WHEN o.is_done THEN o.created_at ELSE NULL END, CAST(0 AS BOOLEAN)
        FROM instructions o JOIN intents i ON i.id = o.intent_id
        WHERE o.kind IN ('refund', 'refund_duplicate') ORDER BY o.created_at, o.id
    """,  # noqa: S608
    # A deadline is dropped once it is met or told.
    """
    CREATE TABLE deadlines (
        kind TEXT NOT NULL CHECK (kind IN ('hold_expiring', 'refund_overdue')),
        subject TEXT NOT NULL,
        due_at BIGINT NOT NULL,
        PRIMARY KEY (kind, subject)
    )
    """,
    "CREATE INDEX deadlines_due ON deadlines (due_at)",
    f"""
    INSERT INTO deadlines (kind, subject, due_at)
        SELECT 'hold_expiring', i.id, a.changed_at + {_PAY_WITHIN_US}
        FROM intents i JOIN attempts a ON a.id = i.paid_attempt
        WHERE COALESCE(i.part, 1) > 0 AND i.hold_state IN ('held', 'capturing', 'releasing', 'release_failed')
    """,  # noqa: S608
    """
    INSERT INTO deadlines (kind, subject, due_at)
        SELECT 'refund_overdue', id, due_by FROM refunds WHERE state <> 'done'
    """,
    # Runners were paid when an order was settled: what a runner's account shows is no longer with the institution.
    """
    INSERT INTO entries (at, campus_id, intent_id, order_ref, attempt_id, debit, credit, amount_fen, kind, ref)
        SELECT e.at, e.campus_id, e.intent_id, e.order_ref, e.attempt_id, e.credit, 'bank:' || a.channel, e.amount_fen,
               'withdraw', e.ref
        FROM entries e JOIN attempts a ON a.id = e.attempt_id
        WHERE e.kind = 'capture' AND e.credit LIKE 'runner:%%' ORDER BY e.seq
    """,
)

#: A transfer may wait for its payee.
CONFIRM = (
    "ALTER TABLE instructions ADD COLUMN confirm TEXT",
    "ALTER TABLE instructions ADD COLUMN confirm_by TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX instructions_confirm ON instructions (confirm_by) WHERE confirm IS NOT NULL",
)
