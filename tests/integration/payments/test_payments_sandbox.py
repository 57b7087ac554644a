"""Money in through a bank that misbehaves: each fault ends with books that agree and money where it belongs."""

from __future__ import annotations

from payments.port import CallbackReply, Released, Suspicious
from tests.payments_desk import START, Desk

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
