"""The WeChat Pay channel against a real HTTP server that checks every signature with code of its own."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from payments.channels.exchange import Exchange
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    Declined,
    Issued,
    MoneyNotice,
    NotIssued,
    OrderToCreate,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
    Refused,
)
from tests import wechat_counter as wx

ATTEMPT = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"
ORDERS = "/v3/pay/transactions"


@pytest.fixture
async def counter() -> AsyncIterator[wx.Counter]:
    async with wx.open_counter() as opened:
        yield opened


def order(**changes: Any) -> OrderToCreate:
    return msgspec.structs.replace(
        OrderToCreate(
            attempt_id=ATTEMPT,
            amount_fen=Fen(1000),
            description="代取快递 ¥10 & 更多\n\x00",
            order_ref="ord_1",
            payer_ref="acc_1",
            expires_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            payer={"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "client_ip": "192.0.2.7"},
        ),
        **changes,
    )


# -- credentials ------------------------------------------------------------------------------------------------------


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


def wx_nowhere(counter: wx.Counter) -> wx.Counter:
    nowhere = wx.Counter()
    nowhere.url = "http://127.0.0.1:9"
    return nowhere


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


# -- asking and closing -----------------------------------------------------------------------------------------------


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


# -- being called -----------------------------------------------------------------------------------------------------


async def test_a_payment_is_told(counter: wx.Counter) -> None:
    async with wx.channel_to(counter) as channel:
        headers, body = counter.callback("TRANSACTION.SUCCESS", "transaction", wx.trade(ATTEMPT))
        notice = channel.read_callback(headers, body)
        assert isinstance(notice, PaidNotice)
        assert (notice.attempt_id, notice.amount_fen, notice.transaction_id) == (ATTEMPT, 1000, f"42{ATTEMPT}")
        assert notice == channel.read_callback(headers, body), "sent again it is the same notice"
        assert channel.reply(is_accepted=True).status == 200
        assert channel.reply(is_accepted=False).status == 500


@pytest.mark.parametrize(
    ("event", "kind", "words", "number"),
    [
        ("REFUND.SUCCESS", "refund", {"mchid": wx.MCHID, "out_trade_no": ATTEMPT, "out_refund_no": "R1"}, "R1"),
        ("TRANSACTION.SUCCESS", "profitsharing", {"mchid": wx.MCHID, "out_order_no": "S1"}, "S1"),
        ("TRANSACTION.SUCCESS", "profitsharing", {"mchid": wx.MCHID, "out_order_no": "S1F"}, "S1"),
        ("TRANSACTION.SUCCESS", "profitsharing", {"sp_mchid": wx.MCHID, "out_return_no": "B1"}, "B1"),
        ("MCHTRANSFER.BILL.FINISHED", "mch_payment", {"mch_id": wx.MCHID, "out_bill_no": "T1"}, "T1"),
    ],
)  # fmt: skip
async def test_money_is_told_as_a_reason_to_ask(
    counter: wx.Counter, event: str, kind: str, words: Any, number: str
) -> None:
    async with wx.channel_to(counter) as channel:
        notice = channel.read_callback(*counter.callback(event, kind, words))
    assert isinstance(notice, MoneyNotice) and notice.number == number


async def test_what_changes_nothing_is_accepted_and_what_is_wrong_is_not(counter: wx.Counter) -> None:
    async with wx.channel_to(counter) as channel:
        other = channel.read_callback(*counter.callback("PAYSCORE.USER_OPEN_SERVICE", "payscore", {"mchid": wx.MCHID}))
        assert isinstance(other, OtherNotice) and other.what == "PAYSCORE.USER_OPEN_SERVICE"
        unpaid = wx.trade(ATTEMPT, "PAYERROR")
        assert isinstance(
            channel.read_callback(*counter.callback("TRANSACTION.FAIL", "transaction", unpaid)), OtherNotice
        )

        def why(event: str, words: Any) -> str:
            notice = channel.read_callback(*counter.callback(event, "x", words))
            assert isinstance(notice, BadNotice)
            return notice.reason

        assert why("TRANSACTION.SUCCESS", wx.trade(ATTEMPT, mchid="1900000001")) == "not_ours"
        assert why("TRANSACTION.SUCCESS", wx.trade(ATTEMPT, amount={"total": 1000, "currency": "USD"})) == "not_ours"
        assert why("REFUND.SUCCESS", {"mchid": "1900000001", "out_refund_no": "R1"}) == "not_ours"
        assert why("TRANSACTION.SUCCESS", wx.trade(ATTEMPT, total=0)).startswith("not_understood")
        assert why("TRANSACTION.SUCCESS", {"trade_state": "SUCCESS"}).startswith("not_understood")

        headers, body = counter.callback("TRANSACTION.SUCCESS", "transaction", wx.trade(ATTEMPT))
        assert channel.read_callback(headers, body + b" ") == BadNotice("bad_signature")
        probe = headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]}
        assert channel.read_callback(probe, body) == BadNotice("probe")
        body = b'{"id":1}'
        assert isinstance(channel.read_callback(counter.headers(body), body), BadNotice)
        envelope = json.loads(counter.callback("TRANSACTION.SUCCESS", "transaction", wx.trade(ATTEMPT))[1])
        envelope["resource"]["associated_data"] = "changed"
        body = json.dumps(envelope).encode()
        notice = channel.read_callback(counter.headers(body), body)
        assert isinstance(notice, BadNotice) and notice.reason.startswith("cannot_be_opened")


# -- the provider's keys ----------------------------------------------------------------------------------------------


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():
            await asyncio.sleep(0.005)


async def test_certificates_are_fetched_and_rotated(counter: wx.Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    first = wx.certificate_of(wx.PLATFORM_KEY, 0xA1)
    second = wx.certificate_of(wx.NEXT_PLATFORM_KEY, 0xA2)
    counter.serial, counter.certificates = "A1", [("A1", wx.certificate_pem(first))]
    counter.says("POST", f"{ORDERS}/jsapi", {"prepay_id": "wx1"})
    async with wx.channel_to(counter, public_key_id="", public_key="") as channel:
        await until(lambda: bool(channel.api.keys.platform.certificates))
        assert isinstance(await channel.create_credential(order()), Issued)
        assert await channel.work() == 0, "they are fresh"

        counter.key, counter.serial = wx.NEXT_PLATFORM_KEY, "A2"
        counter.certificates.append(("A2", wx.certificate_pem(second)))
        callback = counter.callback("TRANSACTION.SUCCESS", "transaction", wx.trade(ATTEMPT))
        assert channel.read_callback(*callback) == BadNotice("unknown_key")
        assert await channel.work() == 0, "not twice a minute"
        monkeypatch.setattr("payments.channels.wechat_api.CERTIFICATES_AT_LEAST_S", 0.0)
        assert await channel.work() == 1
        # The provider sends it again after some seconds.
        assert isinstance(channel.read_callback(*callback), PaidNotice)
        assert isinstance(await channel.create_credential(order()), Issued)


async def test_an_answer_by_a_new_certificate_is_proved_within_the_call(counter: wx.Counter) -> None:
    counter.serial = "A1"
    counter.says("POST", f"{ORDERS}/jsapi", {"prepay_id": "wx1"})
    # Public-key mode, and yet it answers by certificate: both are in use while a merchant moves from one to the other.
    async with wx.channel_to(counter) as channel:
        assert await channel.create_credential(order()) == NotIssued("unknown_key", is_alarm=True)
    counter.certificates = [("A1", wx.certificate_pem(wx.certificate_of(wx.PLATFORM_KEY, 0xA1)))]
    async with wx.channel_to(counter) as channel:
        assert isinstance(await channel.create_credential(order()), Issued)


async def test_a_list_of_certificates_that_does_not_prove_itself_is_not_believed(counter: wx.Counter) -> None:
    counter.serial, counter.certificates = (
        "A1",
        [("A1", wx.certificate_pem(wx.certificate_of(wx.NEXT_PLATFORM_KEY, 0xA1)))],
    )
    async with wx.channel_to(counter, public_key_id="", public_key="") as channel:
        await until(lambda: len(counter.asked) == 1)
        await until(lambda: not channel.api._fetching.locked())
        assert channel.api.keys.platform.certificates == ()
        assert not await channel.api.fetch_certificates()
    counter.certificates = [("A1", "no certificate")]
    async with wx.channel_to(counter, public_key_id="", public_key="") as channel:
        await until(lambda: len(counter.asked) == 2)
        await until(lambda: not channel.api._fetching.locked())
        assert channel.api.keys.platform.certificates == ()
    async with wx.channel_to(wx_nowhere(counter), public_key_id="", public_key="") as channel:
        assert not await channel.api.fetch_certificates()
