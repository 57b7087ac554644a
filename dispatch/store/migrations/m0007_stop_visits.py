"""Version 7: who was at which stop of which order, and what its sides were told of a delay."""

from __future__ import annotations

from sqlalchemy import Connection

_STATEMENTS = (
    """CREATE TABLE stop_visits (
        campus_id TEXT NOT NULL, order_id TEXT NOT NULL REFERENCES orders (id), role TEXT NOT NULL,
        runner_id TEXT NOT NULL, type_code TEXT NOT NULL, begun_at BIGINT NOT NULL, place_id TEXT, near_at BIGINT,
        arrived_at BIGINT, left_at BIGINT, confirmed_at BIGINT, done_at BIGINT, times BIGINT NOT NULL,
        PRIMARY KEY (campus_id, order_id, role, runner_id))""",
    # What the seconds at counters and doors are learned from, and what retention looks for.
    "CREATE INDEX stop_visits_done ON stop_visits (campus_id, done_at)",
    "CREATE INDEX stop_visits_begun ON stop_visits (begun_at)",
    """CREATE TABLE delays (
        campus_id TEXT NOT NULL, order_id TEXT NOT NULL REFERENCES orders (id), expected_at BIGINT NOT NULL,
        first_told_at BIGINT NOT NULL, told_at BIGINT NOT NULL, times BIGINT NOT NULL,
        PRIMARY KEY (campus_id, order_id))""",
    "CREATE INDEX delays_told ON delays (told_at)",
)


def upgrade(connection: Connection) -> None:
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
