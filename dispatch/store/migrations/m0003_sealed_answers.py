"""Version 3: kept answers are sealed and name their key, and an order knows which runner laid its goods out."""

from __future__ import annotations

from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    # No key: an answer kept in clear by an earlier version. It is forgotten within a day.
    connection.exec_driver_sql("ALTER TABLE idempotency ADD COLUMN key_id TEXT")
    connection.exec_driver_sql("ALTER TABLE orders ADD COLUMN goods_runner_id TEXT")
    connection.exec_driver_sql("UPDATE orders SET goods_runner_id = runner_id WHERE goods_actual_fen IS NOT NULL")
    connection.exec_driver_sql(
        "CREATE INDEX orders_by_buyer ON orders (campus_id, goods_runner_id) WHERE goods_runner_id IS NOT NULL"
    )
