"""Version 2: an order's short code is a column with an index, since people search by it; old orders get theirs."""

from __future__ import annotations

from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE orders ADD COLUMN code TEXT NOT NULL DEFAULT ''")
    connection.exec_driver_sql("UPDATE orders SET code = substr(id, length(id) - 5)")
    connection.exec_driver_sql("CREATE INDEX orders_by_code ON orders (campus_id, code)")
