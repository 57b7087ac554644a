"""Alipay's own ways in the simulator: an SDK that knows nothing of us, codes that are no trade, splits, freezes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from alipay import AliPay
from alipay.exceptions import AliPayException, AliPayValidationError

from payments.channels.china import BEIJING, beijing_text
from payments.money import Fen
from payments.outcomes import Bill, MoneyNotice, PaidNotice, Receiver, Refused
from payments.simulator.alipay import LADDER_S
from payments.simulator.alipay_words import said
from payments.simulator.house import House, Plan
from payments.simulator.protocol import BadOption
from tests.simulator_channels import ACCOUNTS, Rig, rig
from tests.simulator_house import admin, running, until, wrong

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRADE = {"out_trade_no": "x", "total_amount": "1.00", "subject": "奶茶"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    config = {"parts_paid_by": "alipay", "runner_payout": "personal", "accounts": ACCOUNTS}
    async with rig("alipay_qr", tmp_path_factory.mktemp("alipay"), **config) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def one(shared: Rig) -> Rig:
    await shared.fresh()
    return shared


@pytest.fixture
def sdk(one: Rig) -> AliPay:
    """The SDK, on our loopback instead of Alipay's domain."""
    return sdk_of(one)


def sdk_of(one: Rig, **other: str) -> AliPay:
    given = {**one.house.settings()["alipay"], **other}
    made = AliPay(
        appid=given["app_id"],
        app_notify_url=one.server.url,
        app_private_key_string=given["app_private_key"],
        alipay_public_key_string=given["alipay_public_key"],
    )
    made._gateway = f"{one.house.base_url}/gateway.do"
    return made


async def call(do: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """The SDK is synchronous, and the simulator runs in this loop."""
    return await asyncio.to_thread(do, *given, **named)


def forms(one: Rig) -> list[dict[str, str]]:
    """What the merchant's server was told."""
    return [dict(parse_qsl(body.decode())) for _, body in one.server.heard]


# -- an independent party ---------------------------------------------------------------------------------------------


async def test_a_code_is_made_scanned_paid_told_refunded(one: Rig, sdk: AliPay) -> None:
    number = one.number
    made = await call(sdk.api_alipay_trade_precreate, "奶茶 一杯", number, "10.00")
    assert (made["code"], made["out_trade_no"]) == ("10000", number)
    nothing = await call(sdk.api_alipay_trade_query, out_trade_no=number)
    assert (nothing["code"], nothing["sub_code"]) == ("40004", "ACQ.TRADE_NOT_EXIST")
    till = await one.till({"kind": "qr", "code_url": made["qr_code"]})
    waiting = await call(sdk.api_alipay_trade_query, out_trade_no=number)
    assert (waiting["trade_status"], waiting["total_amount"]) == ("WAIT_BUYER_PAY", "10.00")
    assert await call(sdk.api_alipay_trade_query, trade_no=waiting["trade_no"]) == waiting
    assert (await call(sdk.api_alipay_trade_query, trade_no="1"))["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert await one.pay(till) == "paid"
    paid = await call(sdk.api_alipay_trade_query, trade_no=waiting["trade_no"])
    assert (paid["trade_status"], paid["out_trade_no"]) == ("TRADE_SUCCESS", number)
    await until(lambda: one.server.heard, "the notification")
    told = forms(one)[0]
    assert told["trade_status"] == "TRADE_SUCCESS"
    assert sdk.verify({k: v for k, v in told.items() if k != "sign"}, told["sign"])
    part = await call(sdk.api_alipay_trade_refund, "3.00", out_trade_no=number, out_request_no="R1")
    assert (part["fund_change"], part["refund_fee"]) == ("Y", "3.00")
    again = await call(sdk.api_alipay_trade_refund, "3.00", out_trade_no=number, out_request_no="R1")
    assert (again["fund_change"], again["refund_fee"]) == ("N", "3.00")
    other = await call(sdk.api_alipay_trade_refund, "2.00", out_trade_no=number, out_request_no="R1")
    assert other["sub_code"] == "ACQ.REFUND_REQUEST_INCONSISTENT"
    unnumbered = await call(sdk.api_alipay_trade_refund, "2.00", out_trade_no=number)
    assert unnumbered["sub_code"] == "ACQ.INVALID_PARAMETER", "a part needs its own number"
    found = await call(sdk.api_alipay_trade_fastpay_refund_query, "R1", out_trade_no=number)
    assert (found["refund_status"], found["refund_amount"]) == ("REFUND_SUCCESS", "3.00")
    unknown = await call(sdk.api_alipay_trade_fastpay_refund_query, "R9", out_trade_no=number)
    assert set(unknown) == {"code", "msg"}
    rest = await call(sdk.api_alipay_trade_refund, "7.00", out_trade_no=number, out_request_no="R2")
    assert rest["refund_fee"] == "10.00"
    assert (await call(sdk.api_alipay_trade_query, out_trade_no=number))["trade_status"] == "TRADE_CLOSED"


@pytest.mark.parametrize("kind", ["wap", "page", "app"])
async def test_a_page_is_opened_by_its_payer(one: Rig, sdk: AliPay, kind: str) -> None:
    make = getattr(sdk, f"api_alipay_trade_{kind}_pay")
    address = f"{sdk._gateway}?{make('奶茶', one.number, '8.50')}"
    assert not one.house.books.orders_of_number("alipay", one.number), "nothing is there before it is opened"
    till = await one.till({"kind": "redirect", "url": address})
    assert await one.till({"kind": "redirect", "url": address}) == till
    assert (await call(sdk.api_alipay_trade_close, out_trade_no=one.number))["code"] == "10000"
    assert await one.pay(till) == "closed"
    async with ClientSession() as session:
        shown = await (await session.get(address)).text()
        forged = await (await session.get(address.replace("8.50", "0.01"))).text()
    assert "ACQ.TRADE_HAS_CLOSE" in shown
    assert "isv.invalid-signature" in forged


async def test_what_is_closed_and_cancelled(one: Rig, sdk: AliPay) -> None:
    async def made(suffix: str) -> str:
        return str((await call(sdk.api_alipay_trade_precreate, "奶茶", one.number + suffix, "1.00"))["qr_code"])

    code = await made("A")
    cancelled = await call(sdk.api_alipay_trade_cancel, out_trade_no=f"{one.number}A")
    assert (cancelled["code"], "action" in cancelled) == ("10000", False)
    till = await one.till({"kind": "qr", "code_url": code})
    assert await one.pay(till) == "paid", "a code that nobody had scanned is not undone by that"
    assert (await call(sdk.api_alipay_trade_close, out_trade_no=f"{one.number}A"))["code"] == "40004"
    assert (await call(sdk.api_alipay_trade_cancel, out_trade_no=f"{one.number}A"))["action"] == "refund"
    assert one.book(f"{one.number}A").refunded_fen == 100
    till = await one.till({"kind": "qr", "code_url": await made("B")})
    assert (await call(sdk.api_alipay_trade_cancel, out_trade_no=f"{one.number}B"))["action"] == "close"
    assert await one.pay(till) == "closed"


async def test_money_is_frozen_and_let_go(one: Rig, sdk: AliPay) -> None:
    content = {"out_order_no": one.number, "out_request_no": "F1", "order_title": "押金", "amount": "50.00"}
    method = "alipay.fund.auth.order.app.freeze"
    order = sdk.client_api(method, content, notify_url=one.server.url)
    till = await one.till({"kind": "redirect", "url": f"{sdk._gateway}?{order}"})
    ask = {"out_order_no": one.number, "out_request_no": "F1"}

    async def asked(**more: str) -> Any:
        return await call(sdk.server_api, "alipay.fund.auth.operation.detail.query", {**ask, **more})

    assert (await asked())["status"] == "INIT"
    assert await one.pay(till) == "paid"
    frozen = await asked()
    assert (frozen["status"], frozen["rest_amount"]) == ("SUCCESS", "50.00")
    assert (await call(sdk.api_alipay_trade_query, out_trade_no=one.number))["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    go = {"auth_no": frozen["auth_no"], "out_request_no": "U1", "amount": "20.00", "remark": "退"}
    for _ in range(2):
        gone = await call(sdk.server_api, "alipay.fund.auth.order.unfreeze", go)
        assert (gone["status"], gone["rest_amount"]) == ("SUCCESS", "30.00")
    much = await call(sdk.server_api, "alipay.fund.auth.order.unfreeze", {**go, "out_request_no": "U2", "amount": "31"})
    assert much["sub_code"] == "ORDER_AMOUNT_NOT_ENOUGH"
    assert (await asked(out_request_no="U1"))["operation_type"] == "UNFREEZE"
    assert (await asked(out_request_no="U9"))["sub_code"] == "AUTH_OPERATION_NOT_EXIST"
    await until(lambda: len(one.server.heard) == 2, "both notifications")
    assert [form["notify_type"] for form in forms(one)] == ["fund_auth_freeze", "fund_auth_unfreeze"]


async def test_what_is_refused_says_why(one: Rig, sdk: AliPay) -> None:
    async def code(method: str, content: Any, **more: str) -> str:
        return str((await call(sdk.server_api, method, content, **more))["sub_code"])

    create = "alipay.trade.precreate"
    assert await code("alipay.trade.nonsense", {"a": "b"}) == "isv.invalid-method"
    assert await code("alipay.trade.query", {"a": "b"}) == "isv.missing-param"
    assert await code(create, {"out_trade_no": "x"}) == "isv.missing-param"
    assert await code(create, {**TRADE, "subject": ["no"]}) == "isv.invalid-parameter"
    for wrong_content in (
        {"total_amount": "0.001"},
        {"total_amount": "0"},
        {"subject": "a/b"},
        {"time_expire": "2001-01-01 00:00:00"},
        {"time_expire": "soon"},
        {"qr_code_timeout_express": "1y"},
        {"out_trade_no": ""},
    ):
        assert await code(create, {**TRADE, **wrong_content}) == "ACQ.INVALID_PARAMETER", wrong_content
    assert await code(create, {**TRADE, "total_amount": "999999999"}) == "ACQ.TOTAL_FEE_EXCEED"
    assert await code("alipay.trade.query", {"out_trade_no": "x"}, timestamp="2001-01-01 00:00:00") == (
        "isv.invalid-timestamp"
    )
    assert await code("alipay.trade.query", {"out_trade_no": "x"}, timestamp="soon") == "isv.invalid-timestamp"
    assert await code("alipay.trade.query", {"out_trade_no": "x"}, charset="gbk") == "isv.invalid-charset"
    assert await code("alipay.trade.query", "not JSON") == "isv.invalid-parameter"
    bill = "alipay.data.dataservice.bill.downloadurl.query"
    assert await code(bill, {"bill_type": "trade", "bill_date": "2001-01-01"}) == "isp.bill_not_exist"
    assert await code(bill, {"bill_type": "trade", "bill_date": "soon"}) == "isv.invalid-parameter"
    assert await code(bill, {"bill_type": "other", "bill_date": "2001-01-01"}) == "isv.invalid-parameter"
    stranger = sdk_of(one, app_id="2021999999999999")
    with pytest.raises(AliPayException, match="invalid-app-id"):
        await call(stranger.api_alipay_trade_query, out_trade_no="x")
    stolen = sdk_of(one, app_private_key=one.house.protocols["alipay"]._account._own.private_pem)  # type: ignore[attr-defined]
    assert (await call(stolen.api_alipay_trade_query, out_trade_no="x"))["sub_code"] == "isv.invalid-signature"


async def test_what_is_no_request_is_answered_too(one: Rig) -> None:
    async with ClientSession() as session:
        answer = await (await session.post(f"{one.house.base_url}/gateway.do", data=b"\xff")).read()
        assert b"isv.missing-app-id" in answer
        nothing = await (await session.get(f"{one.house.base_url}/alipay/bill?type=other&date=2026-01-01")).text()
        assert "isp.bill_not_exist" in nothing


async def test_a_payer_may_have_a_number_of_their_own(one: Rig, sdk: AliPay) -> None:
    await one.credential()
    assert one.house.desk.pay(one.book(), "2088123412341234") == "paid"
    found = await call(sdk.api_alipay_trade_query, out_trade_no=one.number)
    assert found["buyer_user_id"] == "2088123412341234"
    await one.channel.refund(one.number, f"{one.number}R", Fen(1000))
    again = await call(sdk.api_alipay_trade_cancel, out_trade_no=one.number)
    assert (again["action"], one.book().refunded_fen) == ("refund", 1000), "there is nothing left to refund"


async def test_a_wrong_signature_of_the_simulators_is_seen(one: Rig, sdk: AliPay) -> None:
    wrong(one.house, "bad_signature op=query count=1")
    with pytest.raises(AliPayValidationError):
        await call(sdk.api_alipay_trade_query, out_trade_no="x")


@pytest_asyncio.fixture(loop_scope="module")
async def frozen(tmp_path: Any) -> AsyncIterator[Rig]:
    async with rig(
        "alipay_freeze", tmp_path, parts_paid_by="alipay", runner_payout="personal", accounts=ACCOUNTS
    ) as made:
        yield made


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


# -- the trap of the code ---------------------------------------------------------------------------------------------


async def test_a_code_that_is_said_not_to_exist_stays_payable_until_its_end(one: Rig) -> None:
    code = await one.credential()
    assert (await one.channel.query(one.number)).standing == "absent"
    assert await one.channel.close(one.number) == "asked"
    assert (await one.channel.query(one.number)).standing == "absent"
    assert await one.pay(await one.till(code)) == "paid"
    assert (await one.channel.query(one.number)).standing == "paid"


async def test_a_code_is_dead_after_its_end(one: Rig) -> None:
    code = await one.credential()
    later = one.house.clock.now() + timedelta(minutes=16)
    one.house.set_clock(rate=one.house.plan.rate, calendar_rate=1, now_ms=round(later.timestamp() * 1000))
    assert await one.pay(await one.till(code)) == "closed"
    assert (await one.channel.query(one.number)).standing == "absent", "scanned too late, it never became a trade"
    wrong(one.house, "pays_closed count=1")
    assert await one.pay(await one.till(code)) == "paid"
    assert (await one.channel.query(one.number)).standing == "paid"


async def test_a_code_of_another_amount_is_another_order(one: Rig) -> None:
    await one.credential(fen=500)
    await one.credential(fen=500)
    assert await one.channel.create_credential(one.order(fen=501)) == Refused("ACQ.CONTEXT_INCONSISTENT")
    async with ClientSession() as session:
        shown = await (await session.get(f"{one.house.base_url}/alipay/qr/nonsense")).text()
    assert "ACQ.TRADE_NOT_EXIST" in shown


# -- splits, transfers, bills -----------------------------------------------------------------------------------------

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


# -- the ladder -------------------------------------------------------------------------------------------------------


async def test_it_is_told_eight_times_and_believes_only_the_word(one: Rig) -> None:
    assert [step / 60 for step in LADDER_S] == [4, 10, 10, 60, 120, 360, 900]
    one.house.set_clock(rate=1_000_000, calendar_rate=1, now_ms=None)
    one.server.refusals = 20
    book = await one.paid()
    await until(lambda: len(one.server.heard) == 8, "the end of the ladder")
    (notice,) = one.house.books.notices_of(book.key)
    assert not notice.is_heard and notice.due_at_s is None
    assert len({form["notify_id"] for form in forms(one)}) == 1
    assert all(isinstance(each, PaidNotice) for each in one.server.notices())
    one.server.refusals = 0
    status, said = await admin(one.house, f"/admin/notices/{notice.queued.notice_id}/resend", "POST", {})
    assert (status, said["is_heard"]) == (200, True)


async def test_a_skewed_clock_shows_in_the_form(one: Rig) -> None:
    wrong(one.house, "clock_skewed op=notify s=7200 count=1")
    await one.paid()
    await until(lambda: one.server.heard, "the notification")
    assert forms(one)[0]["notify_time"] > beijing_text(one.house.clock.now() + timedelta(hours=1))


async def test_a_state_is_kept_over_a_restart(one: Rig, tmp_path: Any) -> None:
    plan = Plan(state=tmp_path / "state.db", channels=("alipay",))
    async with running(plan) as house:
        made = Rig("alipay_qr", house, one.server)
        code = await made.credential("KEEPING1")
        await made.till(code)
        await made.channel.stop()
        given = dict(house.settings()["alipay"])
    async with running(plan) as house:
        made = Rig("alipay_qr", house, one.server)
        assert {**house.settings()["alipay"], "base_url": ""} == {**given, "base_url": ""}
        assert (await made.channel.query("KEEPING1")).standing == "unpaid", "scanned is scanned"
        await made.channel.stop()
    one.server.channel = one.channel


async def test_what_the_fault_plan_says_is_said(one: Rig, sdk: AliPay) -> None:
    for code, expected in (
        ("20000", ("20000", "isp.unknow-error")),
        ("SYSTEM_ERROR", ("40004", "ACQ.SYSTEM_ERROR")),
        ("isv.app-call-limited", ("40002", "isv.app-call-limited")),
    ):
        wrong(one.house, f"refuse op=query code={code} count=1")
        said = await call(sdk.api_alipay_trade_query, out_trade_no="x")
        assert (said["code"], said["sub_code"]) == expected
    assert (await admin(one.house, "/admin/rotate/alipay", "POST", {}))[1] == {"serial": ""}


async def test_messages_may_have_an_address_of_their_own(tmp_path: Any, one: Rig) -> None:
    gateway = {"app_gateway": one.server.url}
    async with rig("alipay_qr", tmp_path, options=gateway, parts_paid_by="alipay", accounts=ACCOUNTS) as made:
        assert (
            await made.channel.transfer("TRANSFER1", "runner", {"alipay_user_id": "2088000000000002"}, Fen(100))
        ).standing == "done"
        await until(lambda: one.server.heard, "the message about the transfer")
        assert forms(one)[0]["msg_method"] == "alipay.fund.trans.order.changed"


async def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(BadOption, match="split_permille"):
        House(Plan(channels=("alipay",), options={"alipay": {"nonsense": "1"}}))


async def test_json_is_written_as_alipay_does() -> None:
    body = said({"qr_code": "https://a/b"}).body
    assert b"https:\\/\\/a\\/b" in body
    assert json.loads(body)["qr_code"] == "https://a/b"
