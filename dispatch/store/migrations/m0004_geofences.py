"""Version 4: geofences, and who was in which from when to when."""

from __future__ import annotations

from sqlalchemy import Connection

_STATEMENTS = (
    """CREATE TABLE geofences (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, name TEXT NOT NULL, name_en TEXT, shape TEXT NOT NULL,
        dwell_s BIGINT, version BIGINT NOT NULL, is_active BOOLEAN NOT NULL, created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL, updated_by TEXT NOT NULL)""",
    "CREATE INDEX geofences_by_campus ON geofences (campus_id, is_active, id)",
    # A crossing that is written twice names the same beginning.
    """CREATE TABLE geofence_stays (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, fence_id TEXT NOT NULL REFERENCES geofences (id),
        runner_id TEXT NOT NULL, entered_at BIGINT NOT NULL, left_at BIGINT, has_dwelled BOOLEAN NOT NULL,
        UNIQUE (campus_id, runner_id, fence_id, entered_at))""",
    # Nobody is in one fence twice.
    """CREATE UNIQUE INDEX geofence_stays_open ON geofence_stays (campus_id, runner_id, fence_id)
        WHERE left_at IS NULL""",
    "CREATE INDEX geofence_stays_by_fence ON geofence_stays (campus_id, fence_id, entered_at)",
    "CREATE INDEX geofence_stays_by_time ON geofence_stays (campus_id, entered_at)",
    "CREATE INDEX geofence_stays_by_end ON geofence_stays (left_at)",
    # What crossings told is forgotten with the stays; all other events are kept.
    """CREATE INDEX events_of_geofences ON events (at)
        WHERE kind IN ('geofence_entered', 'geofence_left', 'geofence_dwelled')""",
)


def upgrade(connection: Connection) -> None:
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
