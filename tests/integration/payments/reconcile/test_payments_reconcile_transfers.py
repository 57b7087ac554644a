"""What is paid to a person against the bill, in all its five ways of going wrong: at the sandbox bank, whose books are
damaged by hand, and at the simulated providers, which fail by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from payments.account import Withdraw, Withdrawn
from payments.channels.sandbox import shape
from payments.money import Fen
from payments.outcomes import Bill, BillLine
from payments.port import PayoutFailed, Settled, Share
from payments.reconcile.business_day import CHINA, day_of
from payments.reconcile.repair import REPAIR_S
from payments.reconcile.view import ReconciliationView
from tests.payments_desk import Desk
from tests.payments_office import DAY, NEXT, OddChannel, Office, named
from tests.payments_town import RUNNER, Town, town


@pytest.fixture
async def office(sql_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A channel that splits a withdrawal to the merchant and pays the runner by a transfer; on both databases."""
    bank_url = f"sqlite:///{tmp_path}/bank.db" if sql_url.startswith("sqlite") else sql_url
    by_transfer = msgspec.structs.replace(shape("sandbox"), transfers_withdrawals=True)
    async with Desk(sql_url, bank_url, [by_transfer]) as desk:
        await desk.open("a", channels=("sandbox",))
        assert await desk.pay() == "paid"
        await desk.settle("a", runner=800, campus=50, platform=150)
        yield Office(desk)


async def withdrawn(office: Office, fen: int = 300) -> str:
    """The runner has their money; the number of the transfer."""
    await office.desk.withdraw("w1", fen)
    (number,) = await office.desk.bank.transfers("sandbox")
    return number


async def test_what_was_paid_to_a_person_agrees(office: Office) -> None:
    await withdrawn(office)
    await office.until(NEXT)
    run = await office.run()
    assert (run.state, run.sums.theirs) == ("agreed", run.sums.ours)
    assert (run.sums.ours.transferred_fen, run.sums.ours.split_fen) == (300, 500)


async def test_a_transfer_that_nobody_here_ordered(office: Office) -> None:
    await withdrawn(office)
    await office.bank(
        "INSERT INTO transfers (number, channel, account_ref, amount_fen, at)"
        " SELECT 'BYHAND1', channel, 'somebody', 77, at FROM transfers"
    )
    await office.until(NEXT)
    item = await office.only()
    assert named(item)[:3] == ("state_differs", "unknown_number", "open")
    assert (item.what, item.number, item.ours_fen, item.theirs_fen) == ("transferred", "BYHAND1", 0, 77)


async def test_a_transfer_of_another_amount(office: Office) -> None:
    await withdrawn(office)
    await office.bank("UPDATE transfers SET amount_fen = 299")
    await office.until(NEXT)
    item = await office.only()
    assert named(item)[:3] == ("amount_differs", "amount", "open")
    assert (item.what, item.ours_fen, item.theirs_fen) == ("transferred", 300, 299)


async def test_a_transfer_that_we_believe_in_and_the_bank_does_not(office: Office) -> None:
    """It is asked for once more under its number, and stands on the next day's bill."""
    number = await withdrawn(office)
    await office.bank("DELETE FROM transfers")
    await office.until(NEXT)
    item = await office.only()
    assert named(item) == ("state_differs", "missing", "repaired", "done_under_its_number")
    assert (item.what, item.number, item.ours_fen, item.theirs_fen) == ("transferred", number, 300, 0)
    assert await office.desk.bank.transfers("sandbox") == {number: 300}


async def test_a_transfer_that_the_bank_will_not_repeat_is_for_people(office: Office) -> None:
    await withdrawn(office)
    await office.bank("DELETE FROM transfers")
    await office.desk.fault("transfer_fails", count=1000)
    await office.until(NEXT)
    item = await office.only()
    assert named(item)[:3] == ("state_differs", "missing", "open") and "account_abnormal" in item.reason


async def test_a_transfer_whose_answer_was_lost_is_woken(office: Office) -> None:
    """The bank has paid; here it is under way, and nobody asks any more."""
    await office.desk.fault("transfer_lost", count=1)
    await office.desk.withdraw("w1", 300)
    await office.ours("UPDATE instructions SET due_at = NULL WHERE kind = 'withdraw'")
    assert (await office.desk.payments.balances("run")).withdrawing_fen == 300
    await office.until(NEXT)
    await office.desk.advance(61)
    await office.rest()
    found = {item.what: named(item) for item in await office.items()}
    assert found == {
        "split": ("state_differs", "not_booked", "repaired", "booked"),
        "transferred": ("state_differs", "not_booked", "repaired", "booked"),
    }
    assert (await office.desk.payments.balances("run")).withdrawn_fen == 300
    assert len(await office.desk.bank.transfers("sandbox")) == 1
    await office.desk.assert_books()


def _transfers(number: str, *amounts: int) -> Bill:
    lines = tuple(BillLine(kind="transferred", attempt_id="", number=number, amount_fen=Fen(fen)) for fen in amounts)
    return Bill(day=DAY, trades=(), flows=lines)


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ((300,), []),
        ((300, 300), [("twice", "transferred_twice")]),
        ((300, -300), [("state_differs", "missing")]),
        ((300, -300, 300), []),
    ],
)
async def test_what_comes_back_undoes_what_went(
    office: Office, amounts: tuple[int, ...], expected: list[tuple[str, str]]
) -> None:
    number = await withdrawn(office)
    inner = office.desk.payments._channels["sandbox"]
    odd = OddChannel(inner, lambda day: msgspec.structs.replace(_transfers(number, *amounts), day=day))
    office.reconciler._channels["sandbox"] = odd  # type: ignore[assignment]
    await office.desk.advance(86400)
    await office.reconciler.reconcile("sandbox", DAY)
    found = [(item.kind, item.cause) for item in await office.items() if item.what == "transferred"]
    if amounts == (300, -300):
        # It is told by the bill's own line, which names less than we have.
        assert found in ([("state_differs", "missing")], [("amount_differs", "less_there")])
    else:
        assert found == expected


# -- simulated providers ----------------------------------------------------------------------------------------------

WECHAT = {"wechat_runner_payout": "transfer", "wechat_transfer_scene_id": "1005"}
ALIPAY = {"alipay_runner_payout": "personal"}
OPTIONS = {
    "wechat": {"bills_at_once": "true", "split_permille": "1000", "transfer_confirm": "false"},
    "alipay": {"bills_at_once": "true", "split_permille": "1000"},
}
SHARES = (
    Share(party="runner", account_ref=RUNNER, amount_fen=600),
    Share(party="platform", account_ref="platform", amount_fen=200),
)


async def settled(it: Town, channel: str) -> str:
    intent = await it.paid(channel)
    await it.settle(intent, *SHARES)
    await it.event(intent, Settled)
    return intent


async def again(it: Town, channel: str) -> tuple[ReconciliationView, list[tuple[str, str, str]]]:
    """Run the day once more, and let what it finds be repaired."""
    (run, *_) = [each for each in await it.payments.reconciliations() if each.ran_at is not None]
    run = await it.payments.upkeep.reconciler.reconcile(channel, run.day)
    while await it.payments.upkeep.reconciler.mend_run(run.id):
        continue
    return run, [(item.what, item.cause, item.state) for item in await it.payments.differences(run.id)]


async def test_wechat_pays_a_runner_and_its_fund_flow_says_so(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", options=OPTIONS, **WECHAT) as it:
        await settled(it, "wechat_native")
        assert isinstance(await it.withdraw(400), Withdrawn)
        day = day_of(it.now(), CHINA)
        run = await it.reconciled("wechat_native", day)
        assert (run.state, await it.payments.differences(run.id)) == ("agreed", [])
        assert (run.sums.theirs.transferred_fen, run.sums.ours.transferred_fen) == (400, 400)

        # The provider loses it: it is asked for once more under its number, and done.
        transfers = it.house.books.transfers
        ((key, _),) = transfers.items()
        del transfers[key]
        run, found = await again(it, "wechat_native")
        assert run.state == "differing"
        assert [each[:2] for each in found] == [("transferred", "missing")]
        await it.until(lambda: transfers[key].standing == "done", "the provider's transfer")
        it.advance(seconds=REPAIR_S[0] + 1)
        await it.payments.upkeep.reconciler.mend_run(run.id)
        assert [item.state for item in await it.payments.differences(run.id)] == ["repaired"]
        assert [each.opened.amount_fen for each in transfers.values()] == [400] and key in transfers


async def test_a_transfer_that_fails_at_wechat_went_and_came_back(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", options=OPTIONS, **WECHAT) as it:
        intent = await settled(it, "wechat_native")
        it.wrong("transfer_failed op=transfer count=1")
        wish = Withdraw(id="w1", campus_id="campus", account_ref=RUNNER, amount_fen=400, requested_at=it.now())
        await it.payments.submit(wish)
        await it.event(intent, PayoutFailed)
        assert len(it.house.books.transfers) == 1
        run = await it.reconciled("wechat_native", day_of(it.now(), CHINA))
        assert not [item for item in await it.payments.differences(run.id) if item.what == "transferred"]


async def test_alipay_divides_an_order_and_its_second_bill_says_so(tmp_path: Path) -> None:
    async with town(tmp_path, "alipay_qr", options=OPTIONS, **ALIPAY) as it:
        intent = await settled(it, "alipay_qr")
        assert isinstance(await it.withdraw(600), Withdrawn)
        run = await it.reconciled("alipay_qr", day_of(it.now(), CHINA))
        assert (run.state, await it.payments.differences(run.id)) == ("agreed", [])
        assert run.sums.theirs.split_fen == run.sums.ours.split_fen == 800

        # The runner's part is gone from the provider's books: without knowing whose part stands on the bill for
        # certain, nobody would miss it.
        order = await it.book(intent)
        name = next(name for name, split in order.splits.items() if split.opened.parts[0].amount_fen == 600)
        del order.splits[name]
        run, found = await again(it, "alipay_qr")
        assert run.state == "differing"
        assert [each[:2] for each in found] == [("split", "less_there")]
