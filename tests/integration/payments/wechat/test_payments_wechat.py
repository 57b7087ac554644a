"""The WeChat Pay channel against a real HTTP server: what it issues, and how an order stands and is closed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from payments.channels.exchange import Exchange
from payments.money import Fen
from payments.outcomes import Declined, Issued, NotIssued, QueryAnswer, Refused
from tests import wechat_counter as wx
from tests.payments_wechat import ATTEMPT, ORDERS, order, wx_nowhere


def is_signed_by_merchant(lines: list[str], signature: str) -> bool:
    message = "".join(f"{line}\n" for line in lines).encode()
    wx.MERCHANT_KEY.public_key().verify(base64.b64decode(signature), message, padding.PKCS1v15(), SHA256())
    return True


async def test_a_jsapi_order_is_frozen_for_splitting_and_can_be_invoked(counter: wx.Counter) -> None:
    counter.says("POST", f"{ORDERS}/jsapi", {"prepay_id": "wx2610"})
    seen: list[Exchange] = []
    async with wx.channel_to(counter, observe=seen.append) as channel:
        assert channel.shape.needs == ("openid",) and channel.shape.can_split and channel.shape.has_bills
        issued = await channel.create_credential(order())
    assert isinstance(issued, Issued)
    (asked,) = counter.asked
    assert asked.json == {
        "mchid": wx.MCHID,
        "appid": wx.APPID,
        "description": "代取快递 ¥10 & 更多",
        "out_trade_no": ATTEMPT,
        "time_expire": "2026-01-02T11:04:05+08:00",
        "notify_url": "http://127.0.0.1:8888/payments/callbacks/wechat",
        "amount": {"total": 1000, "currency": "CNY"},
        "settle_info": {"profit_sharing": True},
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    }
    assert asked.headers["Wechatpay-Serial"] == wx.PUBLIC_KEY_ID
    assert issued.credential["kind"] == "wechat_jsapi"
    invoke = issued.credential["invoke"]
    assert invoke["package"] == "prepay_id=wx2610" and invoke["signType"] == "RSA"
    lines = [invoke["appId"], invoke["timeStamp"], invoke["nonceStr"], invoke["package"]]
    assert is_signed_by_merchant(lines, invoke["paySign"])
    assert [(each.operation, each.subject, each.status, each.request_id) for each in seen] == [
        ("create", ATTEMPT, 200, "08E1")
    ]


async def test_the_other_kinds_of_credentials(counter: wx.Counter) -> None:
    counter.says("POST", f"{ORDERS}/native", {"code_url": "weixin://wxpay/bizpayurl?pr=1"})
    async with wx.channel_to(counter, trade_type="native") as channel:
        assert channel.shape.needs == ()
        issued = await channel.create_credential(order(payer={}))
        assert issued == Issued({"kind": "wechat_native", "code_url": "weixin://wxpay/bizpayurl?pr=1"})

    counter.says("POST", f"{ORDERS}/h5", {"h5_url": "https://wx.tenpay.com/x"})
    async with wx.channel_to(counter, trade_type="h5", h5_app_name="跑腿", limit_fen=Fen(100_000)) as channel:
        assert (channel.shape.needs, channel.shape.expiry_max_s) == (("client_ip",), 300.0)
        assert channel.shape.limit_fen == 100_000
        issued = await channel.create_credential(order())
    assert issued == Issued({"kind": "wechat_h5", "h5_url": "https://wx.tenpay.com/x"})
    assert counter.asked[-1].json["scene_info"] == {
        "payer_client_ip": "192.0.2.7",
        "h5_info": {"type": "Wap", "app_name": "跑腿"},
    }

    counter.says("POST", f"{ORDERS}/app", {"prepay_id": "wx2611"})
    async with wx.channel_to(counter, trade_type="app") as channel:
        issued = await channel.create_credential(order())
    assert isinstance(issued, Issued)
    invoke = issued.credential["invoke"]
    assert (invoke["partnerid"], invoke["package"]) == (wx.MCHID, "Sign=WXPay")
    lines = [invoke["appid"], invoke["timestamp"], invoke["noncestr"], invoke["prepayid"]]
    assert is_signed_by_merchant(lines, invoke["sign"])


async def test_a_service_provider_names_its_sub_merchant(counter: wx.Counter) -> None:
    partner = "/v3/pay/partner/transactions"
    counter.says("POST", f"{partner}/jsapi", {"prepay_id": "wx1"})
    counter.says("GET", f"{partner}/out-trade-no/{ATTEMPT}", wx.trade(ATTEMPT, mchid="", sp_mchid=wx.MCHID))
    counter.says("POST", f"{partner}/out-trade-no/{ATTEMPT}/close", None, 204)
    counter.says("POST", "/v3/refund/domestic/refunds", {"status": "SUCCESS"})
    async with wx.channel_to(counter, sub_mchid="1900000999", sub_appid="wx8888888888888888") as channel:
        assert isinstance(await channel.create_credential(order()), Issued)
        assert (await channel.query(ATTEMPT)).standing == "paid"
        assert await channel.close(ATTEMPT) == "asked"
        await channel.refund(ATTEMPT, "R1", Fen(1))
    created, asked, closed, refunded = counter.asked
    assert created.json["sp_appid"] == wx.APPID and created.json["sub_appid"] == "wx8888888888888888"
    assert created.json["payer"] == {"sp_openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"} and "appid" not in created.json
    assert asked.query == closed.json == {"sp_mchid": wx.MCHID, "sub_mchid": "1900000999"}
    assert refunded.json["sub_mchid"] == "1900000999"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "RULE_LIMIT", Refused("rule_limit")),
        (400, "PARAM_ERROR", Refused("param_error")),
        (400, "INVALID_REQUEST", Refused("invalid_request")),
        (401, "SIGN_ERROR", NotIssued("sign_error", is_alarm=True)),
        (403, "NO_AUTH", NotIssued("no_auth", is_alarm=True)),
        (403, "OUT_TRADE_NO_USED", NotIssued("out_trade_no_used", is_alarm=True)),
        (429, "FREQUENCY_LIMITED", NotIssued("frequency_limited", is_alarm=True)),
        (429, "RATELIMIT_EXCEEDED", NotIssued("ratelimit_exceeded", is_alarm=True)),
        (500, "SYSTEM_ERROR", NotIssued("system_error")),
        (500, "BANK_ERROR", NotIssued("bank_error")),
        (403, "TRADE_ERROR", NotIssued("trade_error")),
    ],
)
async def test_the_table_of_errors(counter: wx.Counter, status: int, code: str, expected: object) -> None:
    counter.says("POST", f"{ORDERS}/jsapi", {"code": code, "message": "…"}, status)
    async with wx.channel_to(counter) as channel:
        assert await channel.create_credential(order()) == expected


async def test_errors_without_words_go_by_their_status(counter: wx.Counter) -> None:
    def nothing(status: int) -> Callable[[wx.Asked], web.StreamResponse]:
        return lambda _: web.Response(status=status, text="<html>")

    async with wx.channel_to(counter) as channel:
        for status, reason, is_alarm in (
            (401, "sign_error", True),
            (429, "frequency_limited", True),
            (502, "system_error", False),
            (302, "http_302", False),
        ):
            counter.says("POST", f"{ORDERS}/jsapi", script=nothing(status))
            assert await channel.create_credential(order()) == NotIssued(reason, is_alarm=is_alarm)


async def test_what_does_not_come_in_time_or_not_proved_is_not_issued(counter: wx.Counter) -> None:
    counter.says("POST", f"{ORDERS}/jsapi", {"prepay_id": "wx1"})
    async with wx.channel_to(counter) as channel:
        counter.tamper = True
        assert await channel.create_credential(order()) == NotIssued("bad_signature", is_alarm=True)
        counter.tamper, counter.unsigned = False, True
        assert await channel.create_credential(order()) == NotIssued("not_signed", is_alarm=True)
        counter.unsigned, counter.skew_s = False, -400.0
        assert await channel.create_credential(order()) == NotIssued("not_fresh", is_alarm=True)
        counter.skew_s = 0.0
        counter.says("POST", f"{ORDERS}/jsapi", {"code_url": "x"})
        assert await channel.create_credential(order()) == NotIssued("bad_answer", is_alarm=True)
        counter.says("POST", f"{ORDERS}/jsapi", [1])
        assert await channel.create_credential(order()) == NotIssued("bad_answer", is_alarm=True)
        assert await channel.create_credential(order(payer={})) == NotIssued("openid_missing")
        assert await channel.debit(order()) == Declined("not_a_direct_debit")
    async with wx.channel_to(wx_nowhere(counter)) as channel:
        assert await channel.create_credential(order()) == NotIssued("unreachable")


async def test_the_budget_is_for_the_credential(counter: wx.Counter) -> None:
    held = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        await held.wait()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", stall)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slow = wx.Counter()
    slow.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    began = asyncio.get_running_loop().time()
    async with wx.channel_to(slow) as channel:
        assert await channel.create_credential(order()) == NotIssued("timeout")
    assert 0.75 < asyncio.get_running_loop().time() - began < 4.0
    await runner.cleanup()


async def test_the_backup_domain_gets_the_same_order(counter: wx.Counter) -> None:
    counter.says("POST", f"{ORDERS}/jsapi", {"prepay_id": "wx1"})
    async with wx.channel_to(counter, base_url="http://127.0.0.1:9", backup_url=counter.url) as channel:
        assert isinstance(await channel.create_credential(order()), Issued)
    assert [each.json["out_trade_no"] for each in counter.asked] == [ATTEMPT]


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ("NOTPAY", "unpaid"),
        ("USERPAYING", "unpaid"),
        ("PAYERROR", "unpaid"),
        ("CLOSED", "closed"),
        ("REVOKED", "closed"),
        ("SOMETHING_NEW", "no_answer"),
    ],
)
async def test_how_an_order_stands(counter: wx.Counter, state: str, standing: str) -> None:
    counter.says("GET", f"{ORDERS}/out-trade-no/{ATTEMPT}", wx.trade(ATTEMPT, state))
    async with wx.channel_to(counter) as channel:
        assert await channel.query(ATTEMPT) == QueryAnswer(standing=standing)  # type: ignore[arg-type]
    assert counter.asked[0].query == {"mchid": wx.MCHID}


async def test_a_paid_order_stays_paid_when_it_was_refunded(counter: wx.Counter) -> None:
    async with wx.channel_to(counter) as channel:
        for state in ("SUCCESS", "REFUND"):
            counter.says("GET", f"{ORDERS}/out-trade-no/{ATTEMPT}", wx.trade(ATTEMPT, state))
            assert await channel.query(ATTEMPT) == QueryAnswer(
                standing="paid", amount_fen=Fen(1000), transaction_id=f"42{ATTEMPT}"
            )


@pytest.mark.parametrize(
    "words",
    [
        wx.trade("another"),
        wx.trade(ATTEMPT, mchid="1900000001"),
        wx.trade(ATTEMPT, transaction_id=""),
        wx.trade(ATTEMPT, total=0),
        {"out_trade_no": ATTEMPT},
    ],
)
async def test_an_answer_about_something_else_is_no_answer(counter: wx.Counter, words: Any) -> None:
    counter.says("GET", f"{ORDERS}/out-trade-no/{ATTEMPT}", words)
    async with wx.channel_to(counter) as channel:
        assert await channel.query(ATTEMPT) == QueryAnswer(standing="no_answer")


async def test_absent_is_said_and_silence_is_not(counter: wx.Counter) -> None:
    path = f"{ORDERS}/out-trade-no/{ATTEMPT}"
    async with wx.channel_to(counter) as channel:
        counter.says("GET", path, {"code": "ORDER_NOT_EXIST", "message": "订单不存在"}, 404)
        assert (await channel.query(ATTEMPT)).standing == "absent"
        counter.says("GET", path, script=lambda _: web.Response(status=404, text="not found"))
        assert (await channel.query(ATTEMPT)).standing == "no_answer"
        counter.says("GET", path, {"code": "SYSTEM_ERROR"}, 500)
        assert (await channel.query(ATTEMPT)).standing == "no_answer"
        counter.says("GET", path, wx.trade(ATTEMPT))
        counter.tamper = True
        assert (await channel.query(ATTEMPT)).standing == "no_answer"


async def test_a_close_is_only_a_request(counter: wx.Counter) -> None:
    path = f"{ORDERS}/out-trade-no/{ATTEMPT}/close"
    async with wx.channel_to(counter) as channel:
        counter.says("POST", path, None, 204)
        assert await channel.close(ATTEMPT) == "asked"
        assert counter.asked[-1].json == {"mchid": wx.MCHID}
        counter.says("POST", path, {"code": "ORDERPAID"}, 400)
        assert await channel.close(ATTEMPT) == "paid"
        counter.says("POST", path, {"code": "ORDER_CLOSED"}, 400)
        assert await channel.close(ATTEMPT) == "asked"
        counter.says("POST", path, {"code": "SYSTEM_ERROR"}, 500)
        assert await channel.close(ATTEMPT) == "no_answer"
        counter.says("POST", path, None, 204)
        counter.unsigned = True
        assert await channel.close(ATTEMPT) == "no_answer"
