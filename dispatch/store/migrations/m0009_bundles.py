"""Version 9: a runner may be asked about several errands at once, in a planned order; a decision names its tick."""

from __future__ import annotations

from sqlalchemy import Connection

_STATEMENTS = (
    "DROP INDEX offers_pending_per_runner",
    "CREATE INDEX offers_pending_by_runner ON offers (campus_id, runner_id) WHERE status = 'pending'",
    "ALTER TABLE decisions ADD COLUMN tick_id TEXT",
    """CREATE TABLE planned_routes (
        campus_id TEXT NOT NULL, runner_id TEXT NOT NULL, visits TEXT NOT NULL, planned_at BIGINT NOT NULL,
        PRIMARY KEY (campus_id, runner_id))""",
    "CREATE INDEX planned_routes_old ON planned_routes (planned_at)",
)


def upgrade(connection: Connection) -> None:
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
