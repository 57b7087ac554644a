"""What every body of the payments port must do, on every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from payments.guards.risk import RiskRequest
from payments.guards.risk_desk import ChallengeFailed, ReviewRefused
from payments.guards.second_factor import MOST_PER_HOUR, CodesExhausted, CodeWrong
from payments.guards.second_factor_act import Act, GivenCode
from payments.port import (
    AnyCommand,
    AnyEvent,
    CommandRefused,
    IntentReady,
    OpenIntent,
    Paid,
    Refund,
    Refunded,
    Release,
    Released,
    Settle,
    Settled,
    Share,
    SwitchRefused,
    UnknownChannel,
    UnknownIntent,
)
from tests.payments_desk import START, Desk
from tests.payments_guards import GuardedDesk
from tests.payments_remote import RemoteDesk


@pytest.fixture(params=["embedded-sqlite", "embedded-postgres", "remote"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GuardedDesk]:
    """Both bodies; the embedded one on both databases, for the other does not know which there is."""
    kind = RemoteDesk if request.param == "remote" else GuardedDesk
    url, bank_url = f"sqlite:///{tmp_path}/payments.db", f"sqlite:///{tmp_path}/bank.db"
    if request.param == "embedded-postgres":
        url = bank_url = request.getfixturevalue("ready_postgres_url")
    async with kind(url, bank_url) as desk:
        yield desk


async def test_an_order_is_held_then_split_and_the_rest_goes_back(desk: Desk) -> None:
    await desk.open("a", 1000)
    view = await desk.view()
    assert (view.state, view.hold_state, view.channel) == ("pending", "none", "sandbox")
    assert await desk.pay() == "paid"
    view = await desk.view()
    assert (view.state, view.hold_state, view.credential) == ("success", "held", None)
    book = await desk.payments.book("ord_a")
    assert (book.held_fen, book.escrow_balance_fen) == (1000, 1000)

    await desk.settle("a", runner=700, campus=50, platform=150)
    view = await desk.view()
    assert (view.hold_state, view.captured_fen, view.released_fen) == ("captured", 900, 100)
    book = await desk.payments.book("ord_a")
    assert (book.held_fen, book.captured_fen, book.released_fen, book.escrow_balance_fen) == (1000, 900, 100, 0)
    ready, paid, settled = await desk.told()
    assert isinstance(ready, IntentReady)
    assert isinstance(paid, Paid)
    assert (paid.amount_fen, paid.channel, paid.order_ref, paid.campus_id) == (1000, "sandbox", "ord_a", "nu")
    assert isinstance(settled, Settled)
    assert (settled.captured_fen, settled.released_fen) == (900, 100)
    await desk.assert_books()


async def test_everything_captured_leaves_nothing_to_release(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.settle("a", runner=1000, campus=0, platform=0)
    assert (await desk.view()).hold_state == "captured"
    assert (await desk.told())[-1].captured_fen == 1000  # type: ignore[union-attr]
    await desk.assert_books()


async def test_a_settlement_of_nothing_gives_all_back(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.settle("a", runner=0, campus=0, platform=0)
    assert (await desk.view()).hold_state == "released"
    settled = (await desk.told())[-1]
    assert isinstance(settled, Settled)
    assert (settled.captured_fen, settled.released_fen) == (0, 1000)
    await desk.assert_books()


async def test_release_gives_all_back(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.release()
    assert (await desk.view()).hold_state == "released"
    released = (await desk.told())[-1]
    assert isinstance(released, Released)
    assert released.amount_fen == 1000
    await desk.assert_books()


async def test_release_of_an_unpaid_intent_closes_it(desk: Desk) -> None:
    await desk.open()
    token = await desk.token()
    await desk.release()
    view = await desk.view()
    assert (view.state, view.hold_state, view.credential) == ("failed", "none", None)
    assert await desk.kinds() == ["IntentReady", "Released"]
    assert (await desk.told())[-1].amount_fen == 0  # type: ignore[union-attr]
    assert await desk.bank.pay(token) == "closed"
    await desk.release()
    assert await desk.kinds() == ["IntentReady", "Released"]


async def test_release_before_anything_was_tried(desk: Desk) -> None:
    await desk.open(is_worked=False)
    assert (await desk.view()).state == "pending"
    await desk.release()
    assert await desk.kinds() == ["Released"]
    assert (await desk.view()).attempts == ()


async def test_refund_after_capture(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.settle("a", runner=900, platform=100, campus=0)
    await desk.refund("a", 300)
    refunded = (await desk.told())[-1]
    assert isinstance(refunded, Refunded)
    assert (refunded.refund_id, refunded.amount_fen) == ("refund-a-1", 300)
    assert (await desk.view()).refunded_fen == 300
    assert (await desk.payments.book("ord_a")).refunded_fen == 300
    with pytest.raises(CommandRefused):
        await desk.refund("a", 701, turn=2)
    same = Refund(id="refund:other", intent_id="int_a", refund_id="refund-a-1", amount_fen=1, reason="")
    with pytest.raises(CommandRefused, match="exists already"):
        await desk.payments.submit(same)
    await desk.refund("a", 700, turn=2)
    assert (await desk.view()).refunded_fen == 1000
    await desk.assert_books()


async def test_a_command_is_applied_once(desk: Desk) -> None:
    await desk.open_and_pay()
    settlement = desk.settlement("a", 600)
    for _ in range(3):
        await desk.payments.submit(settlement)
    await desk.settle_down()
    await desk.payments.submit(settlement)
    await desk.settle_down()
    assert (await desk.kinds()).count("Settled") == 1
    assert (await desk.view()).captured_fen == 600
    with pytest.raises(ValueError, match="another body"):
        await desk.payments.submit(msgspec.structs.replace(settlement, at=START + timedelta(days=1)))


async def test_commands_that_do_not_fit_are_refused_and_leave_nothing(desk: Desk) -> None:
    settlement = desk.settlement("a", 600)
    with pytest.raises(UnknownIntent):
        await desk.payments.submit(settlement)
    await desk.open()
    with pytest.raises(CommandRefused):
        await desk.payments.submit(settlement)
    again = OpenIntent(
        id="open:other",
        intent_id="int_a",
        campus_id="nu",
        order_ref="ord_a",
        payer_ref="s",
        amount_fen=1,
        description="",
        channels=("sandbox",),
        expires_at=START,
    )
    with pytest.raises(CommandRefused):
        await desk.payments.submit(again)
    await desk.pay()
    with pytest.raises(ValueError, match="shares of 1001"):
        await desk.payments.submit(desk.settlement("a", 1001))
    await desk.payments.submit(settlement)
    with pytest.raises(CommandRefused):
        await desk.payments.submit(Release(id="release:a", intent_id="int_a", reason="late"))
    with pytest.raises(CommandRefused):
        await desk.payments.submit(msgspec.structs.replace(settlement, id="settle:twice"))
    await desk.settle_down()
    await desk.assert_books()


async def test_a_second_release_is_granted_once(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.release()
    await desk.payments.submit(Release(id="release:again", intent_id="int_a", reason="once more"))
    await desk.settle_down()
    assert (await desk.kinds()).count("Released") == 1


def _open_command(**changes: object) -> OpenIntent:
    command = OpenIntent(
        id="c",
        intent_id="int_x",
        campus_id="nu",
        order_ref="o",
        payer_ref="p",
        amount_fen=1,
        description="",
        channels=("sandbox",),
        expires_at=START,
    )
    return msgspec.structs.replace(command, **changes)


MALFORMED: list[tuple[AnyCommand, str]] = [
    (_open_command(id=""), "id"),
    (_open_command(intent_id="x" * 300), "intent_id"),
    (_open_command(order_ref="a\nb"), "order_ref"),
    (_open_command(amount_fen=0), "amount_fen"),
    (_open_command(amount_fen=10**12), "amount_fen"),
    (_open_command(amount_fen=True), "amount_fen"),
    (_open_command(description="x" * 300), "description"),
    (_open_command(channels=()), "channels"),
    (_open_command(channels=("sandbox", "sandbox")), "channels"),
    (_open_command(channels=("shells",)), "channels"),
    (_open_command(device_id=""), "device_id"),
    (_open_command(challenge_token="x" * 5000), "challenge_token"),
    (_open_command(expires_at=datetime(2026, 3, 2)), "expires_at"),  # noqa: DTZ001
    (Settle(id="c", intent_id="i", shares=(), at=datetime(2026, 3, 2)), "at"),  # noqa: DTZ001
    (
        Settle(id="c", intent_id="i", shares=(Share(party="runner", account_ref="", amount_fen=5),), at=START),
        "share",
    ),
    (
        Settle(id="c", intent_id="i", shares=(Share(party="runner", account_ref="r", amount_fen=-5),), at=START),
        "share",
    ),
    (Refund(id="c", intent_id="i", refund_id="a b", amount_fen=5, reason=""), "refund_id"),
    (Refund(id="c", intent_id="i", refund_id="refund-1", amount_fen=-5, reason=""), "amount_fen"),
]


async def test_malformed_commands_are_named(desk: Desk) -> None:
    for command, field in MALFORMED:
        with pytest.raises(ValueError, match=field):
            await desk.payments.submit(command)


async def test_events_wait_until_they_are_acknowledged(desk: Desk) -> None:
    await desk.open_and_pay("a")
    await desk.open_and_pay("b")
    events = await desk.payments.events()
    assert [event.seq for event in events] == sorted(event.seq for event in events)
    assert len(events) == 4
    assert [event.id for event in await desk.payments.events(2)] == [event.id for event in events[:2]]
    await desk.payments.acknowledge([events[0].id, events[2].id, "evt_of_nobody"])
    await desk.payments.acknowledge([])
    assert [event.id for event in await desk.payments.events()] == [events[1].id, events[3].id]
    decoded = msgspec.json.decode(msgspec.json.encode(events), type=list[AnyEvent])
    assert decoded == events


async def test_switching_proves_the_old_credential_dead(desk: Desk) -> None:
    await desk.open()
    old = await desk.token()
    await desk.payments.switch_channel("int_a", "sandbox_backup")
    await desk.settle_down()
    assert await desk.states() == ["sandbox:closed", "sandbox_backup:issued"]
    assert await desk.bank.pay(old) == "closed"
    await desk.payments.switch_channel("int_a", "sandbox_backup")
    await desk.settle_down()
    assert len(await desk.states()) == 2
    assert await desk.pay() == "paid"
    assert await desk.kinds() == ["IntentReady", "IntentReady", "Paid"]
    with pytest.raises(SwitchRefused):
        await desk.payments.switch_channel("int_a", "sandbox")
    with pytest.raises(UnknownIntent):
        await desk.payments.switch_channel("int_nobody", "sandbox")
    with pytest.raises(UnknownChannel):
        await desk.payments.switch_channel("int_a", "shells")


async def test_whoever_pays_another_way_than_wished_is_told_which_and_why(desk: Desk) -> None:
    await desk.fault("declined", count=1)
    await desk.open()
    seen = await desk.view()
    assert (seen.wanted, seen.wanted_reason, seen.channel) == ("sandbox", "declined", "sandbox_backup")
    # What is wished for later is what counts from then on.
    await desk.payments.switch_channel("int_a", "sandbox")
    await desk.settle_down()
    assert (await desk.view()).channel == (await desk.view()).wanted == "sandbox"
    await desk.payments.switch_channel("int_a", "sandbox_backup")
    await desk.settle_down()
    seen = await desk.view()
    assert (seen.channel, seen.wanted) == ("sandbox_backup", "sandbox_backup")


async def test_a_failed_intent_may_be_opened_again_on_a_channel_of_the_payers_choice(desk: Desk) -> None:
    await desk.fault("declined", count=2)
    await desk.open()
    assert (await desk.view()).state == "failed"
    await desk.payments.switch_channel("int_a", "sandbox")
    await desk.settle_down()
    assert await desk.pay() == "paid"
    assert await desk.kinds() == ["IntentFailed", "IntentReady", "Paid"]


async def test_receivers_see_balances_and_statements(desk: Desk) -> None:
    for name, runner in (("a", 800), ("b", 700), ("c", 600)):
        await desk.open_and_pay(name)
        await desk.settle(name, runner=runner, campus=100, platform=1000 - runner - 100)
        desk.at += timedelta(minutes=1)
    balances = await desk.payments.balances("run")
    assert (balances.pending_fen, balances.available_fen, balances.withdrawn_fen) == (0, 2100, 0)
    assert (await desk.payments.balances("nobody")).available_fen == 0
    assert (await desk.payments.balances("platform")).available_fen == 600
    lines = await desk.payments.statement("run")
    assert [(line.amount_fen, line.balance_after_fen, line.order_ref, line.kind) for line in lines] == [
        (600, 2100, "ord_c", "capture"),
        (700, 1500, "ord_b", "capture"),
        (800, 800, "ord_a", "capture"),
    ]
    assert await desk.payments.statement("run", limit=1) == lines[:1]
    assert await desk.payments.statement("run", limit=5, before_seq=lines[0].seq) == lines[1:]
    totals = await desk.payments.totals("nu")
    assert (totals.held_fen, totals.captured_fen, totals.released_fen) == (3000, 3000, 0)
    assert (totals.runner_fen, totals.campus_fen, totals.platform_fen) == (2100, 300, 600)
    assert (await desk.payments.totals("elsewhere")).held_fen == 0


async def test_what_nobody_knows_is_nothing(desk: Desk) -> None:
    assert await desk.payments.view("int_nobody") is None
    book = await desk.payments.book("ord_nobody")
    assert (book.held_fen, book.escrow_balance_fen, book.entries) == (0, 0, ())
    assert (await desk.payments.callback("shells", {}, b"")).status == 404


async def test_channels_are_listed_in_order_of_preference(desk: Desk) -> None:
    channels = desk.payments.channels()
    assert [channel.code for channel in channels] == ["sandbox", "sandbox_backup"]
    assert all(channel.is_demo and channel.is_available and channel.name_zh for channel in channels)
    desk.channel().is_available = False
    await desk.refresh()
    assert [channel.is_available for channel in desk.payments.channels()] == [False, True]
    with pytest.raises(UnknownChannel):
        await desk.payments.switch_channel("int_a", "sandbox")
    await desk.open()
    assert await desk.states() == ["sandbox_backup:issued"]


async def test_what_is_objected_to_waits_for_a_proof_or_a_review(desk: GuardedDesk) -> None:
    await desk.ask("large", 300_000)
    assert await desk.risk("large") == ("hold", "large_payment")
    await desk.ask("next", 900)
    assert await desk.risk("next") == ("refuse", "account_frozen")
    refused, held = await desk.payments.risk_cases("nu")
    assert (refused.code, held.code) == ("account_frozen", "large_payment")
    assert await desk.payments.risk_cases("nu", only_open=True) == [held]
    assert await desk.payments.risk_cases("nu", 1, before_seq=refused.seq) == [held]
    await desk.ask("others", 300_000, payer="another")
    (others,) = await desk.payments.risk_cases("nu", 1)
    assert await desk.payments.risk_cases("nu", 1, account="another") == [others]
    assert await desk.payments.risk_cases("nu", 1, None, True, "student") == [held]
    assert await desk.payments.risk_cases("elsewhere", account="student") == []
    with pytest.raises(ReviewRefused):
        await desk.payments.review_risk(held.id, True, "", "")
    assert (await desk.payments.review_risk(held.id, True, "operator", "called")).decision == "allow"
    for name in ("a", "b", "c", "d"):
        await desk.ask(name, 500)
    with pytest.raises(ChallengeFailed):
        await desk.payments.answer_challenge("int_d", "wrong")
    assert (await desk.payments.answer_challenge("int_d", "demo-face:int_d")).decision == "allow"
    assert await desk.kinds("d") == ["RiskJudged", "RiskJudged"]
    asked = RiskRequest(kind="coupon", ref="c1", campus_id="nu", account="student", amount_fen=300, incident="outage")
    assert (await desk.payments.assess_risk(asked)).decision == "allow"
    for wrong, field in (({"kind": "pay"}, "kind"), ({"amount_fen": -1}, "amount_fen"), ({"ref": ""}, "ref")):
        with pytest.raises(ValueError, match=field):
            await desk.payments.assess_risk(msgspec.structs.replace(asked, **wrong))
    with pytest.raises(ValueError, match="incident"):
        await desk.payments.assess_risk(msgspec.structs.replace(asked, incident="x" * 300))
    with pytest.raises(ChallengeFailed, match="too long"):
        await desk.payments.answer_challenge("int_d", "x" * 5000)
    again = msgspec.structs.replace(asked, ref="c2")
    assert (await desk.payments.assess_risk(again)).code == "coupon_again"


async def test_secrets_and_codes(desk: GuardedDesk) -> None:
    tokens = await desk.payments.entrust("student", {"openid": "o1", "bank_account": "62"})
    assert await desk.payments.entrust("student", {"openid": "o1"}) == {"openid": tokens["openid"]}
    with pytest.raises(ValueError, match="openid"):
        await desk.payments.entrust("student", {"openid": ""})
    assert await desk.payments.forget("student") == 2
    act = Act(kind="withdraw", account_ref="run", amount_fen=50_000)
    sent = await desk.payments.ask_code(act)
    assert desk.messages[-1][0] == act and sent.expires_at > desk.at
    await desk.payments.confirm_code(act, GivenCode(code_id=sent.code_id, code=desk.messages[-1][1]))
    with pytest.raises(CodeWrong):
        await desk.payments.confirm_code(act, GivenCode(code_id="none", code="1"))
    for _ in range(MOST_PER_HOUR - 1):
        await desk.payments.ask_code(act)
    with pytest.raises(CodesExhausted):
        await desk.payments.ask_code(act)


async def test_a_timeline_is_told(desk: Desk) -> None:
    await desk.open_and_pay("a")
    lines = await desk.payments.timeline("ord_a")
    assert lines and [line.seq for line in lines] == sorted(line.seq for line in lines)
    assert await desk.payments.timeline("ord_nobody") == []
