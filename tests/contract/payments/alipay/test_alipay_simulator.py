"""Alipay's own ways in the simulator: an SDK that knows nothing of us, codes that are no trade, the ladder."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import ClientSession
from alipay import AliPay
from alipay.exceptions import AliPayException, AliPayValidationError

from payments.channels.china import beijing_text
from payments.money import Fen
from payments.outcomes import PaidNotice, Refused
from payments.simulator.alipay import LADDER_S
from payments.simulator.alipay_words import said
from payments.simulator.house import House, Plan
from payments.simulator.protocol import BadOption
from tests.simulator_alipay import call, sdk_of
from tests.simulator_channels import ACCOUNTS, Rig, rig
from tests.simulator_house import admin, running, until, wrong

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRADE = {"out_trade_no": "x", "total_amount": "1.00", "subject": "奶茶"}


def forms(one: Rig) -> list[dict[str, str]]:
    """What the merchant's server was told."""
    return [dict(parse_qsl(body.decode())) for _, body in one.server.heard]


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
