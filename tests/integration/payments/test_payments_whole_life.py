"""The whole life of orders on every channel that ships, through payments as they ship: paid by a student, held,
divided, withdrawn, given back, reconciled. In the end the provider's books and ours agree order by order."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from payments.account import RefundPath, Withdrawn
from payments.port import (
    CommandRefused,
    HoldExpiring,
    IntentFailed,
    Paid,
    Refund,
    Refunded,
    Released,
    Settled,
    Suspicious,
    UnknownChannel,
)
from payments.reconcile.business_day import CHINA, day_of
from tests.payments_town import CAMPUS, CHANNELS, PLATFORM, RUNNER, RUNNERS, RUNNERS_SECRETS, Town, town


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What is particular about a channel: what the student holds, how the parts of 10.00 reach their receivers at a
    settlement of 8.50, and on which paths a refund comes back, before the runner's withdrawal and after it."""

    credential: str | None
    #: What the provider has split off, and what it still keeps for the runner.
    split_fen: int
    kept_fen: int
    is_at_once: bool = False
    before: dict[RefundPath, int]
    after: dict[RefundPath, int]


WECHAT = {
    "split_fen": 250,
    "kept_fen": 600,
    "before": {"dues": 70, "take_back": 30},
    "after": {"borne": 530, "take_back": 220},
}
ALIPAY = {**WECHAT, "before": {"dues": 70, "borne": 30}, "after": {"borne": 750}}
#: Nothing can be split there: by contract the merchant, with whom all stays, pays the parts, the runner's when asked.
BY_MERCHANT = {**ALIPAY, "split_fen": 0, "kept_fen": 0}
#: All that is taken of a freeze is taken by one call, so the runners' team has its part at once.
AT_ONCE = {"split_fen": 250, "kept_fen": 0, "is_at_once": True, "before": {"borne": 100}, "after": {"borne": 750}}

LIVES: dict[str, Life] = {
    "wechat_jsapi": Life(credential="wechat_jsapi", **WECHAT),  # type: ignore[arg-type]
    "wechat_native": Life(credential="wechat_native", **WECHAT),  # type: ignore[arg-type]
    "wechat_h5": Life(credential="wechat_h5", **WECHAT),  # type: ignore[arg-type]
    "edupay": Life(credential=None, **WECHAT),  # type: ignore[arg-type]
    "alipay_qr": Life(credential="qr", **ALIPAY),  # type: ignore[arg-type]
    "alipay_wap": Life(credential="redirect", **ALIPAY),  # type: ignore[arg-type]
    "alipay_page": Life(credential="redirect", **ALIPAY),  # type: ignore[arg-type]
    "alipay_freeze": Life(credential="alipay_app", **AT_ONCE),  # type: ignore[arg-type]
    "unionpay_wap": Life(credential="form", **BY_MERCHANT),  # type: ignore[arg-type]
    "unionpay_app": Life(credential="unionpay_app", **BY_MERCHANT),  # type: ignore[arg-type]
    "campus_card": Life(credential=None, **BY_MERCHANT),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("code", CHANNELS)
async def test_paid_divided_withdrawn_given_back_and_reconciled(tmp_path: Path, code: str) -> None:
    life = LIVES[code]
    async with town(tmp_path, code) as one:
        day = day_of(one.now(), CHINA)
        intent = await paid_by_the_student(one, code, life)
        await divided_and_withdrawn(one, intent, life)
        await one.refund(intent, "RB", 750)
        assert await paths(one, intent) == [life.before, life.after]
        with pytest.raises(CommandRefused, match="has 0 fen left"):
            await one.refund(intent, "RC", 1)
        assert at_provider(one, intent, await one.book(intent))["refunded_fen"] == 1000
        await given_back_before_it_is_divided(one, code)
        await told(one)
        await agreed(one, code, day)


@pytest.mark.parametrize(
    ("code", "its"),
    [
        # The merchant is the platform; what is its own stays frozen with the runner's part.
        ("wechat_native", {"wechat_accounts": '{"platform": "$mchid", "campus": "1900000110"}'}),
        ("alipay_qr", {}),
    ],
)
async def test_a_runner_with_an_account_there_is_paid_out_of_the_hold(
    tmp_path: Path, code: str, its: dict[str, str]
) -> None:
    kind = CHANNELS[code][0]
    its = {**its, f"{kind}_runner_payout": "personal"}
    async with town(tmp_path, code, options={kind: {"split_permille": "1000", "bills_at_once": "true"}}, **its) as one:
        day = day_of(one.now(), CHINA)
        intent = await one.paid(code)
        await one.settle(intent, RUNNERS, CAMPUS, PLATFORM)
        await one.event(intent, Settled)
        book = await one.book(intent)
        first_fen = 100 if code == "wechat_native" else 250
        assert (book.split_fen, book.is_unfrozen) == (first_fen, False), "the runner's part waits"
        assert isinstance(await one.withdraw(250, "w1"), Withdrawn)
        assert (book.split_fen, book.is_unfrozen) == (first_fen + 250, False), "and so does the rest of it"
        assert isinstance(await one.withdraw(350, "w2"), Withdrawn)
        await one.until(lambda: book.frozen_fen == 0, "the rest is the merchant's")
        assert (book.split_fen, book.is_unfrozen) == (first_fen + 600, True)
        accounts = {part.account for split in book.splits.values() for part in split.opened.parts}
        assert accounts & set(RUNNERS_SECRETS.values())
        assert await one.differences() == []
        assert (await one.reconciled(code, day)).state == "agreed"


@pytest.mark.parametrize("code", ["wechat_native", "alipay_qr", "edupay"])
async def test_on_other_terms_a_runner_is_paid_at_the_settlement(tmp_path: Path, code: str) -> None:
    its = {"payout": "at_once", f"{CHANNELS[code][0]}_runner_payout": "personal"}
    split = {"split_permille": "1000", "bills_at_once": "true"}
    institution = "alipay" if code == "alipay_qr" else "wechat"
    async with town(tmp_path, code, options={institution: split}, **its) as one:
        intent = await one.paid(code)
        await one.settle(intent, RUNNERS, CAMPUS, PLATFORM)
        await one.event(intent, Settled)
        book, balances = await one.book(intent), await one.payments.balances(RUNNER)
        assert (book.split_fen, book.refunded_fen, book.frozen_fen) == (850, 150, 0)
        assert (balances.available_fen, balances.withdrawn_fen) == (0, 600)
        # A person gives nothing back: the platform bears it.
        await one.refund(intent, "RA", 100)
        assert (await paths(one, intent))[0]["borne"] >= 70
        assert await one.differences() == []


@pytest.mark.parametrize("code", ["wechat_jsapi", "alipay_page"])
async def test_what_nobody_withdraws_is_paid_on_the_25th_day_of_30(tmp_path: Path, code: str) -> None:
    async with town(tmp_path, code) as one:
        intent = await one.paid(code)
        await one.settle(intent, RUNNERS, PLATFORM)
        await one.event(intent, Settled)
        one.advance(days=24.9)
        await one.work()
        assert (await one.payments.balances(RUNNER)).available_fen == 600
        one.advance(days=0.2)
        told = (await one.until(one.payments.account_events, "the payment"))[-1]
        assert isinstance(told, Withdrawn) and told.is_automatic
        assert (await one.event(intent, HoldExpiring)).is_settled, "an operator has nothing to do"
        assert ((await one.book(intent)).frozen_fen, (await one.payments.balances(RUNNER)).withdrawn_fen) == (0, 600)
        assert await one.differences() == []


@pytest.mark.parametrize(
    ("code", "limit"), [("wechat_native", "wechat_limit_fen"), ("campus_card", "campus_card_limit_fen")]
)
async def test_an_amount_over_the_limit_is_paid_in_parts_that_are_one_order(
    tmp_path: Path, code: str, limit: str
) -> None:
    async with town(tmp_path, code, **{limit: "600"}) as one:
        intent = await one.open(code, fen=1000)
        for part in (1, 2) if code != "campus_card" else ():
            await one.until(lambda part=part: one.kinds(intent).count("IntentReady") == part, "what is to be paid next")
            assert await one.pay(await one.till(intent)) == "paid"
        assert (await one.event(intent, Paid)).amount_fen == 1000
        books = list(one.house.books.orders.values())
        assert sorted(book.paid_fen for book in books) in ([400, 600], [500, 500])
        await one.settle(intent, RUNNERS, PLATFORM)
        settled = await one.event(intent, Settled)
        assert (settled.captured_fen, settled.released_fen) == (750, 250)
        await one.payments.submit(Refund(id="r", intent_id=intent, refund_id="REFUND1", amount_fen=100, reason="late"))
        # Each part is told when it is back.
        await one.until(lambda: one.fen_of(intent, Refunded) == 100, "the refund")
        assert sum(book.refunded_fen for book in books) == 350
        assert await one.differences() == []


async def test_a_group_of_which_one_part_is_not_paid_goes_back(tmp_path: Path) -> None:
    async with town(tmp_path, "alipay_page", alipay_limit_fen="600") as one:
        intent = await one.open("alipay_page", fen=1000)
        assert await one.pay(await one.till(intent)) == "paid"
        await one.event(intent, IntentFailed, step_s=20)
        await one.until(lambda: sum(b.refunded_fen for b in one.house.books.orders.values()) > 0, "the refund", 20)
        assert sum(book.paid_fen - book.refunded_fen for book in one.house.books.orders.values()) == 0
        assert "Paid" not in one.kinds(intent)
        assert await one.differences() == []


async def test_a_channel_whose_contract_names_nobody_who_pays_the_parts_is_not_offered(tmp_path: Path) -> None:
    async with town(tmp_path, "alipay_qr", "campus_card", alipay_parts_paid_by="nobody") as one:
        assert [(each.code, each.is_available) for each in one.payments.channels()] == [
            ("alipay_qr", False), ("campus_card", True)
        ]  # fmt: skip
        assert await one.states(await one.paid("alipay_qr", "campus_card")) == ["campus_card:paid"]
        with pytest.raises(UnknownChannel):
            await one.payments.switch_channel(await one.open("campus_card"), "alipay_qr")
        alone = await one.open("alipay_qr")
        assert (await one.event(alone, IntentFailed)).reason == "no_channel"


async def paid_by_the_student(one: Town, code: str, life: Life) -> str:
    intent = await one.open(code)
    view = await one.view(intent)
    assert (view.credential["kind"] if view.credential else None) == life.credential
    if life.credential is not None:
        assert view.state == "pending"
        assert await one.pay(await one.till(intent)) == "paid"
    paid = await one.event(intent, Paid)
    assert (paid.amount_fen, paid.channel, (await one.view(intent)).hold_state) == (1000, code, "held")
    assert await one.states(intent) == [f"{code}:paid"]
    return intent


async def divided_and_withdrawn(one: Town, intent: str, life: Life) -> None:
    """8.50 for three receivers, the rest back; before the runner withdraws, 1.00 of it is given back."""
    await one.settle(intent, RUNNERS, CAMPUS, PLATFORM)
    settled = await one.event(intent, Settled)
    assert (settled.captured_fen, settled.released_fen) == (850, 150)
    book, balances = await one.book(intent), await one.payments.balances(RUNNER)
    seen = at_provider(one, intent, book)
    assert (seen["paid_fen"], seen["split_fen"], seen["refunded_fen"]) == (1000, life.split_fen, 150)
    assert seen["frozen_fen"] == life.kept_fen
    assert (balances.available_fen, balances.withdrawn_fen) == ((0, 600) if life.is_at_once else (600, 0))
    await one.refund(intent, "RA", 100)
    if not life.is_at_once:
        assert isinstance(await one.withdraw(530), Withdrawn)
    # The institution is told to let go once everybody has been paid, which is a call of its own.
    await one.until(lambda: at_provider(one, intent, book)["frozen_fen"] == 0, "the release")
    balances, seen = await one.payments.balances(RUNNER), at_provider(one, intent, book)
    assert (balances.available_fen, balances.withdrawn_fen) == (0, 600 if life.is_at_once else 530)
    assert (seen["frozen_fen"], seen["refunded_fen"]) == (0, 250), "what is the merchant's is not frozen any more"


async def given_back_before_it_is_divided(one: Town, code: str) -> None:
    """A part of the hold, then the whole rest of it."""
    intent = await one.paid(code)
    back = await one.refund(intent, "RH", 200)
    assert (back.amount_fen, back.is_from_hold, await paths(one, intent)) == (200, True, [{"held": 200}])
    await one.release(intent)
    assert (await one.event(intent, Released)).amount_fen == 800
    seen = at_provider(one, intent, await one.book(intent))
    assert (seen["refunded_fen"], seen["frozen_fen"], seen["split_fen"]) == (1000, 0, 0)


async def told(one: Town) -> None:
    """Every callback was proved to be the provider's and accepted, and none of them is still to come."""
    notices = one.house.books.notices.values()
    await one.until(lambda: all(notice.is_heard for notice in notices), "that every callback is heard")
    assert notices and [is_accepted for _, is_accepted in one.calls] == [True] * len(notices)


async def agreed(one: Town, code: str, day: object) -> None:
    """The day's bill, line by line; where there is none, both books themselves."""
    assert await one.differences() == []
    if one.payments._shapes[code].has_bills:
        run = await one.reconciled(code, day)  # type: ignore[arg-type]
        assert (run.state, await one.payments.differences(run.id)) == ("agreed", [])
        assert run.sums.theirs.paid_fen == run.sums.ours.paid_fen == 2000
        assert run.sums.theirs.refunded_fen == run.sums.ours.refunded_fen == 2000
    assert not [each for each in one.seen if isinstance(each, Suspicious)]


async def paths(one: Town, intent: str) -> list[dict[str, int]]:
    """Each refund of the intent, the first one first: path → fen."""
    found = []
    for refund in sorted(await one.payments.refunds(order_ref=f"ord_{intent}"), key=lambda each: each.asked_at):
        sums: dict[str, int] = {}
        for part in refund.parts:
            sums[part.path] = sums.get(part.path, 0) + part.amount_fen
        found.append(sums)
        assert refund.state == "done"
    return found


def at_provider(one: Town, intent: str, book: object) -> dict[str, int]:
    """An order as the provider counts it; of a freeze, together with the trade that it became."""
    orders = one.house.books.orders
    number = book.key.number  # type: ignore[attr-defined]
    both = [orders[key] for key in orders if key.number in (number, f"{number}P")]
    captured_fen = sum(order.paid_fen for order in both[1:])
    return {
        "paid_fen": both[0].paid_fen,
        "split_fen": sum(order.split_fen for order in both) - captured_fen,
        "refunded_fen": sum(order.refunded_fen for order in both),
        "frozen_fen": sum(order.frozen_fen for order in both),
    }
