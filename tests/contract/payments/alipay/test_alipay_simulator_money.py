"""Money in the simulated Alipay: freezes, splits, transfers, and what the bill says of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from alipay import AliPay

from payments.channels.china import BEIJING
from payments.money import Fen
from payments.outcomes import Bill, MoneyNotice, Receiver
from tests.simulator_alipay import call, sdk_of
from tests.simulator_channels import ACCOUNTS, Rig
from tests.simulator_house import until, wrong

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_frozen_money_is_captured_once_and_split(frozen: Rig) -> None:
    book = await frozen.paid()
    assert (await frozen.channel.give_back(frozen.number, "BACK0001", Fen(100))).standing == "done"
    wrong(frozen.house, "drop_after op=debit count=2")
    assert (await frozen.channel.split(frozen.number, "SPLIT001", (CAMPUS, RUNNER))).receivers == ()
    await frozen.channel.split(frozen.number, "SPLIT001", (CAMPUS, RUNNER))
    trade = frozen.book(f"{frozen.number}P")
    assert (book.frozen_fen, book.split_fen, trade.paid_fen, len(trade.charges)) == (100, 800, 800, 1)
    await until(lambda: trade.split_fen == 800, "the provider's work")
    done = await frozen.channel.split(frozen.number, "SPLIT001", (CAMPUS, RUNNER))
    assert {o.standing for o in done.receivers} == {"paid"}
    assert (await frozen.channel.refund(frozen.number, "REFUND01", Fen(50))).standing == "done"
    assert (trade.refunded_fen, book.refunded_fen) == (50, 100)


async def test_a_freeze_is_taken_back_whole(frozen: Rig) -> None:
    book = await frozen.paid()
    assert await frozen.channel.close(frozen.number) == "asked"
    assert (await frozen.channel.query(frozen.number)).standing == "closed"
    assert (book.refunded_fen, book.frozen_fen) == (1000, 0)
    assert await frozen.channel.close(frozen.number) == "asked"
    assert book.refunded_fen == 1000
    sdk = sdk_of(frozen)
    for method in ("order.unfreeze", "operation.cancel", "operation.detail.query"):
        content = {"out_order_no": "NOBODY", "out_request_no": "X", "amount": "1"}
        assert (await call(sdk.server_api, f"alipay.fund.auth.{method}", content))["sub_code"] == "AUTH_ORDER_NOT_EXIST"
    content = {"out_order_no": frozen.number, "amount": "1"}
    assert (await call(sdk.server_api, "alipay.fund.auth.order.unfreeze", content))["sub_code"] == "isv.missing-param"


async def test_what_is_frozen_for_too_long_is_the_payers_again(frozen: Rig) -> None:
    book = await frozen.paid()
    later = frozen.house.clock.now() + timedelta(days=31)
    frozen.house.set_clock(rate=frozen.house.plan.rate, calendar_rate=1, now_ms=round(later.timestamp() * 1000))
    await until(lambda: book.refunded_fen == 1000, "the end of the freeze")
    assert (book.frozen_fen, book.unfrozen_fen) == (0, 0)
    await until(lambda: len(frozen.server.heard) == 2, "its notification")


async def test_a_capture_is_for_what_is_frozen(frozen: Rig) -> None:
    sdk = sdk_of(frozen)
    book = await frozen.paid()
    content = {"out_trade_no": "CAPTURED", "total_amount": "8.00", "subject": "x", "product_code": "PREAUTH_PAY"}

    async def capture(**more: str) -> Any:
        return await call(sdk.server_api, "alipay.trade.pay", {**content, **more})

    assert (await capture())["sub_code"] == "ACQ.PAYMENT_AUTH_CODE_INVALID"
    auth_no = book.charges[0].transaction_id
    assert (await capture(auth_no=auth_no, total_amount="10.01"))["sub_code"] == "ACQ.AUTH_AMOUNT_NOT_ENOUGH"
    taken = await capture(auth_no=auth_no, auth_confirm_mode="COMPLETE")
    assert (taken["total_amount"], book.frozen_fen, book.refunded_fen) == ("8.00", 0, 200)
    assert await capture(auth_no=auth_no, auth_confirm_mode="COMPLETE") == taken
    assert (await capture(auth_no=auth_no, total_amount="7.00"))["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"


PLATFORM = Receiver(party="platform", account_ref="platform", amount_fen=Fen(200))
CAMPUS = Receiver(party="campus", account_ref="campus", amount_fen=Fen(100))
RUNNER = Receiver(party="runner", account_ref="runner", amount_fen=Fen(700))


async def test_a_trade_is_split_and_the_rest_unfrozen(one: Rig) -> None:
    book = await one.paid()
    assert book.frozen_fen == 1000
    parts = (PLATFORM, CAMPUS, RUNNER)
    first = await one.channel.split(one.number, "SPLIT1", parts)
    assert {o.party: o.standing for o in first.receivers}["campus"] in ("pending", "paid")
    await until(lambda: all(split.ended_at for split in book.splits.values()), "the provider's work")
    await one.channel.split(one.number, "SPLIT1", parts)
    await until(lambda: book.is_unfrozen and book.frozen_fen == 0, "the unfreezing")
    done = await one.channel.split(one.number, "SPLIT1", parts)
    assert {o.party: o.standing for o in done.receivers} == {"platform": "paid", "campus": "paid", "runner": "paid"}
    assert (book.split_fen, book.unfrozen_fen) == (800, 200)
    assert book.splits["SPLIT1"].received_fen(ACCOUNTS["runner"]) == 700
    await until(lambda: len(one.server.heard) >= 2, "the message about the split")
    assert "SPLIT1" in [notice.number for notice in one.server.notices() if isinstance(notice, MoneyNotice)]


async def test_a_receiver_may_get_nothing(one: Rig) -> None:
    wrong(one.house, "split_partly_failed value=2 count=1", "drop_after op=split count=2")
    book = await one.paid()
    await one.channel.split(one.number, f"{one.number}S", (CAMPUS, RUNNER))
    await until(lambda: book.splits and all(s.ended_at for s in book.splits.values()), "the provider's work")
    split = await one.channel.split(one.number, f"{one.number}S", (CAMPUS, RUNNER))
    assert {o.party: o.standing for o in split.receivers} == {"campus": "paid", "runner": "closed"}
    assert (book.split_fen, book.frozen_fen) == (100, 900)


async def test_a_refund_may_take_parts_back(one: Rig, sdk: AliPay) -> None:
    book = await one.paid()
    await one.channel.split(one.number, f"{one.number}S", (CAMPUS,))
    await until(lambda: book.split_fen == 100, "the provider's work")
    back = [{"royalty_type": "transfer", "trans_out": ACCOUNTS["campus"], "amount": "0.60"}]
    ask: dict[str, Any] = {"out_trade_no": one.number, "out_request_no": "R1", "refund_royalty_parameters": back}
    for _ in range(2):
        said = await call(sdk.api_alipay_trade_refund, "10.00", **ask)
        assert (said["code"], book.taken_back_fen, book.refunded_fen) == ("10000", 60, 1000), said
    said = await call(sdk.api_alipay_trade_refund, "1.00", **{**ask, "out_request_no": "R2"})
    assert said["sub_code"] == "ACQ.REFUND_ROYALTY_PARAM_ERROR"
    wrong(one.house, "return_failed count=1")
    back[0]["amount"] = "0.40"
    said = await call(sdk.api_alipay_trade_refund, "1.00", **{**ask, "out_request_no": "R3"})
    assert said["sub_code"] == "ACQ.REFUND_ROYALTY_ERROR"


async def test_receivers_are_bound_and_let_go(one: Rig, sdk: AliPay) -> None:
    relation = "alipay.trade.royalty.relation"
    content = {"out_request_no": "B1", "receiver_list": [{"type": "userId", "account": "2088000000000009"}]}
    assert (await call(sdk.server_api, f"{relation}.bind", content))["result_code"] == "SUCCESS"
    listed = await call(sdk.server_api, f"{relation}.batchquery", {"out_request_no": "B2"})
    assert "2088000000000009" in [each["account"] for each in listed["receiver_list"]]
    assert (await call(sdk.server_api, f"{relation}.unbind", content))["result_code"] == "SUCCESS"
    empty = await call(sdk.server_api, f"{relation}.bind", {**content, "receiver_list": []})
    assert empty["sub_code"] == "ACQ.INVALID_PARAMETER"
    book = await one.paid()
    trade_no = book.charges[0].transaction_id
    parts = [{"trans_in": "2088000000000009", "amount": "1.00"}]
    unbound = await call(sdk.api_alipay_trade_order_settle, "S1", trade_no, parts)
    assert unbound["sub_code"] == "ACQ.ROYALTY_RELATION_NOT_BIND"
    nobody = await call(sdk.api_alipay_trade_order_settle, "S1", trade_no, [])
    assert nobody["sub_code"] == "ACQ.INVALID_PARAMETER"
    asked = await call(
        sdk.server_api, "alipay.trade.order.settle.query", {"out_request_no": "S1", "trade_no": trade_no}
    )
    assert asked["sub_code"].endswith("NOT_EXIST")


async def test_a_transfer_arrives_once(one: Rig) -> None:
    to = {"alipay_login": "runner@example.com", "name": "张三"}
    before_fen = one.house.books.balance_fen("alipay", one.config.seller_id)
    for _ in range(2):
        assert (await one.channel.transfer(one.number, "runner", to, Fen(5000))).standing == "done"
    assert one.house.books.balance_fen("alipay", one.config.seller_id) == before_fen - 5000
    sdk = sdk_of(one)
    method, query = "alipay.fund.trans.uni.transfer", "alipay.fund.trans.common.query"
    order_id = (await call(sdk.server_api, query, {"out_biz_no": one.number}))["order_id"]
    assert (await call(sdk.server_api, query, {"order_id": order_id}))["status"] == "SUCCESS"
    assert (await call(sdk.server_api, query, {"out_biz_no": "NOBODY"}))["sub_code"] == "ORDER_NOT_EXIST"
    content = {"out_biz_no": "T1", "trans_amount": "1.00", "product_code": "TRANS_ACCOUNT_NO_PWD"}
    for payee in ({"identity": "x", "identity_type": "OTHER"}, {"identity": "x", "identity_type": "ALIPAY_LOGON_ID"}):
        assert (await call(sdk.server_api, method, {**content, "payee_info": payee}))["code"] == "40004"
    wrong(one.house, "transfer_failed count=1", "drop_after op=transfer skip=1 count=2")
    assert (await one.channel.transfer(f"{one.number}B", "runner", to, Fen(5000))).standing == "failed"
    assert (await one.channel.transfer(f"{one.number}C", "runner", to, Fen(5000))).standing == "no_answer"
    assert (await one.channel.transfer(f"{one.number}C", "runner", to, Fen(5000))).standing == "done"
    assert one.house.books.balance_fen("alipay", one.config.seller_id) == before_fen - 10_000


async def test_the_funds_move_as_the_bill_says(one: Rig) -> None:
    book = await one.paid()
    await one.channel.split(one.number, f"{one.number}S", (CAMPUS,))
    await one.channel.refund(one.number, f"{one.number}R", Fen(300))
    await until(lambda: book.split_fen == 100, "the provider's work")
    bill = await one.channel.bill(one.house.clock.now().astimezone(BEIJING).date())
    assert isinstance(bill, Bill) and bill.flows is not None, bill
    flows = {(line.kind, line.amount_fen) for line in bill.flows if line.attempt_id == one.number}
    assert flows == {("paid", 1000), ("refunded", 300), ("split", 100)}
