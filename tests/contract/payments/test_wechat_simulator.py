"""The channels that ship, against the simulator over real sockets: both ways of signing, with and without a
sub-merchant, and what they make of everything that goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from payments.channels import wechat_api
from payments.channels.edupay import EduPayChannel, EduPayConfig
from payments.channels.wechat import WechatChannel
from payments.channels.wechat_config import SceneReport, WechatConfig
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    Bill,
    Declined,
    Issued,
    MoneyNotice,
    NotIssued,
    OrderToCreate,
    PaidNotice,
    Receiver,
    Refused,
    Succeeded,
    Unknown,
)
from payments.simulator.books import OrderBook
from payments.simulator.house import House, Plan
from payments.simulator.wechat_words import BEIJING
from tests.simulator_house import Merchant, merchant_server, running, state_with_keys, until, wrong

OPENID = "oStudent"
PLATFORM = Receiver(party="platform", account_ref="platform", amount_fen=Fen(200))
CAMPUS = Receiver(party="campus", account_ref="campus", amount_fen=Fen(100))
RUNNER = Receiver(party="runner", account_ref="runner", amount_fen=Fen(700))


async def find_account(account_ref: str) -> dict[str, str]:
    """Where receivers are paid."""
    return {
        "platform": {"mchid": "1900000109", "name": "平台公司"},
        "campus": {"mchid": "1900000110", "name": "学校后勤"},
        "runner": {"openid": "oRunner", "name": "张三"},
    }[account_ref]


class Rig:
    """A house, a merchant's server and the merchant's channel."""

    def __init__(self, house: House, merchant: Merchant, **config: Any) -> None:
        self.house = house
        self.merchant = merchant
        fields = {**house.settings()["wechat"], "notify_url": merchant.url, "trade_type": "native", **config}
        fields |= {"transfer_scene_id": "1005", "transfer_reports": (SceneReport("岗位类型", "跑腿"),)}
        self.config = WechatConfig(**fields)
        self.channel = WechatChannel(self.config, find_account=find_account)

    def order(self, number: str, fen: int = 1000, **payer: str) -> OrderToCreate:
        return OrderToCreate(
            attempt_id=number,
            amount_fen=Fen(fen),
            description="奶茶一杯",
            order_ref="order_1",
            payer_ref="account_1",
            expires_at=self.house.clock.now() + timedelta(minutes=15),
            payer={"openid": OPENID, "client_ip": "203.0.113.9", "contract_id": "CONTRACT1", **payer},
        )

    def book(self, number: str) -> OrderBook:
        return self.house.books.orders_of_number("wechat", number)[0]

    async def paid(self, number: str, fen: int = 1000) -> OrderBook:
        """An order that its payer paid."""
        assert isinstance(await self.channel.create_credential(self.order(number, fen)), Issued)
        assert self.house.desk.pay(self.book(number), OPENID) == "paid"
        return self.book(number)

    async def settled(self, ask: Callable[[], Any]) -> Any:
        """The same question until the provider has finished with it."""
        for _ in range(3):
            await until(lambda: not self.house.books.unfinished(), "the provider's work")
            answer = await ask()
        return answer


@asynccontextmanager
async def rig(folder: Path, *, options: dict[str, str] | None = None, **config: Any) -> AsyncIterator[Rig]:
    plan = Plan(
        state=state_with_keys(folder),
        options={
            "wechat": {"split_permille": "1000", "bills_at_once": "true", "service_provider": "true", **(options or {})}
        },
        work_s=0.02,
        rate=100,
    )
    async with running(plan) as house, merchant_server() as merchant:
        made = Rig(house, merchant, **config)
        await made.channel.start()
        try:
            yield made
        finally:
            await made.channel.stop()


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


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Rig]:
    """The usual way."""
    async with rig(tmp_path, sub_mchid="") as made:
        yield made


# -- what is promised, without faults -------------------------------------------------------------------------------


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
    assert (await one.channel.transfer("TRANSFER1", "runner", to, Fen(5000))).standing == "pending"
    transfer = one.house.books.transfer_of_token(one.channel.transfer_package("TRANSFER1"))
    assert transfer is not None
    one.house.desk.agree(transfer)
    await until(lambda: one.merchant.heard, "the transfer's callback")
    notice = one.channel.read_callback(*one.merchant.heard[0])
    assert isinstance(notice, MoneyNotice) and notice.number == "TRANSFER1"
    assert (await one.channel.transfer("TRANSFER1", "runner", to, Fen(5000))).standing == "done"
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


# -- what is promised when things go wrong --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["delay op=create ms=3000", "drop_before op=create", "error op=create status=503"])
async def test_a_credential_that_did_not_come_in_time_is_not_issued(one: Rig, fault: str) -> None:
    wrong(one.house, f"{fault} count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), NotIssued)


@pytest.mark.parametrize("fault", ["drop_after op=create", "delay_after op=create ms=3000", "bad_signature op=create"])
async def test_an_order_whose_answer_was_lost_exists_and_is_closed(one: Rig, fault: str) -> None:
    wrong(one.house, f"{fault} count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), NotIssued)
    assert (await one.channel.query("ATTEMPT1")).standing == "unpaid"
    assert await one.channel.close("ATTEMPT1") == "asked"
    assert (await one.channel.query("ATTEMPT1")).standing == "closed"


async def test_a_verdict_ends_the_order_and_a_busy_provider_does_not(one: Rig) -> None:
    wrong(one.house, "refuse op=create code=RULE_LIMIT count=1", "refuse op=create code=FREQUENCY_LIMITED count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), Refused)
    busy = await one.channel.create_credential(one.order("ATTEMPT2"))
    assert isinstance(busy, NotIssued) and busy.may_switch


async def test_the_backup_domain_serves_the_same_order(one: Rig) -> None:
    await one.house.shut_port("main")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), Issued)
    assert one.house.door.exchanges[-1].is_backup
    assert (await one.channel.query("ATTEMPT1")).standing == "unpaid"


async def test_close_without_effect_is_seen_by_asking_again(one: Rig) -> None:
    wrong(one.house, "no_effect op=close count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), Issued)
    assert await one.channel.close("ATTEMPT1") == "asked"
    assert (await one.channel.query("ATTEMPT1")).standing == "unpaid"


async def test_a_payer_may_be_faster_than_the_close(one: Rig) -> None:
    wrong(one.house, "pay_before_close count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), Issued)
    assert (await one.channel.query("ATTEMPT1")).standing == "unpaid"
    assert await one.channel.close("ATTEMPT1") == "paid"
    assert (await one.channel.query("ATTEMPT1")).standing == "paid"


async def test_an_order_may_be_paid_that_was_said_not_to_exist(one: Rig) -> None:
    wrong(one.house, "absent op=query count=1")
    await one.paid("ATTEMPT1")
    assert (await one.channel.query("ATTEMPT1")).standing == "absent"
    assert (await one.channel.query("ATTEMPT1")).standing == "paid"


async def test_another_amount_is_told_as_it_was_charged(one: Rig) -> None:
    wrong(one.house, "wrong_amount value=-100 count=1")
    await one.paid("ATTEMPT1")
    assert (await one.channel.query("ATTEMPT1")).amount_fen == 900


async def test_callbacks_are_proved_or_refused(one: Rig) -> None:
    wrong(
        one.house,
        "notice_probe count=1",
        "bad_signature op=notify count=1",
        "notice_other_key op=notify skip=1 count=1",
    )
    one.merchant.answers = [500, 500, 500, 204]
    await one.paid("ATTEMPT1")
    await until(lambda: len(one.merchant.heard) == 4, "four callbacks")
    notices = [one.channel.read_callback(*heard) for heard in one.merchant.heard]
    # A probe; a wrong signature; a certificate while only the public key is known; and then the usual one.
    assert [type(notice) for notice in notices] == [BadNotice, BadNotice, BadNotice, PaidNotice]
    assert notices[0] == BadNotice("probe")


async def test_a_rotated_certificate_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wechat_api, "CERTIFICATES_AT_LEAST_S", 0.0)
    options = {"sign_with": "certificate"}
    async with rig(tmp_path, options=options, sub_mchid="", public_key="", public_key_id="") as made:
        assert isinstance(await made.channel.create_credential(made.order("ATTEMPT1")), Issued)
        wrong(made.house, "certificate_rotated op=query count=1")
        assert (await made.channel.query("ATTEMPT1")).standing == "unpaid"
        operations = [exchange.operation for exchange in made.house.door.exchanges]
        assert operations[-2:] == ["query", "certificates"]


async def test_a_clock_that_is_wrong_proves_nothing(one: Rig) -> None:
    wrong(one.house, "clock_skewed op=query s=900 count=1")
    await one.paid("ATTEMPT1")
    assert (await one.channel.query("ATTEMPT1")).standing == "no_answer"
    assert (await one.channel.query("ATTEMPT1")).standing == "paid"


async def test_a_refund_whose_answer_was_lost_is_paid_once(one: Rig) -> None:
    # Twice: what is dropped on a connection that had served before is sent once more by itself.
    wrong(one.house, "drop_after op=refund count=2", "error_after op=refund count=1")
    book = await one.paid("ATTEMPT1")
    assert (await one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400))).standing == "no_answer"
    assert (await one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400))).standing == "no_answer"
    done = await one.settled(lambda: one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400)))
    assert (done.standing, book.refunded_fen, len(book.refunds)) == ("done", 400, 1)


@pytest.mark.parametrize("fault", ["refund_closed", "refund_abnormal"])
async def test_a_refund_that_fails_is_told_so(one: Rig, fault: str) -> None:
    wrong(one.house, f"{fault} count=1")
    await one.paid("ATTEMPT1")
    await one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400))
    failed = await one.settled(lambda: one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400)))
    assert failed.standing == "failed"


async def test_a_refund_may_take_its_time(one: Rig) -> None:
    wrong(one.house, "refund_pending s=86400 count=1")
    await one.paid("ATTEMPT1")
    for _ in range(3):
        assert (await one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400))).standing == "pending"


async def test_a_part_of_a_split_may_fail_while_the_split_is_finished(one: Rig) -> None:
    wrong(one.house, "split_partly_failed value=2 count=1", "drop_after op=split count=2")
    book = await one.paid("ATTEMPT1")
    receivers = (PLATFORM, CAMPUS)
    assert (await one.channel.split("ATTEMPT1", "SPLIT1", receivers)).receivers == ()
    split = await one.settled(lambda: one.channel.split("ATTEMPT1", "SPLIT1", receivers))
    assert {o.party: o.standing for o in split.receivers} == {"platform": "paid", "campus": "closed"}
    assert (book.split_fen, book.frozen_fen) == (200, 800)


async def test_too_large_a_share_is_refused_as_a_whole(tmp_path: Path) -> None:
    async with rig(tmp_path, options={"split_permille": "100"}, sub_mchid="") as made:
        book = await made.paid("ATTEMPT1")
        split = await made.channel.split("ATTEMPT1", "SPLIT1", (PLATFORM, CAMPUS))
        assert {o.standing for o in split.receivers} == {"closed"}
        assert book.frozen_fen == 1000


# -- 校园轻松付 -------------------------------------------------------------------------------------------------------


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
