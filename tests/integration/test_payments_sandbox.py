"""The core against a bank that misbehaves: each fault ends with books that agree and money where it belongs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from payments import driver
from payments.channels import sandbox_signing as signing
from payments.channels.sandbox import SandboxChannel, shape
from payments.channels.sandbox_bank import SandboxBank
from payments.channels.sandbox_books import FAULTS
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    MoneyAnswer,
    OrderToCreate,
    PaidNotice,
    QueryAnswer,
    Receiver,
    SplitAnswer,
)
from payments.port import CallbackReply, PayoutFailed, Released, Suspicious
from tests.payments_desk import SECRET, START, Desk, sqlite_desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with sqlite_desk(tmp_path) as desk:
        yield desk


# -- creating -------------------------------------------------------------------------------------------------------


async def test_slow_fails_over_and_the_late_credential_is_never_delivered(desk: Desk) -> None:
    await desk.open(description="[sandbox:slow]")
    assert await desk.states() == ["sandbox:abandoned", "sandbox_backup:issued"]
    assert await desk.kinds() == ["IntentReady"]
    assert await desk.pay() == "paid"
    await desk.advance(301)
    assert await desk.states() == ["sandbox:closed", "sandbox_backup:paid"]
    await desk.assert_books()


async def test_a_slow_bank_within_the_budget_is_waited_for(desk: Desk) -> None:
    await desk.open(description="[sandbox:slow=0.05]")
    assert await desk.states() == ["sandbox:issued"]


async def test_an_abandoned_order_that_is_paid_after_all_pays_or_goes_back(desk: Desk) -> None:
    """The bank honours a token that we never handed out: the money is booked once and given back once."""
    await desk.fault("unknown", channel="sandbox")
    await desk.open()
    assert await desk.states() == ["sandbox:abandoned", "sandbox_backup:issued"]
    leaked = await _token_of(desk, (await desk.view()).attempts[0].attempt_id)
    good = await desk.token()
    assert await desk.bank.pay(good) == "paid"
    assert await desk.bank.pay(leaked) == "paid"
    await desk.settle_down()
    assert await desk.states() == ["sandbox:refunded", "sandbox_backup:paid"]
    assert (await desk.kinds()).count("Paid") == 1
    await desk.assert_books()
    await desk.settle()
    await desk.assert_books()


async def test_a_leaked_abandoned_order_pays_first_and_the_live_one_is_closed(desk: Desk) -> None:
    await desk.fault("unknown", channel="sandbox")
    await desk.open()
    leaked = await _token_of(desk, (await desk.view()).attempts[0].attempt_id)
    good = await desk.token()
    assert await desk.bank.pay(leaked) == "paid"
    await desk.settle_down()
    assert await desk.states() == ["sandbox:paid", "sandbox_backup:closed"]
    assert await desk.bank.pay(good) == "closed"
    await desk.assert_books()


async def _token_of(desk: Desk, attempt_id: str) -> str:
    row = await desk.bank._read(lambda books: books.order(attempt_id))
    assert row is not None
    return str(row["token"])


async def test_declined_everywhere_fails(desk: Desk) -> None:
    await desk.open(description="[sandbox:declined*2]")
    view = await desk.view()
    assert (view.state, view.reason) == ("failed", "declined")
    assert await desk.kinds() == ["IntentFailed"]


async def test_a_verdict_is_not_carried_to_another_channel(desk: Desk) -> None:
    await desk.open(description="[sandbox:refused]")
    assert await desk.states() == ["sandbox:refused"]
    assert (await desk.view()).reason == "refused"


async def test_insufficient_then_paid(desk: Desk) -> None:
    await desk.open(description="[sandbox:insufficient]")
    assert await desk.pay() == "insufficient"
    assert await desk.bank.pay(await desk.token(), "insufficient") == "insufficient"
    assert await desk.pay() == "paid"
    token = (await desk.bank._read(lambda books: books.of_channel("sandbox")))[0].attempt_id
    assert await desk.bank.pay(await _token_of(desk, token)) == "already_paid"
    assert await desk.bank.pay("no such token") == "unknown_token"
    await desk.assert_books()


async def test_after_failures_in_a_row_new_orders_go_elsewhere(desk: Desk) -> None:
    await desk.fault("unknown", channel="sandbox", count=5)
    for turn in range(5):
        await desk.open(f"t{turn}")
    await desk.open("later")
    assert await desk.states("later") == ["sandbox_backup:issued"]
    assert [channel.is_available for channel in desk.payments.channels()] == [False, True]
    await desk.advance(31)
    await desk.open("probe")
    assert await desk.states("probe") == ["sandbox:issued"]


# -- being told -----------------------------------------------------------------------------------------------------


async def test_a_late_notice_pays_when_it_comes(desk: Desk) -> None:
    await desk.open(description="[sandbox:late=5]")
    await desk.pay()
    assert (await desk.view()).state == "pending"
    await desk.advance(6)
    assert (await desk.view()).state == "success"
    await desk.advance(3600, step_s=300)
    assert (await desk.kinds()).count("Paid") == 1


async def test_a_lost_notice_is_found_by_asking(desk: Desk) -> None:
    await desk.open(description="[sandbox:lost]")
    await desk.pay()
    assert (await desk.view()).state == "pending"
    await desk.advance(20)
    assert (await desk.view()).state == "success"
    await desk.assert_books()


async def test_a_doubled_notice_counts_once(desk: Desk) -> None:
    await desk.open(description="[sandbox:doubled]")
    await desk.pay()
    assert (await desk.kinds()).count("Paid") == 1
    await desk.assert_books()


async def test_a_lost_answer_is_asked_for_again(desk: Desk) -> None:
    await desk.open(description="[sandbox:lost][sandbox:query_lost*2]")
    await desk.pay()
    await desk.advance(200, step_s=15)
    assert (await desk.view()).state == "success"


async def test_another_amount_is_never_success(desk: Desk) -> None:
    await desk.open(description="[sandbox:wrong_amount*500]")
    await desk.pay()
    view = await desk.view()
    assert (view.state, view.reason) == ("suspicious", "amount_mismatch")
    await desk.advance(25 * 3600, step_s=1800)
    assert await desk.kinds() == ["IntentReady", "Suspicious"]
    await desk.bank.clear_scripts()
    assert len(await desk.payments.check()) > 0, "the bank has money that we could not book"


async def test_evidence_lifts_a_suspicion(desk: Desk) -> None:
    await desk.open(description="[sandbox:wrong_amount]")
    await desk.pay()
    await desk.advance(100, step_s=5)
    assert (await desk.view()).state == "success"
    assert await desk.kinds() == ["IntentReady", "Suspicious", "Paid"]
    await desk.assert_books()


async def test_without_proof_for_a_day_people_must_look(desk: Desk) -> None:
    await desk.open(for_s=60)
    await desk.fault("query_lost", "a", count=1000)
    await desk.advance(25 * 3600, step_s=900)
    assert (await desk.view()).state == "suspicious"
    assert await desk.kinds() == ["IntentReady", "Suspicious"]
    events = await desk.told()
    assert isinstance(events[-1], Suspicious)
    assert events[-1].reason == "no_proof"
    assert await desk.payments.work() == 0


async def test_a_bank_that_is_not_heard_calls_again(desk: Desk) -> None:
    heard = desk.bank.notify
    calls: list[float] = []

    async def deaf(channel: str, headers: object, body: bytes) -> CallbackReply:
        calls.append((desk.at - START).total_seconds())
        if len(calls) == 1:
            raise ConnectionError("nobody listens")
        return CallbackReply(500, b"")

    desk.bank.notify = deaf
    await desk.open(description="x", for_s=90000)
    await desk.fault("query_lost", "a", count=1000)
    await desk.pay()
    await desk.advance(90, step_s=15)
    await desk.advance(30 * 3600, step_s=600)
    assert len(calls) == 16
    assert calls[:4] == [0, 15, 30, 60]
    desk.bank.notify = None
    assert await desk.bank.work() == 0
    desk.bank.notify = heard


# -- switching and closing --------------------------------------------------------------------------------------------


async def test_a_close_without_effect_is_noticed(desk: Desk) -> None:
    await desk.open(description="[sandbox:close_ignored*2]")
    await desk.payments.switch_channel("int_a", "sandbox_backup")
    await desk.settle_down()
    assert await desk.states() == ["sandbox:closing"]
    assert (await desk.view()).state == "processing"
    await desk.advance(10, step_s=1)
    assert await desk.states() == ["sandbox:closed", "sandbox_backup:issued"]


async def test_paid_while_closing_is_success_and_no_switch(desk: Desk) -> None:
    await desk.open(description="[sandbox:close_ignored*9][sandbox:lost]")
    token = await desk.token()
    await desk.payments.switch_channel("int_a", "sandbox_backup")
    await desk.settle_down()
    assert await desk.bank.pay(token) == "paid"
    await desk.advance(10, step_s=1)
    assert await desk.states() == ["sandbox:paid"]
    await desk.assert_books()


async def test_money_that_comes_after_a_release_goes_back(desk: Desk) -> None:
    await desk.open(description="[sandbox:close_ignored*9]")
    token = await desk.token()
    await desk.release()
    assert await desk.bank.pay(token) == "paid"
    await desk.settle_down()
    assert await desk.kinds() == ["IntentReady", "Paid", "Released"]
    released = (await desk.told())[-1]
    assert isinstance(released, Released)
    assert released.amount_fen == 1000
    assert (await desk.view()).hold_state == "released"
    await desk.assert_books()


async def test_an_expired_intent_fails_and_late_money_is_told(desk: Desk) -> None:
    await desk.open(for_s=60, description="[sandbox:lost][sandbox:query_lost*3]")
    token = await desk.token()
    await desk.advance(59)
    assert await desk.bank.pay(token) == "paid"
    await desk.advance(30, step_s=1)
    assert (await desk.view()).state == "success"
    await desk.open("b", for_s=60)
    await desk.advance(61)
    assert (await desk.view("b")).state == "failed"
    assert (await desk.view("b")).reason == "expired"
    assert await desk.kinds("b") == ["IntentReady", "IntentFailed"]
    await desk.release("b")
    assert await desk.kinds("b") == ["IntentReady", "IntentFailed", "Released"]


async def test_a_provider_that_takes_money_on_a_dead_order(desk: Desk) -> None:
    """It called the order closed, and then sent a proof of payment: evidence wins."""
    await desk.open(for_s=60)
    token = await desk.token()
    await desk.advance(61)
    assert (await desk.view()).state == "failed"
    await desk.fault("pays_closed", "a")
    assert await desk.bank.pay(token) == "paid"
    await desk.settle_down()
    assert await desk.kinds() == ["IntentReady", "IntentFailed", "Paid", "Suspicious"]
    assert (await desk.view()).state == "success"
    await desk.release()
    assert (await desk.view()).hold_state == "released"
    await desk.assert_books()


# -- money out --------------------------------------------------------------------------------------------------------


async def test_a_release_that_fails_is_told_once_and_tried_again(desk: Desk) -> None:
    await desk.fault("release_fails", "a", count=2)
    await desk.open_and_pay()
    await desk.release()
    assert (await desk.view()).hold_state == "release_failed"
    await desk.advance(120, step_s=5)
    assert (await desk.view()).hold_state == "released"
    assert await desk.kinds() == ["IntentReady", "Paid", "ReleaseFailed", "Released"]
    await desk.assert_books()


async def test_a_release_whose_reply_is_lost_happens_once(desk: Desk) -> None:
    await desk.fault("release_lost", "a")
    await desk.open_and_pay()
    await desk.release()
    assert (await desk.view()).hold_state == "releasing"
    await desk.advance(10, step_s=5)
    assert (await desk.view()).hold_state == "released"
    await desk.assert_books()


async def test_a_closed_receiver_is_told_and_paid_under_another_number(desk: Desk) -> None:
    await desk.fault("split_fails", "a", count=2, value="runner")
    await desk.open_and_pay()
    await desk.settle("a", runner=700, campus=50, platform=150)
    view = await desk.view()
    assert (view.hold_state, view.captured_fen) == ("capturing", 200)
    assert (await desk.payments.balances("run")).pending_fen == 700
    failed = (await desk.told())[-1]
    assert isinstance(failed, PayoutFailed)
    assert (failed.party, failed.account_ref, failed.reason) == ("runner", "run", "receiver_account_abnormal")
    await desk.advance(60, step_s=5)
    assert await desk.kinds() == ["IntentReady", "Paid", "PayoutFailed", "Settled"]
    assert (await desk.payments.balances("run")).available_fen == 700
    await desk.assert_books()


async def test_a_pending_receiver_is_asked_about_under_the_same_number(desk: Desk) -> None:
    await desk.fault("split_pending", "a", value="runner")
    await desk.fault("split_fails", "a", value="campus")
    await desk.open_and_pay()
    await desk.settle("a", runner=700, campus=50, platform=150)
    assert (await desk.view()).captured_fen == 150
    await desk.advance(60, step_s=5)
    assert (await desk.view()).captured_fen == 900
    await desk.assert_books()


async def test_a_split_whose_reply_is_lost_happens_once(desk: Desk) -> None:
    await desk.fault("split_lost", "a")
    await desk.open_and_pay()
    await desk.settle()
    assert (await desk.view()).captured_fen == 0
    await desk.advance(10, step_s=5)
    assert (await desk.view()).captured_fen == 1000
    await desk.assert_books()


async def test_a_refund_that_fails_is_tried_again(desk: Desk) -> None:
    await desk.fault("refund_fails", "a")
    await desk.open_and_pay()
    await desk.settle()
    await desk.refund("a", 100)
    assert (await desk.view()).refunded_fen == 0
    await desk.advance(10, step_s=5)
    assert (await desk.view()).refunded_fen == 100
    await desk.assert_books()


class MuteChannel(SandboxChannel):
    """A way to pay whose line is open and dead: no call ever ends."""

    is_mute = True
    is_close_mute = False

    async def _wait(self) -> None:
        if self.is_mute:
            await asyncio.Event().wait()

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        await self._wait()
        return await super().create_credential(order)

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        await self._wait()
        return await super().debit(order)

    async def query(self, attempt_id: str) -> QueryAnswer:
        await self._wait()
        return await super().query(attempt_id)

    async def close(self, attempt_id: str) -> CloseAnswer:
        if self.is_close_mute:
            await asyncio.Event().wait()
        return await super().close(attempt_id)

    async def split(self, attempt_id: str, number: str, receivers: Sequence[Receiver]) -> SplitAnswer:
        await self._wait()
        return await super().split(attempt_id, number, receivers)

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        await self._wait()
        return await super().give_back(attempt_id, number, amount_fen)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        await self._wait()
        return await super().refund(attempt_id, number, amount_fen)


@pytest.fixture
async def mute_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Desk, MuteChannel]]:
    monkeypatch.setattr(driver, "CALL_S", 0.4)
    async with sqlite_desk(tmp_path, [shape("sandbox"), shape("card", "debit")]) as desk:
        mute = MuteChannel(desk.bank, SECRET)
        desk.payments._channels["sandbox"] = mute
        yield desk, mute


async def test_calls_that_never_end(mute_desk: tuple[Desk, MuteChannel]) -> None:
    desk, mute = mute_desk
    await desk.open("gone", channels=("sandbox",))
    assert await desk.states("gone") == ["sandbox:abandoned"]
    card = MuteChannel(desk.bank, SECRET, shape("card", "debit"))
    desk.payments._channels["card"] = card
    await desk.open("card", channels=("card",))
    assert await desk.states("card") == ["card:unknown"]
    mute.is_mute = False
    await desk.open("a", channels=("sandbox",))
    mute.is_close_mute = True
    await desk.release("a")
    assert await desk.states("a") == ["sandbox:closing"], "the close was not answered"
    mute.is_close_mute = False
    await desk.advance(30, step_s=5)
    assert await desk.states("a") == ["sandbox:closed"]


async def test_money_out_that_is_not_answered_is_told_once_and_goes_on(mute_desk: tuple[Desk, MuteChannel]) -> None:
    desk, mute = mute_desk
    mute.is_mute = False
    for name in "abc":
        await desk.open(name, channels=("sandbox",))
        await desk.pay(name)
    await desk.settle("c")
    mute.is_mute = True
    await desk.settle("a", runner=600, campus=0, platform=100)
    await desk.release("b")
    await desk.refund("c", 100)
    await desk.advance(100, step_s=5)
    assert await desk.kinds("a") == ["IntentReady", "Paid", "PayoutFailed", "PayoutFailed"]
    assert await desk.kinds("b") == ["IntentReady", "Paid", "ReleaseFailed"]
    assert await desk.kinds("c") == ["IntentReady", "Paid", "Settled", "Suspicious"]
    mute.is_mute = False
    await desk.advance(3600, step_s=300)
    assert (await desk.kinds("a"))[-1] == "Settled"
    assert (await desk.kinds("b"))[-1] == "Released"
    assert (await desk.kinds("c"))[-1] == "Refunded"
    await desk.assert_books()


# -- other kinds of channel -------------------------------------------------------------------------------------------


async def test_a_direct_debit_takes_the_money_at_once(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("card", "debit"), shape("sandbox")]) as desk:
        await desk.open(channels=("card", "sandbox"))
        assert await desk.states() == ["card:paid"]
        assert await desk.kinds() == ["Paid"]
        await desk.assert_books()


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        ("declined", ["card:declined", "sandbox:issued"]),
        ("insufficient", ["card:declined", "sandbox:issued"]),
        ("refused", ["card:refused"]),
    ],
)
async def test_a_direct_debit_that_certainly_took_nothing(tmp_path: Path, fault: str, states: list[str]) -> None:
    async with sqlite_desk(tmp_path, [shape("card", "debit"), shape("sandbox")]) as desk:
        await desk.open(channels=("card", "sandbox"), description=f"[sandbox:{fault}]")
        assert await desk.states() == states


async def test_a_direct_debit_without_an_answer_is_held_and_asked_about(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("card", "debit"), shape("sandbox")]) as desk:
        await desk.fault("lost")
        await desk.open(channels=("card", "sandbox"), description="[sandbox:unknown]")
        assert await desk.states() == ["card:unknown"]
        assert (await desk.view()).state == "processing"
        await desk.advance(2, step_s=1)
        assert await desk.states() == ["card:paid"]
        await desk.assert_books()


async def test_a_direct_debit_that_never_arrived_is_dead_after_its_margin(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("card", "debit"), shape("sandbox")]) as desk:
        await desk.open(channels=("card", "sandbox"), description="[sandbox:request_lost]")
        assert await desk.states() == ["card:unknown"]
        await desk.advance(20, step_s=1)
        assert await desk.states() == ["card:closed", "sandbox:issued"]


async def test_a_locally_signed_code_comes_to_life_when_it_is_opened(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("code", "local", can_close=False), shape("sandbox")]) as desk:
        await desk.open(channels=("code", "sandbox"), for_s=120)
        token = await desk.token()
        await desk.payments.switch_channel("int_a", "sandbox")
        await desk.advance(30, step_s=1)
        assert await desk.states() == ["code:closing"], "no such order proves nothing before the code has expired"
        page = await desk.bank.page(token)
        assert page is not None
        assert (page.state, page.amount_fen, page.channel) == ("open", 1000, "code")
        assert await desk.bank.pay(token) == "paid"
        await desk.settle_down()
        assert await desk.states() == ["code:paid"]
        await desk.open("b", channels=("code",), for_s=120)
        await desk.advance(200, step_s=10)
        assert await desk.states("b") == ["code:closed"]
        assert (await desk.view("b")).state == "failed"
        await desk.assert_books()


async def test_a_channel_without_closing_waits_for_the_expiry(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("union", can_close=False), shape("sandbox")]) as desk:
        await desk.open(channels=("union", "sandbox"), for_s=600)
        await desk.payments.switch_channel("int_a", "sandbox")
        await desk.advance(60, step_s=5)
        assert await desk.states() == ["union:closing"]
        await desk.release()
        await desk.advance(900, step_s=30)
        assert await desk.states() == ["union:closed"]
        assert await desk.kinds() == ["IntentReady", "Released"]


# -- the bank itself --------------------------------------------------------------------------------------------------


def _order(number: str = "ORDER0001") -> OrderToCreate:
    return OrderToCreate(
        attempt_id=number,
        amount_fen=500,
        description="x",
        order_ref="ref",
        payer_ref="p",
        expires_at=START + timedelta(minutes=5),
    )


async def test_the_bank_keeps_its_rules(desk: Desk) -> None:
    bank = desk.bank
    token = await bank.create("sandbox", _order())
    assert await bank.create("sandbox", _order()) == token
    page = await bank.page(token)
    assert page is not None
    assert page.state == "open"
    assert await bank.page("nothing") is None
    assert (await bank.give_back("nothing", "N1", 5)).reason == "no_such_order"
    assert (await bank.refund("nothing", "N1", 5)).reason == "no_such_order"
    assert (await bank.split("nothing", "N1", ())).reason == "no_such_order"
    assert await bank.cancel("nothing") == "asked"
    assert (await bank.query("nothing")).standing == "absent"
    bank.notify = None
    assert await bank.pay(token) == "paid"
    assert await bank.cancel("ORDER0001") == "paid"
    too_much = Receiver(party="runner", account_ref="run", amount_fen=Fen(501))
    assert (await bank.split("ORDER0001", "S1", [too_much])).reason == "not_enough_frozen"
    assert (await bank.give_back("ORDER0001", "U1", 501)).reason == "not_enough_frozen"
    assert (await bank.refund("ORDER0001", "R1", 1)).reason == "not_enough_split"


async def test_the_same_number_moves_money_once(desk: Desk) -> None:
    bank = desk.bank
    bank.notify = None
    await bank.pay(await bank.create("sandbox", _order()))
    receiver = Receiver(party="runner", account_ref="run", amount_fen=Fen(300))
    for _ in range(2):
        assert (await bank.split("ORDER0001", "S1", [receiver])).receivers[0].standing == "paid"
        assert (await bank.refund("ORDER0001", "R1", Fen(100))).standing == "done"
        assert (await bank.give_back("ORDER0001", "U1", Fen(200))).standing == "done"
    (book,) = await bank.books("sandbox")
    assert (book.paid_fen, book.split_fen, book.returned_fen, book.refunded_fen, book.frozen_fen) == (
        500,
        300,
        200,
        100,
        0,
    )


async def test_scripts_are_listed_checked_and_cleared(desk: Desk) -> None:
    await desk.fault("slow", "a", count=3, value="1")
    (script,) = await desk.bank.scripts()
    assert (script.order_ref, script.fault, script.remaining, script.value) == ("ord_a", "slow", 3, "1")
    await desk.bank.clear_scripts()
    assert await desk.bank.scripts() == []
    with pytest.raises(ValueError, match="no such fault"):
        await desk.bank.script("*", "boredom")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no such fault"):
        await desk.bank.script("*", "slow", 0)
    await desk.open(description="[sandbox:boredom] [sandbox:slow=0.01*1]")
    assert await desk.states() == ["sandbox:issued"]
    assert len(FAULTS) == len(set(FAULTS))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({signing.SIGNATURE: "0" * 64}, "wrong signature"),
        ({signing.SIGNATURE: "ä"}, "wrong signature"),
        ({signing.NONCE: ""}, "not signed"),
        ({signing.TIMESTAMP: "soon"}, "not signed"),
        ({signing.TIMESTAMP: "²"}, "not signed"),
        ({signing.TIMESTAMP: "1000"}, "wrong signature"),
    ],
)
async def test_a_notice_must_be_proved(desk: Desk, change: dict[str, str], why: str) -> None:
    body = b'{"id":"N1","event":"paid","out_no":"ORDER0001","amount_fen":5,"transaction_id":"T"}'
    channel = desk.channel()
    headers = signing.headers(SECRET, body, channel._wall_s(), "nonce")
    assert isinstance(channel.read_callback(headers, body), PaidNotice)
    assert isinstance(channel.read_callback({k.lower(): v for k, v in headers.items()}, body), PaidNotice)
    assert channel.read_callback(headers | change, body) == BadNotice(why)
    assert channel.read_callback(headers, body + b" ") == BadNotice("wrong signature")
    reply = await desk.payments.callback("sandbox", headers | change, body)
    assert reply.status == 400


async def test_a_proved_notice_must_be_fresh_and_make_sense(desk: Desk) -> None:
    channel = desk.channel()
    body = b"{}"
    old = signing.headers(SECRET, body, channel._wall_s() - 301, "nonce")
    assert channel.read_callback(old, body) == BadNotice("not fresh")
    fresh = signing.headers(SECRET, body, channel._wall_s(), "nonce")
    assert isinstance(channel.read_callback(fresh, body), BadNotice)
    body = b'{"id":"N1","event":"paid","out_no":"ORDER0001","amount_fen":5,"transaction_id":"T"}'
    proved = signing.headers(SECRET, body, channel._wall_s(), "nonce")
    assert (await desk.payments.callback("sandbox", proved, body)).status == 400, "nobody knows this order"


async def test_a_notice_cannot_come_through_another_channel(desk: Desk) -> None:
    await desk.open()
    attempt = (await desk.view()).attempts[0].attempt_id
    body = msgspec.json.encode(
        {"id": "N1", "event": "paid", "out_no": attempt, "amount_fen": 1000, "transaction_id": "T"}
    )
    proved = signing.headers(SECRET, body, desk.channel()._wall_s(), "nonce")
    assert (await desk.payments.callback("sandbox_backup", proved, body)).status == 400
    assert (await desk.payments.callback("sandbox", proved, body)).status == 200


def test_sealed_orders_are_proved() -> None:
    token = signing.seal(SECRET, "code", _order())
    sealed = signing.unseal(SECRET, token)
    assert sealed is not None
    assert sealed.order == _order()
    assert signing.unseal(b"another secret", token) is None
    assert signing.unseal(SECRET, "plain") is None
    assert signing.unseal(SECRET, token[:-1]) is None
    for text in ("!!!", "e30="):
        forged = f"{text}.{signing._sign(SECRET, 'seal', '', text.encode())}"
        assert signing.unseal(SECRET, forged) is None


async def test_two_banks_on_one_database(tmp_path: Path) -> None:
    """Another process's bank knows the same orders, and a due notice is sent by one of them."""
    async with sqlite_desk(tmp_path) as desk:
        other = SandboxBank(f"sqlite:///{tmp_path}/bank.db", lambda: desk.at, SECRET, desk.payments.callback)
        await desk.open()
        notify, desk.bank.notify = desk.bank.notify, None
        assert await other.pay(await desk.token()) == "paid"
        desk.bank.notify = notify
        assert await desk.bank.work() == 0
        assert (await desk.view()).state == "success"
        other.close()
