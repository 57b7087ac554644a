"""Version 5: the history of every runner's credit, line by line, and appeals against lines."""

from __future__ import annotations

from sqlalchemy import Connection

_STATEMENTS = (
    # How many lines there are: two that write the next one at once cannot both.
    "ALTER TABLE memberships ADD COLUMN credit_lines BIGINT NOT NULL DEFAULT 0",
    """CREATE TABLE credit_entries (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, account_id TEXT NOT NULL REFERENCES accounts (id),
        number BIGINT NOT NULL, at BIGINT NOT NULL, delta BIGINT NOT NULL, balance BIGINT NOT NULL,
        reason TEXT NOT NULL, subject_id TEXT NOT NULL, rule_version TEXT NOT NULL, order_id TEXT,
        facts TEXT NOT NULL, note TEXT NOT NULL, actor_id TEXT,
        CHECK (balance BETWEEN 0 AND 100), UNIQUE (campus_id, account_id, number))""",
    # One thing moves the score once.
    """CREATE UNIQUE INDEX credit_entries_once
        ON credit_entries (campus_id, account_id, reason, subject_id)""",
    "CREATE INDEX credit_entries_by_day ON credit_entries (campus_id, account_id, reason, at)",
    """CREATE TABLE credit_appeals (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, account_id TEXT NOT NULL, entry_id TEXT NOT NULL
        REFERENCES credit_entries (id), made_at BIGINT NOT NULL, text TEXT NOT NULL, status TEXT NOT NULL,
        decided_at BIGINT, decided_by TEXT, answer TEXT NOT NULL, UNIQUE (campus_id, entry_id))""",
    "CREATE INDEX credit_appeals_by_account ON credit_appeals (campus_id, account_id, status)",
    # How a runner answered lately, and today.
    "CREATE INDEX offers_by_runner ON offers (campus_id, runner_id, id, status)",
    "CREATE INDEX offers_by_runner_day ON offers (campus_id, runner_id, offered_at)",
)


def upgrade(connection: Connection) -> None:
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
