"""A database of the time before withdrawals, with settled, refunded and unfinished orders, is brought up to date."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from payments.store import migrations
from payments.store.database import Database, Sql, migrate
from payments.store.instant import to_us
from payments.store.m_money import MONEY
from payments.store.unit_of_work import SCHEMA, Store
from tests.payments_desk import START

_INTENT = (
    "INSERT INTO intents (id, campus_id, order_ref, payer_ref, amount_fen, description, channels, expires_at, phase,"
    " hold_state, paid_attempt, is_suspicious, is_settling, captured_fen, released_fen, refunded_fen, reason,"
    " created_at) VALUES (:id, 'nu', :ref, 'stu', 1000, '', '[\"sandbox\"]', :at, 'open', :hold, :attempt, FALSE, TRUE,"
    " :captured, 0, :refunded, '', :at)"
)
_ATTEMPT = (
    "INSERT INTO attempts (id, intent_id, number, channel, state, amount_fen, created_at, changed_at, expires_at,"
    " dead_after, ask_at, asks, seen, reason, transaction_id) VALUES (:id, :intent, 1, 'sandbox', 'paid', 1000, :at,"
    " :at, :at, :at, :at, 0, '', '', 'T')"
)
_INSTRUCTION = (
    "INSERT INTO instructions (id, intent_id, attempt_id, channel, kind, amount_fen, receivers, finished, reason,"
    " is_done, is_reported, tries, created_at, due_at) VALUES (:id, :intent, :attempt, 'sandbox', :kind, :fen, '[]',"
    " '[]', 'why', :done, FALSE, 1, :at, :due)"
)
_ENTRY = (
    "INSERT INTO entries (at, campus_id, intent_id, order_ref, attempt_id, debit, credit, amount_fen, kind, ref)"
    " VALUES (:at, 'nu', :intent, :ref, :attempt, :debit, :credit, :fen, :kind, :number)"
)


def _before() -> list[tuple[str, ...]]:
    """The history up to money out."""
    return migrations.MIGRATIONS[: migrations.MIGRATIONS.index(MONEY)]


def _fill(sql: Sql) -> None:
    at = to_us(START)
    rows: Iterable[tuple[str, str, int, int]] = (("a", "captured", 1000, 100), ("b", "held", 0, 0))
    for name, hold, captured, refunded in rows:
        number = f"AAAAAAAA{name}A01"
        same = {"intent": f"int_{name}", "at": at}
        sql.do(
            _INTENT, id=f"int_{name}", ref=f"ord_{name}", hold=hold, attempt=number, captured=captured,
            refunded=refunded, at=at,
        )  # fmt: skip
        sql.do(_ATTEMPT, id=number, **same)
        entries = [("bank:sandbox", "student:stu", 1000, "pay_in", number)]
        entries += [("student:stu", f"escrow:int_{name}", 1000, "hold", number)]
        if name == "a":
            entries += [(f"escrow:int_{name}", "runner:run", 800, "capture", f"{number}S1")]
            entries += [(f"escrow:int_{name}", "platform", 200, "capture", f"{number}S1")]
            entries += [("platform", "student:stu", 100, "refund", "refund-1")]
            entries += [("student:stu", "bank:sandbox", 100, "pay_out", "refund-1")]
            for told, kind, fen, is_done in (
                (f"{number}S1", "split", 1000, True),
                ("refund-1", "refund", 100, True),
                ("refund-2", "refund", 50, False),
            ):
                sql.do(
                    _INSTRUCTION, id=told, attempt=number, kind=kind, fen=fen, done=is_done,
                    due=None if is_done else at, **same,
                )  # fmt: skip
        for debit, credit, fen, kind, ref in entries:
            sql.do(
                _ENTRY, ref=f"ord_{name}", attempt=number, debit=debit, credit=credit, fen=fen, kind=kind, number=ref,
                **same,
            )  # fmt: skip


async def test_what_was_paid_at_once_is_withdrawn_and_refunds_can_be_followed(sql_url: str) -> None:
    old = Database(sql_url, SCHEMA)
    await old.run(lambda c: migrate(c, _before(), schema=SCHEMA))
    await old.run(lambda c: _fill(Sql(c)))
    old.close()
    store = Store(sql_url)
    assert await store.migrate() == len(migrations.MIGRATIONS)
    balances = await store.read(lambda uow: uow.books.check())
    assert balances["runner:run"] == 0
    assert balances["bank:sandbox"] == -(2000 - 100 - 800)
    assert await store.read(lambda uow: uow.books.debited_fen("withdraw", "runner:run")) == 800
    done, waiting = sorted(await store.read(lambda uow: uow.refunds.of("int_a")), key=lambda refund: refund.id)
    assert [(part.path, part.party, part.amount_fen) for part in done.parts] == [("borne", "platform", 100)]
    assert (done.state, done.reason, waiting.state, waiting.amount_fen) == ("done", "why", "paying", 50)
    (kept,) = await store.read(lambda uow: uow.instructions.of_subject("refund-2"))
    assert (kept.id, kept.kind, kept.is_done, kept.undoes) == ("refund-2", "refund", False, "")
    assert await store.read(lambda uow: uow.instructions.due(START + timedelta(days=1), 1))
    deadlines = await store.read(lambda uow: uow.deadlines.due(START + timedelta(days=30), 10))
    assert [(kind, subject, due_at - START) for kind, subject, due_at in deadlines] == [
        ("refund_overdue", "refund-2", timedelta(days=1)),
        ("hold_expiring", "int_b", timedelta(days=25)),
    ]
    store.close()
