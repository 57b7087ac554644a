"""Version 10: an order has a size beside its weight."""

from __future__ import annotations

from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE orders ADD COLUMN volume_ml BIGINT NOT NULL DEFAULT 0")
