"""A server's databases read by plain SQL, for a checker that shares no code with the server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

Row = dict[str, Any]


class _Database(Protocol):
    def rows(self, sql: str) -> list[Row]: ...

    def close(self) -> None: ...


class _Sqlite:
    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ValueError(f"{path}: no such database")
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        self._connection.row_factory = sqlite3.Row

    def rows(self, sql: str) -> list[Row]:
        return [dict(row) for row in self._connection.execute(sql)]

    def close(self) -> None:
        self._connection.close()


class _Postgres:
    def __init__(self, url: str, schema: str) -> None:
        import psycopg
        from psycopg.rows import dict_row

        plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._connection = psycopg.connect(plain, row_factory=dict_row, autocommit=True)
        self._connection.execute("SELECT set_config('search_path', %s, false)", (schema,))

    def rows(self, sql: str) -> list[Row]:
        return self._connection.execute(sql.encode()).fetchall()

    def close(self) -> None:
        self._connection.close()


class Books:
    """Dispatch's, the payment module's and the sandbox institution's books of one server, read-only. ``has_bank``: not
    where other institutions keep the money."""

    def __init__(
        self, folder: Path | None = None, database_url: str = "", payments_url: str = "", *, has_bank: bool = True
    ) -> None:
        self._all: list[_Database] = []
        if database_url.startswith("postgresql"):
            money = payments_url or database_url
            self._dispatch = self._open(_Postgres(database_url, "public"))
            self._payments = self._open(_Postgres(money, "payments"))
            if has_bank:
                self._bank = self._open(_Postgres(money, "sandbox_bank"))
            return
        if folder is None:
            raise ValueError("give the server's data folder, or the URL of its database")
        self._dispatch = self._open(_Sqlite(folder / "dispatch.db"))
        self._payments = self._open(_Sqlite(folder / "payments.db"))
        if has_bank:
            self._bank = self._open(_Sqlite(folder / "sandbox_bank.db"))

    def _open(self, database: _Database) -> _Database:
        self._all.append(database)
        return database

    def __enter__(self) -> Books:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for database in self._all:
            database.close()

    # --- dispatch

    def orders(self) -> list[Row]:
        return self._dispatch.rows(
            "SELECT id, status, runner_id, held_fen, captured_fen, released_fen, refunded_fen FROM orders ORDER BY id"
        )

    def tasks(self) -> list[Row]:
        return self._dispatch.rows("SELECT id, order_id, status, runner_id FROM tasks ORDER BY id")

    def jobs(self) -> list[Row]:
        return self._dispatch.rows("SELECT kind, subject_id FROM jobs")

    def commands(self) -> list[Row]:
        return self._dispatch.rows("SELECT order_id, kind FROM commands")

    def events(self) -> list[Row]:
        """Everything that was told about orders, per order in the order in which it became true."""
        return self._dispatch.rows(
            "SELECT seq, kind, subject_id, version, actor_id, runner_id, former_runner_id FROM events"
            " WHERE subject_id LIKE 'ord%' ORDER BY subject_id, version, seq"
        )

    def offers(self) -> list[Row]:
        return self._dispatch.rows("SELECT task_id, runner_id, status FROM offers ORDER BY offered_at, id")

    def audit_actions(self) -> list[Row]:
        return self._dispatch.rows("SELECT action, subject, actor_id, reason FROM audit")

    def coupons(self) -> list[Row]:
        return self._dispatch.rows("SELECT id, state, order_id, amount_fen FROM coupons ORDER BY id")

    # --- payments

    def intents(self) -> list[Row]:
        return self._payments.rows("SELECT id, order_ref, amount_fen, phase, hold_state FROM intents ORDER BY id")

    def entries(self) -> list[Row]:
        return self._payments.rows(
            "SELECT seq, intent_id, order_ref, attempt_id, debit, credit, amount_fen, kind FROM entries ORDER BY seq"
        )

    def instructions_under_way(self) -> set[str]:
        """Attempts for which the institution was told something that is not known to be done."""
        rows = self._payments.rows("SELECT attempt_id, is_done FROM instructions")
        return {str(row["attempt_id"]) for row in rows if not row["is_done"]}

    def attempts(self) -> list[Row]:
        return self._payments.rows("SELECT id, intent_id, channel, state, amount_fen FROM attempts ORDER BY id")

    # --- the institution

    def bank_orders(self) -> list[Row]:
        return self._bank.rows(
            "SELECT out_no, order_ref, state, paid_fen, frozen_fen, split_fen, returned_fen, refunded_fen FROM orders"
            " ORDER BY out_no"
        )


def grouped(rows: Iterable[Row], key: str) -> dict[str, list[Row]]:
    """Rows by the text in one column, their order kept."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row[key]), []).append(row)
    return found
