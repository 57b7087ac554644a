"""The checker of the books, on both databases: silent about right ones, and each rule finds its own fault."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loadtest.check import Finding, check, printed

TABLES = {
    "dispatch": (
        "CREATE TABLE orders (id TEXT, status TEXT, runner_id TEXT, held_fen BIGINT, captured_fen BIGINT,"
        " released_fen BIGINT, refunded_fen BIGINT)",
        "CREATE TABLE tasks (id TEXT, order_id TEXT, status TEXT, runner_id TEXT)",
        "CREATE TABLE jobs (kind TEXT, subject_id TEXT)",
        "CREATE TABLE commands (order_id TEXT, kind TEXT)",
        "CREATE TABLE events (seq BIGINT, kind TEXT, subject_id TEXT, version BIGINT, actor_id TEXT, runner_id TEXT,"
        " former_runner_id TEXT)",
        "CREATE TABLE offers (id TEXT, task_id TEXT, runner_id TEXT, status TEXT, offered_at BIGINT)",
        "CREATE TABLE coupons (id TEXT, state TEXT, order_id TEXT, amount_fen BIGINT)",
        "CREATE TABLE audit (action TEXT, subject TEXT, actor_id TEXT, reason TEXT)",
    ),
    "payments": (
        "CREATE TABLE intents (id TEXT, order_ref TEXT, amount_fen BIGINT, phase TEXT, hold_state TEXT)",
        "CREATE TABLE entries (seq BIGINT, intent_id TEXT, order_ref TEXT, attempt_id TEXT, debit TEXT, credit TEXT,"
        " amount_fen BIGINT, kind TEXT)",
        "CREATE TABLE instructions (attempt_id TEXT, is_done BOOLEAN)",
        "CREATE TABLE attempts (id TEXT, intent_id TEXT, channel TEXT, state TEXT, amount_fen INTEGER)",
    ),
    "sandbox_bank": (
        "CREATE TABLE orders (out_no TEXT, order_ref TEXT, state TEXT, paid_fen BIGINT, frozen_fen BIGINT,"
        " split_fen BIGINT, returned_fen BIGINT, refunded_fen BIGINT)",
    ),
}
SCHEMA = {"dispatch": "public", "payments": "payments", "sandbox_bank": "sandbox_bank"}


class Ledgers:
    """The three databases of a small server, made by hand."""

    def __init__(self, run: Callable[[str, str], Any], look: Callable[[], list[Finding]]) -> None:
        self._run, self.look = run, look

    def sql(self, where: str, *statements: str) -> None:
        for statement in statements:
            self._run(where, statement)

    def faults(self) -> dict[str, list[str]]:
        return {finding.rule: finding.faults for finding in self.look() if finding.faults}


@pytest.fixture(params=["sqlite", "postgresql"])
def ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledgers]:
    if request.param == "sqlite":
        files = {where: sqlite3.connect(tmp_path / f"{where}.db", isolation_level=None) for where in TABLES}
        made = Ledgers(lambda where, sql: files[where].execute(sql), lambda: check(tmp_path))
        _fill(made)
        yield made
        for file in files.values():
            file.close()
        return
    url = request.getfixturevalue("postgres_url")
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(plain, autocommit=True) as connection:

        def run(where: str, sql: str) -> None:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA[where]}".encode())
            connection.execute(f"SET search_path TO {SCHEMA[where]}".encode())
            connection.execute(sql.encode())

        made = Ledgers(run, lambda: check(database_url=url))
        _fill(made)
        yield made


def _fill(made: Ledgers) -> None:
    """Four orders: settled (after a reassignment), closed, being carried, waiting for a runner."""
    for where, statements in TABLES.items():
        made.sql(where, *statements)
    made.sql(
        "dispatch",
        "INSERT INTO orders VALUES ('ord_1','settled','r2',700,600,100,0), ('ord_2','closed',NULL,500,0,500,0),"
        " ('ord_3','carrying','r1',400,0,0,0), ('ord_4','open',NULL,300,0,0,0)",
        "INSERT INTO tasks VALUES ('t1','ord_1','done','r2'), ('t2','ord_2','cancelled',NULL),"
        " ('t3','ord_3','carrying','r1'), ('t4','ord_4','offered',NULL)",
        "INSERT INTO commands VALUES ('ord_1','OpenIntent'), ('ord_1','Settle'), ('ord_2','OpenIntent'),"
        " ('ord_2','Release'), ('ord_3','OpenIntent'), ('ord_4','OpenIntent')",
        "INSERT INTO events VALUES (1,'order_paid','ord_1',2,NULL,NULL,NULL),"
        " (2,'task_assigned','ord_1',3,'r1','r1',NULL), (3,'task_reassigned','ord_1',4,'op','r2','r1'),"
        " (4,'runner_arrived','ord_1',5,'r2','r2',NULL), (5,'order_delivered','ord_1',6,'r2','r2',NULL),"
        " (6,'task_assigned','ord_3',3,'r2','r2',NULL), (7,'task_reopened','ord_3',4,'op','r2','r2'),"
        " (8,'task_assigned','ord_3',5,'r1','r1',NULL), (9,'order_cancelled','ord_2',3,'s',NULL,NULL)",
        "INSERT INTO offers VALUES ('f1','t1','r1','accepted',1), ('f2','t3','r2','accepted',2),"
        " ('f3','t4','r2','pending',3)",
        "INSERT INTO audit VALUES ('order.reassign','ord_1','op','too_late')",
    )
    made.sql(
        "payments",
        "INSERT INTO intents VALUES ('i1','ord_1',700,'open','captured'), ('i2','ord_2',500,'cancelled','released'),"
        " ('i3','ord_3',400,'open','held'), ('i4','ord_4',300,'open','held')",
        "INSERT INTO attempts VALUES ('a1','i1','sandbox','paid',500), ('a2','i2','sandbox','paid',500),"
        " ('a3','i3','sandbox','paid',500),"
        " ('a4','i4','sandbox','paid',500)",
        "INSERT INTO entries VALUES"
        " (1,'i1','ord_1','a1','bank:s','student:x',700,'pay_in'),"
        " (2,'i1','ord_1','a1','student:x','escrow:i1',700,'hold'),"
        " (3,'i1','ord_1','a1','escrow:i1','runner:r2',500,'capture'),"
        " (4,'i1','ord_1','a1','escrow:i1','platform',100,'capture'),"
        " (5,'i1','ord_1','a1','escrow:i1','student:x',100,'release'),"
        " (6,'i1','ord_1','a1','student:x','bank:s',100,'pay_out'),"
        " (7,'i2','ord_2','a2','bank:s','student:x',500,'pay_in'),"
        " (8,'i2','ord_2','a2','student:x','escrow:i2',500,'hold'),"
        " (9,'i2','ord_2','a2','escrow:i2','student:x',500,'release'),"
        " (10,'i2','ord_2','a2','student:x','bank:s',500,'pay_out'),"
        " (11,'i3','ord_3','a3','bank:s','student:y',400,'pay_in'),"
        " (12,'i3','ord_3','a3','student:y','escrow:i3',400,'hold'),"
        " (13,'i4','ord_4','a4','bank:s','student:y',300,'pay_in'),"
        " (14,'i4','ord_4','a4','student:y','escrow:i4',300,'hold')",
    )
    made.sql(
        "sandbox_bank",
        "INSERT INTO orders VALUES ('a1','ord_1','paid',700,500,100,100,0), ('a2','ord_2','paid',500,0,0,500,0),"
        " ('a3','ord_3','paid',400,400,0,0,0), ('a4','ord_4','paid',300,300,0,0,0)",
    )


OWNER = "every order has ended or has a live owner"
ONE = "no task ever had two runners"
SUMS = "held = captured + released + refunded, and escrow 0, per ended order"
FLOOR = "no account is ever under its floor"
MIRROR = "our mirror equals the institution's books"
INTENTS = "orders and payment intents match one to one"
AUDIT = "every reassignment is audited with a reason"
COUPONS = "every coupon is used once, and every subsidy is a coupon's"


def test_right_books_are_right(ledgers: Ledgers) -> None:
    findings = ledgers.look()
    assert ledgers.faults() == {}
    assert [finding.rule for finding in findings] == [OWNER, ONE, SUMS, FLOOR, MIRROR, INTENTS, AUDIT, COUPONS]
    assert findings[1].note == "1 handed from one to another" and "held 19.00 yuan" in findings[2].note
    assert printed(findings).count("ok ") == 8


@pytest.mark.parametrize(
    ("where", "statement", "rule", "says"),
    [
        ("dispatch", "UPDATE tasks SET status = 'open' WHERE id = 't1'", OWNER, "not over"),
        ("dispatch", "UPDATE tasks SET status = 'done' WHERE id = 't4'", OWNER, "no task that somebody could take"),
        ("dispatch", "UPDATE tasks SET runner_id = 'r9' WHERE id = 't3'", OWNER, "the task r9"),
        ("dispatch", "UPDATE tasks SET status = 'open' WHERE id = 't3'", OWNER, "no task that somebody carries"),
        ("dispatch", "UPDATE orders SET status = 'delivered' WHERE id = 'ord_3'", OWNER, "nothing confirms it"),
        ("dispatch", "UPDATE orders SET status = 'confirmed' WHERE id = 'ord_3'", OWNER, "nothing settles it"),
        ("dispatch", "UPDATE orders SET status = 'cancelled' WHERE id = 'ord_3'", OWNER, "gives the money back"),
        ("dispatch", "UPDATE orders SET status = 'awaiting_payment' WHERE id = 'ord_3'", OWNER, "nobody pays"),
        ("dispatch", "UPDATE orders SET status = 'lost' WHERE id = 'ord_3'", OWNER, "no such status"),
        ("dispatch", "UPDATE events SET former_runner_id = NULL WHERE seq = 3", ONE, "r2 got it while r1 had it"),
        ("dispatch", "UPDATE events SET actor_id = 'r1' WHERE seq = 5", ONE, "order_delivered by r1, but r2 had it"),
        ("dispatch", "UPDATE events SET former_runner_id = 'r9', runner_id = 'r9' WHERE seq = 7", ONE, "r2 had it"),
        ("dispatch", "INSERT INTO offers VALUES ('f4','t4','r1','pending',4)", ONE, "2 offers at once"),
        ("dispatch", "INSERT INTO offers VALUES ('f4','t4','r2','declined',4)", ONE, "offered 2 times to r2"),
        ("dispatch", "UPDATE orders SET captured_fen = 700 WHERE id = 'ord_1'", SUMS, "the order says"),
        ("payments", "UPDATE entries SET amount_fen = 400 WHERE seq = 3", SUMS, "100 fen are left in escrow"),
        (
            "payments",
            "UPDATE entries SET amount_fen = 900 WHERE seq = 5",
            FLOOR,
            "escrow:i1 was at -800 fen after entry 5",
        ),
        ("payments", "UPDATE entries SET amount_fen = 600 WHERE seq = 8", FLOOR, "student:x was at -100"),
        ("sandbox_bank", "UPDATE orders SET split_fen = 500 WHERE out_no = 'a1'", MIRROR, "a1: we have"),
        ("sandbox_bank", "UPDATE orders SET frozen_fen = 499 WHERE out_no = 'a1'", MIRROR, "a1: we have"),
        (
            "payments",
            "INSERT INTO entries VALUES (20,'i1','ord_1','a1','runner:r2','bank:s',500,'withdraw')",
            MIRROR,
            "a1: we have",
        ),
        ("sandbox_bank", "DELETE FROM orders WHERE out_no = 'a3'", MIRROR, "a3: we have"),
        ("payments", "DELETE FROM intents WHERE id = 'i3'", INTENTS, "ord_3 (carrying) has 0 intents"),
        ("payments", "INSERT INTO intents VALUES ('i9','ord_9',1,'open','held')", INTENTS, "ord_9, which is no order"),
        ("dispatch", "DELETE FROM audit", AUDIT, "1 reassignments, 0 in the audit log"),
        ("dispatch", "UPDATE audit SET reason = ''", AUDIT, "without a reason"),
    ],
)
def test_every_fault_is_found_by_its_rule(ledgers: Ledgers, where: str, statement: str, rule: str, says: str) -> None:
    ledgers.sql(where, statement)
    assert any(says in fault for fault in ledgers.faults()[rule]), ledgers.faults()
    assert "FAULT" in printed(ledgers.look())


def test_what_is_under_way_is_no_fault(ledgers: Ledgers) -> None:
    ledgers.sql("sandbox_bank", "UPDATE orders SET frozen_fen = 0, returned_fen = 400 WHERE out_no = 'a3'")
    ledgers.sql("payments", "INSERT INTO instructions VALUES ('a3', FALSE)")
    assert ledgers.faults() == {}
    assert next(f for f in ledgers.look() if f.rule == MIRROR).note == "1 under way"


def test_money_given_back_after_the_division(ledgers: Ledgers) -> None:
    ledgers.sql(
        "payments",
        "INSERT INTO entries VALUES (20,'i1','ord_1','a1','platform','student:x',50,'refund'),"
        " (21,'i1','ord_1','a1','student:x','bank:s',50,'pay_out')",
    )
    ledgers.sql("dispatch", "UPDATE orders SET captured_fen = 550, refunded_fen = 50 WHERE id = 'ord_1'")
    ledgers.sql("sandbox_bank", "UPDATE orders SET refunded_fen = 50 WHERE out_no = 'a1'")
    assert ledgers.faults() == {}


def test_a_subsidised_order_whose_runner_has_withdrawn_and_whose_campus_gave_back(ledgers: Ledgers) -> None:
    ledgers.sql(
        "payments",
        "INSERT INTO entries VALUES (19,'i1','ord_1','a1','debt:platform','escrow:i1',40,'subsidy'),"
        " (20,'i1','ord_1','a1','escrow:i1','platform',40,'capture'),"
        " (21,'i1','ord_1','a1','platform','debt:platform',40,'subsidy_borne'),"
        " (22,'i1','ord_1','a1','debt:platform','escrow:i1',60,'subsidy'),"
        " (23,'i1','ord_1','a1','escrow:i1','owed:runner:r2',60,'capture'),"
        " (24,'i1','ord_1','a1','runner:r2','bank:s',450,'withdraw'),"
        " (25,'i1','ord_1','a1','runner:r2','returning:i1',50,'refund_due'),"
        " (26,'i1','ord_1','a1','platform','returning:i1',20,'take_back'),"
        " (27,'i1','ord_1','a1','returning:i1','student:x',70,'refund'),"
        " (28,'i1','ord_1','a1','student:x','bank:s',70,'pay_out')",
    )
    ledgers.sql(
        "dispatch",
        "UPDATE orders SET captured_fen = 530, refunded_fen = 70 WHERE id = 'ord_1'",
        "INSERT INTO coupons VALUES ('c1','used','ord_1',100), ('c2','available',NULL,100)",
    )
    ledgers.sql(
        "sandbox_bank", "UPDATE orders SET frozen_fen = 0, split_fen = 530, returned_fen = 170 WHERE out_no = 'a1'"
    )
    assert ledgers.faults() == {}


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("INSERT INTO coupons VALUES ('c1','used','ord_1',39)", "40 fen were added"),
        ("INSERT INTO coupons VALUES ('c1','used','ord_1',40), ('c2','used','ord_1',1)", "and another one"),
        ("INSERT INTO coupons VALUES ('c1','reserved','ord_1',40)", "c1 is reserved, its order settled"),
        ("INSERT INTO coupons VALUES ('c1','available',NULL,40)", "its coupon is worth 0"),
    ],
)
def test_what_coupons_did_twice_or_for_nobody_is_found(ledgers: Ledgers, sql: str, fault: str) -> None:
    ledgers.sql(
        "payments",
        "INSERT INTO entries VALUES (19,'i1','ord_1','a1','debt:platform','escrow:i1',40,'subsidy'),"
        " (20,'i1','ord_1','a1','escrow:i1','platform',40,'capture'),"
        " (21,'i1','ord_1','a1','platform','debt:platform',40,'subsidy_borne')",
    )
    ledgers.sql("dispatch", sql)
    assert fault in " ".join(ledgers.faults()[COUPONS])


def test_what_is_to_be_checked_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such database"):
        check(tmp_path)
    with pytest.raises(ValueError, match="data folder"):
        check()
