"""The driver under way: what is slow, what comes too late, what a crash left, and what is written down of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from payments.breaker import FAILURES_TO_OPEN, OPEN_S
from payments.callbacks import Callbacks
from payments.channels.exchange import Exchange
from payments.channels.sandbox import SandboxChannel, shape
from payments.failover import Query
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    CreateAnswer,
    Issued,
    MoneyNotice,
    NotIssued,
    OrderToCreate,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
)
from payments.port import Release, UnknownChannel
from payments.steps import Planned, Steps
from payments.store.unit_of_work import UnitOfWork
from payments.timeline import LEFT_OUT, MOST_REPEATING, ExchangeBuffer
from tests.payments_desk import START, Desk, sqlite_desk


@pytest.fixture
async def debit_desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with sqlite_desk(tmp_path, (shape("card", "debit"), shape("sandbox"))) as desk:
        yield desk


def creating(desk: Desk, code: str, answer: CreateAnswer) -> None:
    """Let this channel answer so to the creation of a credential."""

    async def create_credential(order: OrderToCreate) -> CreateAnswer:
        return answer

    desk.channel(code).create_credential = create_credential  # type: ignore[method-assign]


# -- slow calls, late ones --------------------------------------------------------------------------------------------


async def test_a_slow_call_holds_nobody_up(desk: Desk) -> None:
    is_free = asyncio.Event()
    create = SandboxChannel.create_credential

    async def stalled(order: OrderToCreate) -> CreateAnswer:
        await is_free.wait()
        return await create(desk.channel(), order)

    desk.channel().create_credential = stalled  # type: ignore[method-assign]
    await desk.open("slow", is_worked=False)
    await desk.payments.work()
    await desk.open("quick", channels=("sandbox_backup",), is_worked=False)
    async with asyncio.timeout(10):
        while (await desk.view("quick")).credential is None:
            assert await desk.payments.work() > 0, "the slow one counts as work"
    assert await desk.states("slow") == ["sandbox:creating"]
    is_free.set()
    await desk.settle_down()
    assert await desk.states("slow") == ["sandbox:issued"]


async def test_whoever_stalled_beyond_the_lease_books_and_lets_go(desk: Desk) -> None:
    await desk.open()
    steps: Steps = desk.payments._driver._steps
    store = desk.payments._store

    def ask(uow: UnitOfWork) -> Planned:
        (attempt,) = uow.attempts.of("int_a")
        return Planned(Query(attempt), desk.at)

    planned = await store.run(ask)
    unpaid = QueryAnswer(standing="unpaid")
    # There is something to do by now, for whoever holds the intent.
    await desk.payments.submit(Release(id="release:a", intent_id="int_a", reason="cancelled"))
    assert await store.run(lambda uow: steps.apply_and_plan(planned, unpaid, desk.at, uow)) is None
    (attempt,) = await store.read(lambda uow: uow.attempts.of("int_a"))
    assert (attempt.asks, attempt.state) == (1, "issued")


async def test_what_sleeps_without_an_end_is_woken_at_the_start(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await desk.open()
        token = await desk.token()
        await desk.payments._store.run(lambda uow: uow.intents.let_go("int_a", None))
        await desk.fault("lost")
        await desk.bank.pay(token)
        await desk.advance(600, step_s=100)
        assert (await desk.view()).state == "pending"
        at = desk.at
    async with sqlite_desk(tmp_path) as desk:
        desk.at = at
        await desk.settle_down()
        assert (await desk.view()).state == "success"


async def test_stopping_gives_up_what_is_under_way_and_the_next_one_goes_on(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:

        async def never(order: OrderToCreate) -> CreateAnswer:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

        desk.channel().create_credential = never  # type: ignore[method-assign]
        await desk.open(is_worked=False)
        await desk.payments.work()
    async with sqlite_desk(tmp_path) as desk:
        desk.at += timedelta(seconds=20)
        await desk.settle_down()
        assert await desk.states() == ["sandbox:abandoned", "sandbox:issued"]


async def test_what_a_channel_needs_of_the_payer_is_revealed_for_the_call(desk: Desk) -> None:
    seen: list[Mapping[str, str]] = []

    async def reveal(payer_ref: str, names: tuple[str, ...]) -> Mapping[str, str]:
        return {name: f"{name} of {payer_ref}" for name in names}

    async def create_credential(order: OrderToCreate) -> CreateAnswer:
        seen.append(order.payer)
        return Issued({"token": "x"})

    channel = desk.channel()
    channel._shape = msgspec.structs.replace(channel.shape, needs=("openid",))
    channel.create_credential = create_credential  # type: ignore[method-assign]
    desk.payments._driver._reveal = reveal
    await desk.open()
    assert seen == [{"openid": "openid of student_a"}]


# -- breakers ---------------------------------------------------------------------------------------------------------


async def test_an_open_breaker_is_seen_and_keeps_new_orders_away(desk: Desk) -> None:
    creating(desk, "sandbox", NotIssued("timeout"))
    for number in range(FAILURES_TO_OPEN):
        await desk.open(f"n{number}")
    await desk.open("later")
    assert await desk.states("later") == ["sandbox_backup:issued"]
    (view,) = [each for each in desk.payments.health().breakers if each.channel == "sandbox"]
    assert (view.operation, view.state, view.failed_calls) == ("create", "open", FAILURES_TO_OPEN)
    with pytest.raises(UnknownChannel):
        await desk.payments.switch_channel("int_later", "sandbox")
    desk.at += timedelta(seconds=OPEN_S)
    assert desk.payments.channels()[0].is_available


async def test_a_complaint_switches_and_is_told(desk: Desk) -> None:
    creating(desk, "sandbox", NotIssued("SIGN_ERROR", is_alarm=True))
    await desk.open()
    assert await desk.states() == ["sandbox:abandoned", "sandbox_backup:issued"]
    (complaint,) = desk.payments.health().complaints
    assert (complaint.channel, complaint.reason, complaint.count) == ("sandbox", "SIGN_ERROR", 1)
    (alarm,) = [row for row in await desk.payments.timeline("ord_a") if row.code == "alarm"]
    assert alarm.facts == {"reason": "SIGN_ERROR"}


# -- suspicion --------------------------------------------------------------------------------------------------------


async def test_no_proof_is_suspicious_until_there_is_some(debit_desk: Desk) -> None:
    desk = debit_desk

    async def silent(attempt_id: str) -> QueryAnswer:
        return QueryAnswer(standing="no_answer")

    channel = desk.channel("card")
    asked, channel.query = channel.query, silent  # type: ignore[method-assign]
    await desk.fault("request_lost", channel="card")
    await desk.open("a", channels=("card",))
    assert await desk.states() == ["card:unknown"]
    await desk.advance(25 * 3600, step_s=3600)
    assert (await desk.view()).state == "suspicious"
    channel.query = asked  # type: ignore[method-assign]

    def prove(uow: UnitOfWork) -> None:
        (attempt,) = uow.attempts.of("int_a")
        closed = msgspec.structs.replace(attempt, state=type(attempt.state).CLOSED)
        uow.attempts.save(closed, attempt.state)
        uow.intents.wake("int_a", desk.at)

    await desk.payments._store.run(prove)
    await desk.settle_down()
    assert (await desk.view()).state == "failed"


async def test_what_was_closed_is_asked_about_once_more(desk: Desk) -> None:
    await desk.open()
    token = await desk.token()
    await desk.release()
    await desk.fault("lost")
    await desk.fault("pays_closed")
    assert await desk.bank.pay(token) == "paid"
    await desk.fault("query_lost")
    await desk.advance(3600, step_s=300)
    assert (await desk.view()).hold_state == "released"
    await desk.assert_books()


# -- the timeline -----------------------------------------------------------------------------------------------------


async def test_the_timeline_tells_everything_and_no_secret(desk: Desk) -> None:
    await desk.fault("declined", channel="sandbox")
    await desk.open()
    token = await desk.token()
    await desk.pay()
    await desk.settle("a", runner=700, campus=50, platform=150)
    rows = await desk.payments.timeline("ord_a")
    assert [row.seq for row in rows] == sorted(row.seq for row in rows)
    told = [(row.kind, row.code) for row in rows]
    for expected in [
        ("attempt", "creating"),
        ("request", "create"),
        ("reply", "create"),
        ("attempt", "abandoned"),
        ("attempt", "issued"),
        ("decision", "IntentReady"),
        ("callback", "paid_notice"),
        ("attempt", "paid"),
        ("decision", "Paid"),
        ("instruction", "split"),
        ("reply", "split"),
        ("instruction", "release"),
        ("decision", "Settled"),
    ]:
        assert expected in told
    everything = msgspec.json.encode(rows).decode()
    assert token not in everything
    assert "run" not in {row.facts.get("account_ref") for row in rows}
    assert all(row.title_zh and row.title_en for row in rows)
    assert len(await desk.payments.timeline("ord_a", limit=3)) == 3
    assert await desk.payments.timeline("nobody's") == []


async def test_repetition_is_bounded_and_what_matters_is_kept(desk: Desk) -> None:
    await desk.open()
    for _ in range(MOST_REPEATING // 2 + 5):

        def ask(uow: UnitOfWork) -> None:
            (attempt,) = uow.attempts.of("int_a")
            uow.timeline.request(attempt, "query", desk.at)
            uow.timeline.reply(attempt, "query", desk.at, answer="unpaid")

        await desk.payments._store.run(ask)
    await desk.pay()
    rows = await desk.payments.timeline("ord_a")
    repeating = [row for row in rows if row.kind in ("request", "reply", "callback")]
    assert len(repeating) == MOST_REPEATING + 1
    assert repeating[-1].code == LEFT_OUT
    assert ("attempt", "paid") in [(row.kind, row.code) for row in rows]


def exchange(subject: str, **changes: object) -> Exchange:
    base = Exchange(
        at_ms=1_772_424_000_000,
        channel="sandbox",
        operation="query",
        subject=subject,
        method="GET",
        host="pay.example",
        path="/v3/pay",
        status=200,
        ms=12.5,
        outcome="replied",
        request_id="REQ-1",
    )
    return msgspec.structs.replace(base, **changes)


async def test_calls_to_providers_are_written_down_in_batches(desk: Desk) -> None:
    await desk.open()
    (attempt,) = (await desk.view()).attempts
    desk.at += timedelta(hours=3)
    desk.payments.exchanges.observe(exchange(attempt.attempt_id))
    desk.payments.exchanges.observe(exchange("nobody knows"))
    await desk.settle_down()
    (row,) = [row for row in await desk.payments.timeline("ord_a") if row.kind == "exchange"]
    assert (row.code, row.facts["status"], row.facts["request_id"]) == ("query", 200, "REQ-1")
    assert (row.at, row.facts["ms"]) == (desk.at, 12.5), "by the clock of all other rows; real milliseconds"
    assert len(desk.payments.exchanges) == 0


def test_the_buffer_keeps_the_newest() -> None:
    buffer = ExchangeBuffer(lambda: START)
    for number in range(buffer.MOST + 3):
        buffer.observe(exchange(str(number)))
    assert (len(buffer), buffer.left_out) == (buffer.MOST, 3)
    assert buffer.take(1)[0].subject == "3"


# -- callbacks --------------------------------------------------------------------------------------------------------


def reading(desk: Desk, notice: PaidNotice | MoneyNotice | OtherNotice | BadNotice) -> None:
    channel = desk.channel()
    channel.read_callback = lambda headers, body: notice  # type: ignore[method-assign, assignment, return-value]


async def test_a_notice_about_money_wakes_its_instruction(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.fault("release_lost", count=1)
    await desk.release()
    assert (await desk.view()).hold_state == "releasing"
    (order,) = await desk.payments._store.read(lambda uow: uow.instructions.of("int_a"))
    reading(desk, MoneyNotice(notice_id="m1", number=order.id))
    for _ in range(2):
        assert (await desk.payments.callback("sandbox", {}, b"")).status == 200
    await desk.settle_down()
    assert (await desk.view()).hold_state == "released"
    codes = [row.code for row in await desk.payments.timeline("ord_a") if row.kind == "callback"]
    assert codes == ["paid_notice", "money_notice", "repeated_notice"]
    assert (await desk.payments.callback("sandbox", {}, b"")).status == 200, "after it is done, too"
    assert not await desk.payments._store.read(lambda uow: uow.instructions.due(desk.at, 1))


async def test_how_callbacks_fare_is_counted(desk: Desk) -> None:
    await desk.open()
    for notice, status in (
        (OtherNotice(notice_id="x" * 200, what="a coupon"), 200),
        (MoneyNotice(notice_id="m", number="nobody's"), 400),
        (PaidNotice(notice_id="p", attempt_id="nobody's", amount_fen=Fen(1), transaction_id="t"), 400),
        (BadNotice("signature"), 400),
        (BadNotice("signature"), 400),
    ):
        reading(desk, notice)
        assert (await desk.payments.callback("sandbox", {}, b"")).status == status
    await desk.settle_down()
    tallies = await desk.payments.callback_tallies(desk.at - timedelta(minutes=5))
    assert {tally.outcome: tally.count for tally in tallies} == {"other": 1, "unknown": 2, "bad": 2}
    assert all(tally.newest_at == desk.at for tally in tallies)
    assert await desk.payments.callback_tallies(desk.at + timedelta(hours=1)) == []


async def test_a_flood_of_different_reasons_is_bounded(desk: Desk) -> None:
    callbacks = Callbacks(desk.payments._store, lambda: desk.at, lambda kind: kind)
    callbacks._write_at_s = float("inf")
    for number in range(callbacks.MOST_KINDS + 50):
        reading(desk, BadNotice(f"reason {number}"))
        await callbacks.take(desk.channel(), {}, b"")
    assert len(callbacks._tally) == callbacks.MOST_KINDS + 1
    await callbacks.write_down()
    await callbacks.write_down()
    (tally,) = await desk.payments.callback_tallies(desk.at)
    assert tally.count == callbacks.MOST_KINDS + 50
