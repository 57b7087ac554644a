"""Version 8: what is learned about arrivals, of each campus and of each runner's speed."""

from __future__ import annotations

from sqlalchemy import Connection

_STATEMENTS = (
    "CREATE TABLE arrival_models (campus_id TEXT PRIMARY KEY, body TEXT NOT NULL, learned_at BIGINT NOT NULL)",
    """CREATE TABLE runner_paces (
        campus_id TEXT NOT NULL, runner_id TEXT NOT NULL, vehicle TEXT NOT NULL, pace TEXT NOT NULL,
        learned_at BIGINT NOT NULL, PRIMARY KEY (campus_id, runner_id, vehicle))""",
    "CREATE INDEX runner_paces_learned ON runner_paces (campus_id, learned_at)",
    "CREATE INDEX runner_paces_old ON runner_paces (learned_at)",
)


def upgrade(connection: Connection) -> None:
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
