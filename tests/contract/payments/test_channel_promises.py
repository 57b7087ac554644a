"""What every channel that ships promises, each against its own simulator over real sockets, with and without faults.

The core believes these promises and no provider's name: a test here is one sentence, and holds for all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest
import pytest_asyncio
from aiohttp import ClientError

from payments.channel_settings import read_channel
from payments.channels.china import BEIJING
from payments.money import Fen
from payments.outcomes import Bill, Declined, Issued, MoneyNotice, NotIssued, Succeeded, Unknown
from tests.simulator_channels import KINDS, Rig, rig
from tests.simulator_house import until, wrong

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def shared_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """Each kind of channel: one simulator for all tests of it."""
    async with rig(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def any_rig(shared_rig: Rig) -> Rig:
    """The same, with nothing left of the last test but its orders."""
    await shared_rig.fresh()
    return shared_rig


def of(*kinds: str) -> pytest.MarkDecorator:
    """These kinds of channels alone, where the others have no such thing."""
    return pytest.mark.parametrize("shared_rig", kinds, indirect=True, scope="module")


PAGES = ("wechat", "alipay_qr", "alipay_page", "alipay_freeze", "unionpay_page", "unionpay_app")
CLOSING = ("wechat", "alipay_qr", "alipay_page", "alipay_freeze")
BILLED = ("wechat", "alipay_qr", "unionpay_page", "campus_card")
DEBITS = ("edupay", "campus_card")
CALLED = ("wechat", "alipay_qr", "unionpay_app")


# -- money in -------------------------------------------------------------------------------------------------------


async def test_what_is_paid_is_told_and_found_alike(any_rig: Rig) -> None:
    assert (await any_rig.channel.query(any_rig.number)).standing in ("absent", "no_answer")
    book = await any_rig.paid()
    found = await any_rig.channel.query(any_rig.number)
    await until(lambda: any_rig.server.paid(any_rig.number), "the callback")
    (notice,) = any_rig.server.paid(any_rig.number)
    assert (found.standing, found.amount_fen) == ("paid", 1000)
    assert (notice.attempt_id, notice.amount_fen, notice.transaction_id) == (any_rig.number, 1000, found.transaction_id)
    assert found.transaction_id == book.charges[0].transaction_id
    await until(any_rig.is_told, "the provider's content")
    assert len(any_rig.server.heard) == 1


async def test_the_same_number_is_paid_once(any_rig: Rig) -> None:
    for _ in range(2):
        if any_rig.is_debit:
            assert isinstance(await any_rig.channel.debit(any_rig.order()), Succeeded)
        else:
            till = await any_rig.begin()
    if not any_rig.is_debit:
        assert [await any_rig.pay(till) for _ in range(2)] == ["paid", "already_paid"]
    assert len(any_rig.book().charges) == 1
    assert sum(key.number.startswith(any_rig.number) for key in any_rig.house.books.orders) == 1


@of(*PAGES)
async def test_what_is_not_paid_is_never_said_to_be(any_rig: Rig) -> None:
    till = await any_rig.begin()
    assert (await any_rig.channel.query(any_rig.number)).standing in ("unpaid", "no_answer")
    await any_rig.pay(till)
    assert (await any_rig.channel.query(any_rig.number)).standing == "paid"


async def test_another_amount_is_told_as_it_was_charged(any_rig: Rig) -> None:
    wrong(any_rig.house, "wrong_amount value=-100 count=1")
    await any_rig.paid()
    assert (await any_rig.channel.query(any_rig.number)).amount_fen == 900
    await until(lambda: any_rig.server.paid(any_rig.number), "the callback")
    assert any_rig.server.paid(any_rig.number)[0].amount_fen == 900


async def test_no_money_is_no_payment(any_rig: Rig) -> None:
    wrong(any_rig.house, "insufficient count=1")
    if any_rig.is_debit:
        assert isinstance(await any_rig.channel.debit(any_rig.order()), Declined)
    else:
        assert await any_rig.pay(await any_rig.begin()) == "insufficient"
    assert (await any_rig.channel.query(any_rig.number)).standing in ("unpaid", "closed", "no_answer")
    assert not any_rig.book().charges


# -- what is answered wrongly, late or never ------------------------------------------------------------------------


@of(*CALLED)
@pytest.mark.parametrize("fault", ["drop_before count=2", "error", "refuse code=SYSTEM_ERROR", "bad_signature"])
async def test_a_credential_that_did_not_come_is_not_issued(any_rig: Rig, fault: str) -> None:
    wrong(any_rig.house, f"{fault} op=create")
    answer = await any_rig.channel.create_credential(any_rig.order())
    assert isinstance(answer, NotIssued) and answer.may_switch
    any_rig.house.faults.remove()
    assert isinstance(await any_rig.channel.create_credential(any_rig.order()), Issued), "the same number serves"


@of(*CALLED)
async def test_a_credential_comes_in_time_or_not_at_all(any_rig: Rig) -> None:
    wrong(any_rig.house, "delay op=create ms=6000 count=1")
    assert isinstance(await any_rig.channel.create_credential(any_rig.order()), NotIssued)


@of(*DEBITS)
async def test_a_debit_without_an_answer_is_unknown_and_found_by_asking(any_rig: Rig) -> None:
    other = f"{any_rig.number}B"
    wrong(any_rig.house, f"drop_after op=debit order={any_rig.number}", f"drop_before op=debit order={other}")
    for number, standing in ((any_rig.number, "paid"), (other, "absent")):
        assert isinstance(await any_rig.channel.debit(any_rig.order(number)), Unknown)
        assert (await any_rig.channel.query(number)).standing == standing


@of(*DEBITS)
async def test_a_debit_whose_answer_is_not_proved_is_unknown(any_rig: Rig) -> None:
    wrong(any_rig.house, "bad_signature op=debit count=1", "error_after op=debit skip=1 count=1")
    assert isinstance(await any_rig.channel.debit(any_rig.order()), Unknown)
    assert isinstance(await any_rig.channel.debit(any_rig.order(f"{any_rig.number}B")), Unknown)
    assert isinstance(await any_rig.channel.debit(any_rig.order()), Succeeded)
    assert len(any_rig.book().charges) == 1


@pytest.mark.parametrize("fault", ["bad_signature", "error status=502", "error_after status=500"])
async def test_only_what_is_proved_is_believed(any_rig: Rig, fault: str) -> None:
    await any_rig.paid()
    wrong(any_rig.house, f"{fault} op=query count=1")
    assert (await any_rig.channel.query(any_rig.number)).standing == "no_answer"
    assert (await any_rig.channel.query(any_rig.number)).standing == "paid"


async def test_an_order_may_be_paid_that_was_said_not_to_exist(any_rig: Rig) -> None:
    await any_rig.paid()
    wrong(any_rig.house, "absent op=query count=1")
    assert (await any_rig.channel.query(any_rig.number)).standing == "absent"
    assert (await any_rig.channel.query(any_rig.number)).standing == "paid"


# -- closing and ending ---------------------------------------------------------------------------------------------


@of(*CLOSING)
async def test_what_is_closed_cannot_be_paid(any_rig: Rig) -> None:
    till = await any_rig.begin()
    assert await any_rig.channel.close(any_rig.number) == "asked"
    assert (await any_rig.channel.query(any_rig.number)).standing == "closed"
    assert await any_rig.pay(till) == "closed"
    assert await any_rig.channel.close(any_rig.number) == "asked", "closing again is closing"


@of(*CLOSING)
async def test_a_payer_may_be_faster_than_the_close(any_rig: Rig) -> None:
    wrong(any_rig.house, "pay_before_close count=1")
    await any_rig.begin()
    assert await any_rig.channel.close(any_rig.number) in ("paid", "asked")
    found = await any_rig.channel.query(any_rig.number)
    # Either it is paid after all, or the money is with the payer again.
    book = any_rig.book()
    assert (found.standing, book.refunded_fen) in (("paid", 0), ("closed", book.paid_fen))


@of(*CLOSING)
async def test_a_close_without_effect_is_seen_by_asking_again(any_rig: Rig) -> None:
    wrong(any_rig.house, "no_effect op=close count=1")
    till = await any_rig.begin()
    assert await any_rig.channel.close(any_rig.number) == "asked"
    assert (await any_rig.channel.query(any_rig.number)).standing == "unpaid"
    assert await any_rig.pay(till) == "paid"


@of(*PAGES)
async def test_nothing_is_paid_after_its_end(any_rig: Rig) -> None:
    till = await any_rig.begin()
    clock = any_rig.house.clock
    later = clock.now() + timedelta(minutes=16)
    any_rig.house.set_clock(rate=any_rig.house.plan.rate, calendar_rate=1, now_ms=round(later.timestamp() * 1000))
    assert await any_rig.pay(till) == "closed"
    assert (await any_rig.channel.query(any_rig.number)).standing in ("closed", "unpaid", "absent")
    assert not any_rig.book().charges


# -- callbacks ------------------------------------------------------------------------------------------------------


async def test_a_callback_that_is_not_heard_comes_again_as_the_same(any_rig: Rig) -> None:
    wrong(any_rig.house, "notice_lost count=1")
    any_rig.server.refusals = 1
    await any_rig.paid()
    await until(lambda: len(any_rig.server.heard) == 2, "the second callback")
    first, second = any_rig.server.paid(any_rig.number)
    assert first == second
    await until(any_rig.is_told, "the provider's content")


async def test_a_callback_may_come_twice_and_is_the_same(any_rig: Rig) -> None:
    wrong(any_rig.house, "notice_doubled count=1")
    await any_rig.paid()
    await until(lambda: len(any_rig.server.heard) == 2, "both callbacks")
    assert len({(n.notice_id, n.attempt_id, n.amount_fen) for n in any_rig.server.paid(any_rig.number)}) == 1


async def test_a_callback_that_is_not_proved_is_refused(any_rig: Rig) -> None:
    wrong(any_rig.house, "notice_probe count=1", "bad_signature op=notify count=1")
    await any_rig.paid()
    await until(lambda: len(any_rig.server.heard) == 3, "three callbacks")
    assert len(any_rig.server.bad()) == 2
    assert len(any_rig.server.paid(any_rig.number)) == 1


@of("alipay_qr", "unionpay_app", "wechat", "edupay", "campus_card")
async def test_a_callback_may_come_before_the_answer(any_rig: Rig) -> None:
    wrong(any_rig.house, f"notice_before_reply op={any_rig.create} count=1")
    if any_rig.is_debit:
        assert isinstance(await any_rig.channel.debit(any_rig.order()), Succeeded)
    else:
        await any_rig.channel.create_credential(any_rig.order())
    assert [notice.attempt_id for notice in any_rig.server.paid(any_rig.number)] == [any_rig.number], (
        "it is there already"
    )


async def test_callbacks_may_come_late_and_in_another_order(any_rig: Rig) -> None:
    wrong(any_rig.house, "notice_late s=500 count=1", f"notice_reordered order={any_rig.number}B count=1")
    await any_rig.paid()
    other = f"{any_rig.number}B"
    await any_rig.paid(other)
    await until(lambda: any_rig.server.paid(any_rig.number) and any_rig.server.paid(other), "both callbacks")
    assert (await any_rig.channel.query(other)).standing == "paid"


# -- clocks and certificates ----------------------------------------------------------------------------------------


async def test_a_clock_that_is_wrong_proves_nothing_false(any_rig: Rig) -> None:
    await any_rig.paid()
    wrong(any_rig.house, "clock_skewed op=query s=900 count=1")
    # Where an answer is dated it is refused; the others have no date to be wrong.
    assert (await any_rig.channel.query(any_rig.number)).standing in ("no_answer", "paid")
    assert (await any_rig.channel.query(any_rig.number)).standing == "paid"


async def test_a_new_certificate_changes_nothing(any_rig: Rig) -> None:
    wrong(any_rig.house, "certificate_rotated op=query count=1")
    await any_rig.paid()
    for _ in range(2):
        assert (await any_rig.channel.query(any_rig.number)).standing == "paid"


async def test_what_the_simulator_says_is_a_configuration(any_rig: Rig) -> None:
    told = dict(any_rig.house.settings()[any_rig.institution])
    variables = {f"PAYMENTS_{any_rig.institution.upper()}_{name.upper()}": text for name, text in told.items()}
    variables[f"PAYMENTS_{any_rig.institution.upper()}_NOTIFY_URL"] = any_rig.server.url
    setting, faults = read_channel(any_rig.institution, variables, "simulator")
    assert setting is not None, faults


# -- money out ------------------------------------------------------------------------------------------------------


async def test_money_is_given_back_once(any_rig: Rig) -> None:
    book = await any_rig.paid()
    done = await any_rig.settled(lambda: any_rig.channel.give_back(any_rig.number, f"{any_rig.number}R1", Fen(300)))
    assert (done.standing, book.refunded_fen, list(book.refunds)) == ("done", 300, [f"{any_rig.number}R1"])
    rest = await any_rig.settled(lambda: any_rig.channel.give_back(any_rig.number, f"{any_rig.number}R2", Fen(200)))
    assert (rest.standing, book.refunded_fen) == ("done", 500)
    told = [notice for notice in any_rig.server.notices() if isinstance(notice, MoneyNotice)]
    assert {notice.number for notice in told} <= {f"{any_rig.number}R1", f"{any_rig.number}R2"}


async def test_more_than_was_paid_is_not_given_back(any_rig: Rig) -> None:
    book = await any_rig.paid()
    assert (await any_rig.channel.give_back(any_rig.number, f"{any_rig.number}R1", Fen(1001))).standing == "failed"
    assert book.refunding_fen == 0


async def test_the_whole_is_given_back_by_one_number(any_rig: Rig) -> None:
    book = await any_rig.paid()
    done = await any_rig.settled(lambda: any_rig.channel.give_back(any_rig.number, f"{any_rig.number}R1", Fen(1000)))
    assert (done.standing, book.refunded_fen, len(book.refunds)) == ("done", 1000, 1)


async def test_a_refund_whose_answer_was_lost_is_paid_once(any_rig: Rig) -> None:
    book = await any_rig.paid()
    # Twice: what is dropped on a connection that had served before is sent once more by itself.
    wrong(any_rig.house, "drop_after op=refund count=2", "error_after op=refund count=1")
    for _ in range(3):
        assert (await any_rig.channel.give_back(any_rig.number, f"{any_rig.number}R1", Fen(400))).standing in (
            "no_answer",
            "pending",
            "done",
        )
    done = await any_rig.settled(lambda: any_rig.channel.give_back(any_rig.number, f"{any_rig.number}R1", Fen(400)))
    assert (done.standing, book.refunded_fen, len(book.refunds)) == ("done", 400, 1)


async def test_a_refund_may_take_its_time(any_rig: Rig) -> None:
    book = await any_rig.paid()
    wrong(any_rig.house, "refund_pending s=900000 count=1")
    for _ in range(3):
        assert (await any_rig.channel.give_back(any_rig.number, f"{any_rig.number}R1", Fen(400))).standing == "pending"
    assert (book.refunded_fen, len(book.refunds)) == (0, 1)


@pytest.mark.parametrize("fault", ["refund_closed", "refund_abnormal"])
async def test_a_refund_that_fails_is_told_so(any_rig: Rig, fault: str) -> None:
    book = await any_rig.paid()
    wrong(any_rig.house, f"{fault} count=1")
    failed = await any_rig.settled(lambda: any_rig.channel.give_back(any_rig.number, f"{any_rig.number}R1", Fen(400)))
    assert (failed.standing, book.refunded_fen) == ("failed", 0)


# -- the day's bill -------------------------------------------------------------------------------------------------


@of(*BILLED)
async def test_the_days_bill_says_what_the_books_say(any_rig: Rig) -> None:
    assert any_rig.channel.shape.has_bills
    other = f"{any_rig.number}B"
    await any_rig.paid(fen=1000)
    await any_rig.paid(other, 250)
    await any_rig.settled(lambda: any_rig.channel.give_back(any_rig.number, f"{any_rig.number}R1", Fen(300)))
    day = any_rig.house.clock.now().astimezone(BEIJING)
    if any_rig.institution == "unionpay":
        day += timedelta(hours=1)
    bill = await any_rig.channel.bill(day.date())
    assert isinstance(bill, Bill), bill
    lines = {(line.kind, line.attempt_id, line.number, line.amount_fen) for line in bill.trades}
    assert {line for line in lines if line[1].startswith(any_rig.number)} == {
        ("paid", any_rig.number, any_rig.number, 1000),
        ("paid", other, other, 250),
        ("refunded", any_rig.number, f"{any_rig.number}R1", 300),
    }
    assert not isinstance(await any_rig.channel.bill(day.date() - timedelta(days=3)), Bill) or any_rig.is_debit


# -- everything at once ---------------------------------------------------------------------------------------------

CHAOS = (
    "drop_before p=0.15",
    "drop_after p=0.15",
    "error p=0.1",
    "error_after p=0.1",
    "bad_signature p=0.1",
    "delay p=0.1 ms=20",
    "certificate_rotated op=query count=1 skip=5",
    "notice_lost p=0.2",
    "notice_doubled p=0.2",
    "notice_reordered p=0.2",
    "clock_skewed p=0.05",
)
ORDERS = 5
PATIENCE_S = 30.0


async def test_whatever_goes_wrong_asking_again_ends_it(any_rig: Rig) -> None:
    """Each order is charged once and given back once, though every second call goes wrong somehow."""
    wrong(any_rig.house, *CHAOS)
    numbers = [f"{any_rig.number}X{at}" for at in range(ORDERS)]
    await asyncio.gather(*(_through(any_rig, number) for number in numbers))
    for number in numbers:
        book = any_rig.book(number)
        assert (len(book.charges), book.paid_fen, book.refunded_fen, len(book.refunds)) == (1, 1000, 400, 1)
    any_rig.house.faults.remove()
    await until(lambda: all(any_rig.is_told(number) for number in numbers), "every callback, or the end of its ladder")
    told = {notice.attempt_id for number in numbers for notice in any_rig.server.paid(number)}
    # A ladder may end unheard, the shorter the sooner; hardly ever twice.
    assert len(told) >= ORDERS - 1


async def _through(any_rig: Rig, number: str) -> None:
    """An order from its beginning to a refund, by a merchant who only ever asks again with the same number."""
    until_s = time.monotonic() + PATIENCE_S
    while (await any_rig.channel.query(number)).standing != "paid":
        assert time.monotonic() < until_s, f"{number} is not paid"
        if any_rig.is_debit:
            await any_rig.channel.debit(any_rig.order(number))
        elif isinstance(issued := await any_rig.channel.create_credential(any_rig.order(number)), Issued):
            with suppress(AssertionError, ClientError):
                # A payer whose page does not open tries again, too.
                await any_rig.pay(await any_rig.till(issued.credential))
    while (await any_rig.channel.give_back(number, f"{number}R", Fen(400))).standing != "done":
        assert time.monotonic() < until_s, f"{number} is not given back"
        await asyncio.sleep(0.01)
