"""``python -m payments reconcile``: a day against its bill from a terminal, with the exit code that a script needs."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from payments.__main__ import COMMANDS, main
from payments.assembly import AssembledPayments, assemble
from payments.money import Fen
from payments.port import OpenIntent
from payments.reconcile.command import main as reconcile
from payments.reconcile.command import report
from payments.reconcile.view import ReconciliationView
from payments.settings import read_settings
from payments.store.database import Sql
from tests.payments_desk import START

DAY = date(2026, 3, 2)
MORNING = START + timedelta(days=1)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Payments of their own, with the sandbox's two channels."""
    for name in ("DATA_DIR", "CHANNELS", "DATABASE_URL"):
        monkeypatch.delenv(f"PAYMENTS_{name}", raising=False)
    monkeypatch.setenv("PAYMENTS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_payments(do: Callable[[AssembledPayments], Awaitable[None]], now: datetime = START) -> None:
    async def run() -> None:
        payments = assemble(read_settings(env_file=None), lambda: now)
        await payments.start()
        await do(payments)
        await payments.stop()

    asyncio.run(run())


async def paid(payments: AssembledPayments, name: str, *, is_heard: bool = True) -> None:
    """An order is paid; if it is not heard, the bank alone knows."""
    await payments.submit(
        OpenIntent(
            id=f"open:{name}", intent_id=f"int_{name}", campus_id="nu", order_ref=f"ord_{name}", payer_ref="student",
            amount_fen=1000, description="errand", channels=("sandbox",), expires_at=START + timedelta(hours=1),
        )
    )  # fmt: skip
    while await payments.work():
        continue
    view = await payments.view(f"int_{name}")
    assert view is not None and view.credential is not None and payments.bank is not None
    if not is_heard:
        await payments.bank.script(f"ord_{name}", "lost", 1)
    assert await payments.bank.pay(str(view.credential["token"])) == "paid"


async def two(payments: AssembledPayments) -> None:
    await paid(payments, "a")
    await paid(payments, "b", is_heard=False)


async def damage(payments: AssembledPayments) -> None:
    """The bank writes another amount into its books."""
    assert payments.bank is not None
    statement = "UPDATE orders SET paid_fen = 900, frozen_fen = 900 WHERE order_ref = 'ord_a'"
    assert await payments.bank._database.run(lambda c: Sql(c).do(statement)) == 1


def run(*more: str) -> int:
    return reconcile(["--channel", "sandbox", *more], lambda: MORNING)


def test_a_ghost_is_repaired_and_a_day_that_agrees_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with_payments(two)
    assert run("--day", DAY.isoformat()) == 0
    shown = capsys.readouterr().out
    assert "sandbox 2026-03-02  differs · 有差异" in shown
    assert "paid_there_not_here  not_booked" in shown and "ord_b" in shown and "repaired" in shown
    assert "differences 1, still open 0 · " in shown and "未处理 0 项" in shown
    # Again, of yesterday without saying so: now the books agree, and the old difference is still told.
    assert run("--language", "en") == 0
    shown = capsys.readouterr().out
    assert "sandbox 2026-03-02  agrees" in shown and "20.00" in shown and "对账" not in shown


def test_what_a_person_must_look_at_is_exit_code_one_and_a_table(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    with_payments(two)
    with_payments(damage)
    assert run("--csv", "out.csv", "--language", "zh") == 1
    assert "未处理 1 项" in capsys.readouterr().out
    with (place / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["order_ref"]: row for row in csv.DictReader(file)}
    assert (rows["ord_a"]["ours_yuan"], rows["ord_a"]["theirs_yuan"], rows["ord_a"]["state"]) == (
        "10.00", "9.00", "open",
    )  # fmt: skip
    assert rows["ord_b"]["state"] == "repaired"
    assert run("--csv", "-") == 1
    assert len(list(csv.DictReader(capsys.readouterr().out.splitlines()))) == 2

    async def settle(payments: AssembledPayments) -> None:
        (item,) = await payments.open_items()
        await payments.close_item(item.id, "op_li", "the bank's mistake")

    with_payments(settle)
    assert run() == 0


def test_a_bill_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async def late(payments: AssembledPayments) -> None:
        await paid(payments, "a")
        assert payments.bank is not None
        await payments.bank.script("*", "bill_late", 5)

    with_payments(late)
    assert run("--language", "en") == 1
    assert "the bill is not there yet (late)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--day", "2026-03-03"), "has no bill of 2026-03-03: the day is not over; bills come after about 10:00"),
        (("--day", "2026-12-24"), "has no bill of 2026-12-24: the day is not over"),
        (("--day", "2020-03-02"), "has no bill of 2020-03-02: bills are kept for 366 days"),
        (("--channel", "cowries"), "no channel cowries in PAYMENTS_CHANNELS; there are · 已配置渠道: sandbox, "),
        (("--channel", "sandbox_backup"), "sandbox_backup never took an order here"),
    ],
)
def test_a_question_without_an_answer(capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str) -> None:
    with_payments(two)
    assert run(*more) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--day", "23.11.2026"), "'23.11.2026' is no day as YYYY-MM-DD"),
        (("--csv", "/no/such/folder/x.csv"), "cannot be written: /no/such/folder/x.csv"),
        (("--csv", "."), "cannot be written: ."),
        (("--env-file", "payment.env"), "no such file: payment.env"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], place: Path, more: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as end:
        run(*more)
    assert end.value.code == 2 and said in capsys.readouterr().err
    assert not (place / "data").exists()


def test_the_wrong_place_is_left_as_it_is(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    """Nothing is made where no payments are: a slip in a path must not look like a day without orders."""
    assert run() == 2
    assert "is PAYMENTS_DATABASE_URL that of the server?" in capsys.readouterr().err
    assert not (place / "data").exists()
    assert reconcile(["--channel", "sandbox"]) == 2


def test_a_wrong_setting_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENTS_PORT", "x")
    assert run() == 2
    assert "PAYMENTS_PORT" in capsys.readouterr().err


def test_help_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["reconcile", "--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0 and "Exit code 0" in shown and "退出码 0" in shown and "--csv" in shown
    assert "对账" in COMMANDS["reconcile"][0]


def test_a_run_without_a_bill_has_no_lines() -> None:
    run = ReconciliationView(id="x", channel="wechat", day=DAY, state="given_up", reason="no_bill")
    text = "\n".join(report(run, [], "en"))
    assert text.startswith("wechat 2026-03-02  no bill can be had (no_bill)") and "lines 0, differences 0" in text
    assert Fen(0) == run.sums.ours.paid_fen
