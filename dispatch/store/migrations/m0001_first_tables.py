"""Version 1: accounts, campuses, orders and all that moves them."""

from __future__ import annotations

from sqlalchemy import Connection

_TABLES = (
    """CREATE TABLE accounts (
        id TEXT PRIMARY KEY, name_sealed {blob} NOT NULL, phone_sealed {blob} NOT NULL,
        phone_hash {blob} NOT NULL UNIQUE, key_id TEXT NOT NULL, language TEXT NOT NULL,
        is_blocked BOOLEAN NOT NULL, created_at BIGINT NOT NULL, password_hash TEXT)""",
    """CREATE TABLE campuses (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, settings TEXT NOT NULL, created_at BIGINT NOT NULL,
        version BIGINT NOT NULL, map {blob} NOT NULL)""",
    """CREATE TABLE memberships (
        account_id TEXT NOT NULL REFERENCES accounts (id), campus_id TEXT NOT NULL, roles TEXT NOT NULL,
        runner_status TEXT NOT NULL, credit BIGINT NOT NULL, vehicle TEXT NOT NULL, is_on_duty BOOLEAN NOT NULL,
        PRIMARY KEY (account_id, campus_id))""",
    """CREATE TABLE orders (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, student_id TEXT NOT NULL, type_code TEXT NOT NULL,
        status TEXT NOT NULL, version BIGINT NOT NULL, quote TEXT NOT NULL, service_fen BIGINT NOT NULL,
        goods_cap_fen BIGINT NOT NULL, stops TEXT NOT NULL, stops_sealed {blob}, key_id TEXT,
        description TEXT NOT NULL, weight_g BIGINT NOT NULL, placed_at BIGINT NOT NULL, promised_at BIGINT NOT NULL,
        merchant_id TEXT, runner_id TEXT, pickup_after BIGINT, paid_at BIGINT, assigned_at BIGINT,
        picked_up_at BIGINT, delivered_at BIGINT, confirmed_at BIGINT, cancelled_at BIGINT, cancel_reason TEXT,
        goods_actual_fen BIGINT, held_fen BIGINT NOT NULL, captured_fen BIGINT NOT NULL, released_fen BIGINT NOT NULL,
        refunded_fen BIGINT NOT NULL, pin TEXT NOT NULL, pin_tries BIGINT NOT NULL, rating BIGINT,
        rating_text TEXT NOT NULL)""",
    """CREATE TABLE tasks (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, order_id TEXT NOT NULL UNIQUE REFERENCES orders (id),
        status TEXT NOT NULL, version BIGINT NOT NULL, runner_id TEXT, opened_at BIGINT NOT NULL, offer_id TEXT,
        decision_id TEXT, fence BIGINT NOT NULL)""",
    """CREATE TABLE offers (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, task_id TEXT NOT NULL REFERENCES tasks (id),
        order_id TEXT NOT NULL, runner_id TEXT NOT NULL, status TEXT NOT NULL, offered_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL, decision_id TEXT)""",
    """CREATE TABLE decisions (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, task_id TEXT NOT NULL, order_id TEXT NOT NULL,
        at BIGINT NOT NULL, mode TEXT NOT NULL, runner_id TEXT, regret_s DOUBLE PRECISION, fence BIGINT NOT NULL,
        candidates TEXT NOT NULL, note TEXT NOT NULL)""",
    """CREATE TABLE events (
        seq {sequence}, id TEXT NOT NULL UNIQUE, campus_id TEXT NOT NULL, kind TEXT NOT NULL,
        subject_id TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL, payload TEXT NOT NULL, actor_id TEXT,
        student_id TEXT, runner_id TEXT, former_runner_id TEXT, private TEXT, published_at BIGINT)""",
    """CREATE TABLE commands (
        seq {sequence}, id TEXT NOT NULL UNIQUE, campus_id TEXT NOT NULL, order_id TEXT NOT NULL, kind TEXT NOT NULL,
        body {blob} NOT NULL, created_at BIGINT NOT NULL, sent_at BIGINT)""",
    """CREATE TABLE inbox (
        event_id TEXT NOT NULL, campus_id TEXT NOT NULL, accepted_at BIGINT NOT NULL,
        PRIMARY KEY (event_id, campus_id))""",
    """CREATE TABLE jobs (
        campus_id TEXT NOT NULL, kind TEXT NOT NULL, subject_id TEXT NOT NULL, due_at BIGINT NOT NULL,
        payload TEXT NOT NULL, fence BIGINT NOT NULL, tries BIGINT NOT NULL, holder TEXT, leased_until BIGINT,
        PRIMARY KEY (campus_id, kind, subject_id))""",
    """CREATE TABLE leases (
        name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence BIGINT NOT NULL, expires_at BIGINT NOT NULL)""",
    """CREATE TABLE audit (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, at BIGINT NOT NULL, actor_id TEXT NOT NULL,
        action TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL, before TEXT, after TEXT)""",
    """CREATE TABLE idempotency (
        campus_id TEXT NOT NULL, account_id TEXT NOT NULL, key TEXT NOT NULL, request_hash {blob} NOT NULL,
        answer {blob} NOT NULL, stored_at BIGINT NOT NULL, PRIMARY KEY (campus_id, account_id, key))""",
    """CREATE TABLE photos (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, order_id TEXT NOT NULL REFERENCES orders (id),
        runner_id TEXT NOT NULL, taken_at BIGINT NOT NULL, jpeg {blob} NOT NULL, width BIGINT NOT NULL,
        height BIGINT NOT NULL)""",
    """CREATE TABLE alerts (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, kind TEXT NOT NULL, subject_id TEXT NOT NULL,
        raised_at BIGINT NOT NULL, text_zh TEXT NOT NULL, text_en TEXT NOT NULL, acknowledged_at BIGINT,
        acknowledged_by TEXT, UNIQUE (campus_id, kind, subject_id))""",
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES accounts (id), campus_id TEXT NOT NULL,
        refresh_hash {blob} NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, revoked_at BIGINT,
        roles TEXT)""",
    """CREATE TABLE sign_in_codes (
        phone_hash {blob} NOT NULL, campus_id TEXT NOT NULL, code_hash {blob} NOT NULL, sent_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL, failures BIGINT NOT NULL, PRIMARY KEY (phone_hash, campus_id))""",
    """CREATE TABLE links (
        code_hash {blob} NOT NULL PRIMARY KEY, account_id TEXT NOT NULL, campus_id TEXT NOT NULL, roles TEXT,
        expires_at BIGINT NOT NULL)""",
    """CREATE TABLE lockouts (
        key_hash {blob} NOT NULL PRIMARY KEY, failures BIGINT NOT NULL, failed_at BIGINT NOT NULL,
        locked_until BIGINT)""",
)

_INDEXES = (
    "CREATE INDEX memberships_by_campus ON memberships (campus_id, account_id)",
    "CREATE INDEX orders_by_status ON orders (campus_id, status, id)",
    "CREATE INDEX orders_by_student ON orders (campus_id, student_id, id)",
    "CREATE INDEX orders_by_runner ON orders (campus_id, runner_id, status)",
    "CREATE INDEX orders_by_delivery ON orders (campus_id, delivered_at)",
    "CREATE INDEX tasks_by_status ON tasks (campus_id, status)",
    "CREATE INDEX tasks_by_runner ON tasks (campus_id, runner_id, status)",
    # One task is put to one runner at a time, and a runner has one offer to think about.
    "CREATE UNIQUE INDEX offers_pending_per_task ON offers (task_id) WHERE status = 'pending'",
    "CREATE UNIQUE INDEX offers_pending_per_runner ON offers (campus_id, runner_id) WHERE status = 'pending'",
    "CREATE INDEX offers_by_task ON offers (task_id)",
    "CREATE INDEX decisions_by_order ON decisions (campus_id, order_id, id)",
    "CREATE INDEX decisions_by_time ON decisions (at)",
    "CREATE INDEX events_by_subject ON events (campus_id, subject_id, version, seq)",
    "CREATE INDEX events_unpublished ON events (subject_id, version, seq) WHERE published_at IS NULL",
    "CREATE INDEX commands_unsent ON commands (seq) WHERE sent_at IS NULL",
    "CREATE INDEX jobs_by_due ON jobs (due_at)",
    "CREATE INDEX audit_by_campus ON audit (campus_id, id)",
    "CREATE INDEX idempotency_by_time ON idempotency (stored_at)",
    "CREATE INDEX photos_by_order ON photos (campus_id, order_id)",
    "CREATE INDEX photos_by_time ON photos (taken_at)",
    "CREATE INDEX sessions_by_account ON sessions (account_id)",
)


def upgrade(connection: Connection) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    types = {
        "blob": "BLOB" if is_sqlite else "BYTEA",
        "sequence": "INTEGER PRIMARY KEY AUTOINCREMENT"
        if is_sqlite
        else "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    }
    for statement in (*_TABLES, *_INDEXES):
        connection.exec_driver_sql(statement.format(**types))
