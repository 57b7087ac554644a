"""The channels that ship, against the simulator over real sockets: both ways of signing, with and without a
sub-merchant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from payments.channels.edupay import EduPayChannel, EduPayConfig
from payments.money import Fen
from payments.outcomes import (
    Bill,
    Declined,
    Issued,
    MoneyAnswer,
    MoneyNotice,
    PaidNotice,
    Receiver,
    Succeeded,
    Unknown,
)
from payments.simulator.wechat_words import BEIJING
from tests.simulator_house import until, wrong
from tests.simulator_wechat import CAMPUS, OPENID, PLATFORM, Rig, find_account, rig

RUNNER = Receiver(party="runner", account_ref="runner", amount_fen=Fen(700))


@pytest.fixture(params=["public key", "certificates", "sub-merchant"])
async def any_rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """Every way to be a merchant."""
    options, config = {}, {}
    if request.param == "certificates":
        options, config = {"sign_with": "certificate"}, {"public_key": "", "public_key_id": ""}
    if request.param != "sub-merchant":
        config["sub_mchid"] = ""
    async with rig(tmp_path, options=options, **config) as made:
        yield made


@pytest.mark.parametrize("trade_type", ["jsapi", "native", "h5", "app"])
async def test_a_credential_of_each_kind_is_issued(tmp_path: Path, trade_type: str) -> None:
    async with rig(tmp_path, sub_mchid="", trade_type=trade_type, h5_app_name="校园跑腿") as made:
        issued = await made.channel.create_credential(made.order("ATTEMPT1"))
        assert isinstance(issued, Issued), issued
        again = await made.channel.create_credential(made.order("ATTEMPT1"))
        assert isinstance(again, Issued)
        assert len(made.house.books.orders) == 1


async def test_an_order_is_unpaid_then_paid_and_told(any_rig: Rig) -> None:
    channel = any_rig.channel
    assert isinstance(await channel.create_credential(any_rig.order("ATTEMPT1")), Issued)
    assert (await channel.query("ATTEMPT1")).standing == "unpaid"
    assert (await channel.query("ATTEMPT2")).standing == "absent"
    any_rig.house.desk.pay(any_rig.book("ATTEMPT1"), OPENID)
    await until(lambda: any_rig.merchant.heard, "the callback")
    notice = channel.read_callback(*any_rig.merchant.heard[0])
    found = await channel.query("ATTEMPT1")
    assert isinstance(notice, PaidNotice), notice
    assert (found.standing, found.amount_fen) == ("paid", 1000)
    assert (notice.attempt_id, notice.amount_fen) == ("ATTEMPT1", 1000)
    assert notice.transaction_id == found.transaction_id
    assert await channel.close("ATTEMPT1") == "paid"


async def test_an_order_that_is_closed_cannot_be_paid(any_rig: Rig) -> None:
    assert isinstance(await any_rig.channel.create_credential(any_rig.order("ATTEMPT1")), Issued)
    assert await any_rig.channel.close("ATTEMPT1") == "asked"
    assert (await any_rig.channel.query("ATTEMPT1")).standing == "closed"
    assert any_rig.house.desk.pay(any_rig.book("ATTEMPT1"), OPENID) == "closed"
    assert await any_rig.channel.close("ATTEMPT9") == "asked", "204 for an order that never was"


async def test_money_is_given_back_once(any_rig: Rig) -> None:
    book = await any_rig.paid("ATTEMPT1")
    answer = await any_rig.channel.give_back("ATTEMPT1", "REFUND1", Fen(300))
    assert answer.standing == "pending"
    done = await any_rig.settled(lambda: any_rig.channel.give_back("ATTEMPT1", "REFUND1", Fen(300)))
    assert (done.standing, book.refunded_fen, book.frozen_fen) == ("done", 300, 700)
    await until(lambda: len(any_rig.merchant.heard) == 2, "the refund's callback")
    notices = [any_rig.channel.read_callback(*heard) for heard in any_rig.merchant.heard]
    assert [n.number for n in notices if isinstance(n, MoneyNotice)] == ["REFUND1"]
    too_much = await any_rig.channel.refund("ATTEMPT1", "REFUND2", Fen(701))
    assert too_much.standing == "failed"


async def test_a_hold_is_split_and_a_part_is_taken_back(any_rig: Rig) -> None:
    book = await any_rig.paid("ATTEMPT1")
    receivers = (PLATFORM, CAMPUS, RUNNER)
    await any_rig.channel.split("ATTEMPT1", "SPLIT1", receivers)
    split = await any_rig.settled(lambda: any_rig.channel.split("ATTEMPT1", "SPLIT1", receivers))
    assert {o.party: o.standing for o in split.receivers} == {"platform": "paid", "campus": "paid", "runner": "paid"}
    assert (book.split_fen, book.unfrozen_fen, book.frozen_fen) == (300, 700, 0), "the runner's part is the team's own"
    back = await any_rig.channel.take_back("ATTEMPT1", "BACK1", "SPLIT1", CAMPUS)
    assert (back.standing, book.taken_back_fen) == ("done", 100)
    again = await any_rig.channel.take_back("ATTEMPT1", "BACK1", "SPLIT1", CAMPUS)
    assert (again.standing, book.taken_back_fen) == ("done", 100)
    more = msgspec.structs.replace(CAMPUS, amount_fen=Fen(1))
    assert (await any_rig.channel.take_back("ATTEMPT1", "BACK2", "SPLIT1", more)).standing == "failed"


async def test_a_runner_is_paid_by_split_where_that_is_granted(tmp_path: Path) -> None:
    async with rig(tmp_path, sub_mchid="", runner_payout="personal", split_cap_percent=100) as made:
        book = await made.paid("ATTEMPT1")
        await made.channel.split("ATTEMPT1", "SPLIT1", (RUNNER,))
        split = await made.settled(lambda: made.channel.split("ATTEMPT1", "SPLIT1", (RUNNER,)))
        assert [o.standing for o in split.receivers] == ["paid"]
        assert book.splits["SPLIT1"].received_fen("oRunner") == 700
        assert (await made.channel.take_back("ATTEMPT1", "BACK1", "SPLIT1", RUNNER)).standing == "failed"


async def test_a_transfer_waits_for_the_runner_to_agree(one: Rig) -> None:
    to = {"openid": "oRunner", "name": "张三"}
    waits = await one.channel.transfer("TRANSFER1", "runner", to, Fen(5000))
    assert waits.standing == "pending" and waits.confirm is not None
    invoke = waits.confirm["invoke"]
    assert (invoke["mchId"], invoke["appId"]) == (one.config.mchid, one.config.appid)
    transfer = one.house.books.transfer_of_token(invoke["package"])
    assert transfer is not None
    one.house.desk.agree(transfer)
    await until(lambda: one.merchant.heard, "the transfer's callback")
    notice = one.channel.read_callback(*one.merchant.heard[0])
    assert isinstance(notice, MoneyNotice) and notice.number == "TRANSFER1"
    assert await one.channel.transfer("TRANSFER1", "runner", to, Fen(5000)) == MoneyAnswer(standing="done")
    assert one.house.books.balance_fen("wechat", one.config.mchid) == 100_000_000 - 5000


async def test_the_days_bill_says_what_the_books_say(any_rig: Rig) -> None:
    await any_rig.paid("ATTEMPT1")
    await any_rig.channel.give_back("ATTEMPT1", "REFUND1", Fen(300))
    await any_rig.channel.split("ATTEMPT1", "SPLIT1", (PLATFORM,))
    await until(lambda: not any_rig.house.books.unfinished(), "the provider's work")
    bill = await any_rig.channel.bill(any_rig.house.clock.now().astimezone(BEIJING).date())
    assert isinstance(bill, Bill), bill
    trades = [(line.kind, line.number, line.amount_fen) for line in bill.trades]
    assert trades == [("paid", "ATTEMPT1", 1000), ("refunded", "REFUND1", 300)]
    if any_rig.config.sub_mchid:
        assert bill.flows is None
    else:
        assert bill.flows is not None
        flows = [(line.kind, line.number, line.amount_fen) for line in bill.flows]
        assert flows == [("paid", "ATTEMPT1", 1000), ("refunded", "REFUND1", 300), ("split", "SPLIT1", 200)]


@asynccontextmanager
async def edupay(made: Rig) -> AsyncIterator[EduPayChannel]:
    merchant = msgspec.structs.replace(made.config, code="edupay")
    config = EduPayConfig(merchant=merchant, school_id="10001", scene_type="OTHER", device_ip="203.0.113.9")
    channel = EduPayChannel(config, find_account=find_account)
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


async def test_a_debit_takes_the_money_once(any_rig: Rig) -> None:
    async with edupay(any_rig) as channel:
        taken = await channel.debit(any_rig.order("ATTEMPT1"))
        assert isinstance(taken, Succeeded) and taken.amount_fen == 1000
        assert await channel.debit(any_rig.order("ATTEMPT1")) == taken
        assert len(any_rig.book("ATTEMPT1").charges) == 1
        assert (await channel.query("ATTEMPT1")).transaction_id == taken.transaction_id
        await until(lambda: any_rig.merchant.heard, "the callback")
        assert isinstance(channel.read_callback(*any_rig.merchant.heard[0]), PaidNotice)
        assert (await channel.give_back("ATTEMPT1", "REFUND1", Fen(1000))).standing == "pending"


async def test_a_debit_without_an_answer_is_unknown_and_found_by_asking(one: Rig) -> None:
    wrong(one.house, "drop_after op=debit order=ATTEMPT1", "drop_before op=debit order=ATTEMPT2")
    async with edupay(one) as channel:
        for number, standing in (("ATTEMPT1", "paid"), ("ATTEMPT2", "absent")):
            assert isinstance(await channel.debit(one.order(number)), Unknown)
            assert (await channel.query(number)).standing == standing


async def test_a_debit_may_be_told_before_it_is_answered(one: Rig) -> None:
    wrong(one.house, "notice_before_reply op=debit", "drop_after op=debit")
    async with edupay(one) as channel:
        assert isinstance(await channel.debit(one.order("ATTEMPT1")), Unknown)
        assert isinstance(channel.read_callback(*one.merchant.heard[0]), PaidNotice)


async def test_a_payer_without_money_or_contract_is_a_no(one: Rig) -> None:
    wrong(one.house, "insufficient op=debit count=1")
    async with edupay(one) as channel:
        assert isinstance(await channel.debit(one.order("ATTEMPT1")), Declined)
        assert (await channel.query("ATTEMPT1")).standing == "closed"
    async with edupay(one) as channel:
        assert isinstance(await channel.debit(one.order("ATTEMPT2", contract_id="")), Declined)
