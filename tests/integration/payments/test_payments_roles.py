"""Roles of PostgreSQL as the document says: payments work in theirs, and nobody else can read what they keep."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from payments.store.unit_of_work import Store
from tests.payments_guards import GuardedDesk

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/PAYMENTS.md"
ROLES = ("payments_app", "dispatch_app", "payments_audit")


def _as(role: str, url: str) -> str:
    return url.replace("postgres@", f"{role}@")


@pytest.fixture
def first_and_later(postgres_url: str, tmp_path: Path) -> tuple[str, str]:
    """The database's address once the first statements were run, and the later statements."""
    blocks = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 2
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for role in ROLES:
            # Roles are the cluster's; an earlier run may have left them.
            connection.execute(f"DROP ROLE IF EXISTS {role}".encode())
        connection.execute(blocks[0].encode())
    return postgres_url, blocks[1]


async def test_nobody_else_reads_what_payments_keep(first_and_later: tuple[str, str], tmp_path: Path) -> None:
    url, later = first_and_later
    async with GuardedDesk(_as("payments_app", url), f"sqlite:///{tmp_path}/bank.db") as desk:
        await desk.open_and_pay("a")
        await desk.settle("a")
        await desk.payments.entrust("student", {"openid": "o1"})
        assert await desk.payments._store.migrate() > 0
        await desk.assert_books()
    with psycopg.connect(_as("dispatch_app", url), autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id TEXT)")
        for table in await _tables(url):
            for statement in (f"SELECT * FROM payments.{table}", f"DELETE FROM payments.{table}"):
                with pytest.raises(InsufficientPrivilege):
                    connection.execute(statement.encode())
        with pytest.raises(InsufficientPrivilege):
            connection.execute("CREATE TABLE payments.mine (id TEXT)")
        with pytest.raises(InsufficientPrivilege):
            connection.execute("SET ROLE payments_app")
    with psycopg.connect(_as("payments_app", url), autocommit=True) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("SELECT * FROM public.orders")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(later.encode())
    with psycopg.connect(_as("payments_audit", url), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM payments.entries").fetchone() != (0,)
        connection.execute("SELECT count(*) FROM payments.risk_verdicts")
        connection.execute("SELECT id, kind, amount_fen, receivers, is_done FROM payments.instructions")
        for statement in (
            "SELECT * FROM payments.vault",
            "SELECT * FROM payments.one_time_codes",
            "SELECT * FROM payments.attempts",
            "SELECT confirm FROM payments.instructions",
            "UPDATE payments.entries SET amount_fen = 1",
        ):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement.encode())


async def _tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'payments'").fetchall()
    names = [str(name) for (name,) in rows]
    assert {"intents", "entries", "vault", "risk_verdicts", "schema_version"} <= set(names)
    return names


async def test_the_role_needs_no_right_beyond_its_schema(first_and_later: tuple[str, str]) -> None:
    url, _ = first_and_later
    store = Store(_as("payments_app", url))
    try:
        version = await store.migrate()
        assert await store.migrate() == version
    finally:
        store.close()
