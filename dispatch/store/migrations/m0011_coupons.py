"""Version 11: students have coupons, one for one incident; an order has at most one."""

from __future__ import annotations

from sqlalchemy import Connection

_STATEMENTS = (
    """CREATE TABLE coupons (
        id TEXT PRIMARY KEY, campus_id TEXT NOT NULL, student_id TEXT NOT NULL REFERENCES accounts (id),
        reason TEXT NOT NULL, incident TEXT NOT NULL, amount_fen BIGINT NOT NULL, payer TEXT NOT NULL,
        granted_for TEXT NOT NULL, granted_at BIGINT NOT NULL, valid_until BIGINT NOT NULL, state TEXT NOT NULL,
        order_id TEXT, CHECK (amount_fen > 0), CHECK ((order_id IS NULL) = (state IN ('available', 'expired'))))""",
    "CREATE UNIQUE INDEX coupons_once ON coupons (campus_id, student_id, reason, incident)",
    "CREATE UNIQUE INDEX coupons_of_order ON coupons (campus_id, order_id) WHERE order_id IS NOT NULL",
    "CREATE INDEX coupons_of_student ON coupons (campus_id, student_id, state, valid_until)",
    "CREATE INDEX coupons_by_day ON coupons (campus_id, reason, granted_at)",
    "CREATE INDEX coupons_granted_for ON coupons (campus_id, granted_for)",
    "CREATE INDEX coupons_old ON coupons (valid_until)",
)


def upgrade(connection: Connection) -> None:
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
