"""The sandbox bank's own schema: numbered, forward only."""

from __future__ import annotations

FIRST = (
    """
    CREATE TABLE orders (
        out_no TEXT PRIMARY KEY,
        channel TEXT NOT NULL,
        token TEXT NOT NULL UNIQUE,
        order_ref TEXT NOT NULL,
        payer_ref TEXT NOT NULL,
        description TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        state TEXT NOT NULL CHECK (state IN ('open', 'paid', 'closed')),
        expires_at BIGINT NOT NULL,
        transaction_id TEXT NOT NULL,
        paid_fen BIGINT NOT NULL DEFAULT 0,
        frozen_fen BIGINT NOT NULL DEFAULT 0 CHECK (frozen_fen >= 0),
        split_fen BIGINT NOT NULL DEFAULT 0,
        returned_fen BIGINT NOT NULL DEFAULT 0,
        refunded_fen BIGINT NOT NULL DEFAULT 0,
        CHECK (paid_fen = frozen_fen + split_fen + returned_fen),
        CHECK (refunded_fen <= split_fen)
    )
    """,
    """
    CREATE TABLE moves (
        id {serial},
        out_no TEXT NOT NULL REFERENCES orders (out_no),
        number TEXT NOT NULL,
        kind TEXT NOT NULL,
        party TEXT NOT NULL,
        account_ref TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        state TEXT NOT NULL CHECK (state IN ('pending', 'paid', 'closed')),
        reason TEXT NOT NULL,
        at BIGINT NOT NULL,
        UNIQUE (number, party, account_ref)
    )
    """,
    """
    CREATE TABLE notices (
        id TEXT PRIMARY KEY,
        channel TEXT NOT NULL,
        body TEXT NOT NULL,
        copies INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        due_at BIGINT
    )
    """,
    "CREATE INDEX notices_due ON notices (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE scripts (
        id {serial},
        order_ref TEXT NOT NULL,
        channel TEXT NOT NULL,
        fault TEXT NOT NULL,
        remaining INTEGER NOT NULL,
        value TEXT NOT NULL,
        origin TEXT NOT NULL
    )
    """,
    "CREATE INDEX scripts_waiting ON scripts (fault) WHERE remaining > 0",
)

#: A bill needs to know when money came in; of an older order only the hour of its expiry is known.
PAID_AT = (
    "ALTER TABLE orders ADD COLUMN paid_at BIGINT",
    "UPDATE orders SET paid_at = expires_at WHERE paid_fen > 0",
    "CREATE INDEX orders_paid ON orders (channel, paid_at) WHERE paid_at IS NOT NULL",
    "CREATE INDEX moves_at ON moves (at)",
)

#: What the merchant pays to persons from its own money has no order.
TRANSFERS = (
    """
    CREATE TABLE transfers (
        number TEXT PRIMARY KEY,
        channel TEXT NOT NULL,
        account_ref TEXT NOT NULL,
        amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
        at BIGINT NOT NULL
    )
    """,
)

MIGRATIONS: list[tuple[str, ...]] = [FIRST, PAID_AT, TRANSFERS]
