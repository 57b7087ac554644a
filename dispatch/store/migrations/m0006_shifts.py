"""Version 6: runners' timetables and pauses, zones, pins, and how far an order that nobody takes has escalated."""

from __future__ import annotations

from sqlalchemy import Connection

_STATEMENTS = (
    """CREATE TABLE runner_plans (
        campus_id TEXT NOT NULL, runner_id TEXT NOT NULL REFERENCES accounts (id), version BIGINT NOT NULL,
        timetable TEXT NOT NULL, zones TEXT, updated_at BIGINT NOT NULL, PRIMARY KEY (campus_id, runner_id))""",
    """CREATE TABLE runner_pauses (
        campus_id TEXT NOT NULL, runner_id TEXT NOT NULL REFERENCES accounts (id), break_until BIGINT,
        cool_until BIGINT, declines BIGINT NOT NULL, declined_at BIGINT, PRIMARY KEY (campus_id, runner_id))""",
    """CREATE TABLE zones (
        campus_id TEXT NOT NULL, fence_id TEXT NOT NULL REFERENCES geofences (id), mode TEXT NOT NULL,
        runner_ids TEXT, PRIMARY KEY (campus_id, fence_id))""",
    """CREATE TABLE pins (
        campus_id TEXT NOT NULL, order_id TEXT NOT NULL REFERENCES orders (id), kind TEXT NOT NULL,
        runner_id TEXT NOT NULL, placed_at BIGINT NOT NULL, placed_by TEXT NOT NULL, until BIGINT,
        PRIMARY KEY (campus_id, order_id))""",
    "CREATE INDEX pins_by_age ON pins (placed_at)",
    """CREATE TABLE escalations (
        campus_id TEXT NOT NULL, order_id TEXT NOT NULL REFERENCES orders (id), since BIGINT NOT NULL,
        told BIGINT NOT NULL, calls BIGINT NOT NULL, called_at BIGINT, PRIMARY KEY (campus_id, order_id))""",
    "CREATE INDEX escalations_by_call ON escalations (campus_id, called_at)",
    # Who carried for a student before, the newest first.
    "CREATE INDEX orders_by_student_runner ON orders (campus_id, student_id, delivered_at) WHERE runner_id IS NOT NULL",
    # Orders that wait already are looked at once.
    """INSERT INTO jobs (campus_id, kind, subject_id, due_at, payload, fence, tries)
        SELECT campus_id, 'escalate', order_id, opened_at, '{}', 0, 0 FROM tasks WHERE status IN ('open', 'offered')""",
)


def upgrade(connection: Connection) -> None:
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
