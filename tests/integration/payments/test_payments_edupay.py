"""校园轻松付 against a real HTTP server: a debit that was not heard of is unknown, and never a no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web

from payments.channels.edupay import EduPayChannel, EduPayConfig
from payments.channels.signing_keys import BadSetting
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    Declined,
    MoneyAnswer,
    NoBill,
    NotIssued,
    OrderToCreate,
    PaidNotice,
    QueryAnswer,
    Receiver,
    Succeeded,
    Unknown,
)
from tests import wechat_counter as wx

ATTEMPT = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"
DEBITS = "/v3/eduschoolpay/transactions"
PATH = f"{DEBITS}/out-trade-no/{ATTEMPT}"
RUNNER = Receiver(party="runner", account_ref="runner:r", amount_fen=Fen(600))


@pytest.fixture
async def counter() -> AsyncIterator[wx.Counter]:
    async with wx.open_counter() as opened:
        yield opened


def config_for(url: str, **changes: Any) -> EduPayConfig:
    config = EduPayConfig(
        merchant=wx.config_for(url, code="edupay", name_zh="校园轻松付", name_en="Campus EasyPay"),
        school_id="18260256813396",
        scene_type="CANTEEN",
        device_ip="192.0.2.7",
    )
    return msgspec.structs.replace(config, **changes)


@asynccontextmanager
async def channel_to(url: str) -> AsyncIterator[EduPayChannel]:
    channel = EduPayChannel(config_for(url))
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


def order(**changes: Any) -> OrderToCreate:
    given = OrderToCreate(
        attempt_id=ATTEMPT,
        amount_fen=Fen(1000),
        description="代取快递",
        order_ref="ord_1",
        payer_ref="acc_1",
        expires_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        payer={"contract_id": "2045011120563805041758214605"},
    )
    return msgspec.structs.replace(given, **changes)


async def test_a_debit_takes_the_money_at_once(counter: wx.Counter) -> None:
    counter.says("POST", DEBITS, wx.trade(ATTEMPT))
    async with channel_to(counter.url) as channel:
        shape = channel.shape
        assert shape.is_direct_debit and not shape.can_close and shape.needs == ("contract_id",)
        assert shape.is_demo, "no provider's own gateway, no real money"
        assert shape.name_zh == "校园轻松付" and shape.expiry_margin_s == 300.0
        assert await channel.debit(order()) == Succeeded(Fen(1000), f"42{ATTEMPT}")
        assert await channel.create_credential(order()) == NotIssued("direct_debit_only")
        assert await channel.work() == 0
    (asked,) = counter.asked
    start = asked.json["scene_info"].pop("start_time")
    assert start.endswith("+08:00") and abs((datetime.fromisoformat(start) - datetime.now(UTC)).total_seconds()) < 60
    assert asked.json == {
        "appid": wx.APPID,
        "description": "代取快递",
        "out_trade_no": ATTEMPT,
        "notify_url": "http://127.0.0.1:8888/payments/callbacks/wechat",
        "contract_id": "2045011120563805041758214605",
        "user_id": "acc_1",
        "amount": {"total": 1000, "currency": "CNY"},
        "scene_info": {"school_id": "18260256813396", "scene_type": "CANTEEN"},
        "device_info": {"device_ip": "192.0.2.7"},
        "settle_info": {"profit_sharing": True},
        "payment_mode": "SYNC",
    }


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (200, wx.trade(ATTEMPT, "ACCEPT"), Unknown("accept")),
        (200, wx.trade(ATTEMPT, "NOTPAY"), Unknown("notpay")),
        (200, wx.trade(ATTEMPT, "PAY_FAIL"), Declined("debit_failed")),
        (200, wx.trade("another"), Unknown("not_ours")),
        (200, wx.trade(ATTEMPT, amount={"total": 1000, "currency": "USD"}), Unknown("bad_answer")),
        (200, {"trade_state": "SUCCESS"}, Unknown("bad_answer")),
        (202, {"code": "USER_PAYING"}, Unknown("user_paying")),
        (403, {"code": "NOT_ENOUGH"}, Declined("not_enough")),
        (404, {"code": "CONTRACT_NOT_EXIST"}, Declined("contract_not_exist")),
        (403, {"code": "RULE_LIMIT"}, Declined("rule_limit", may_switch=False)),
        (400, {"code": "PARAM_ERROR"}, Declined("param_error", may_switch=False)),
        (401, {"code": "SIGN_ERROR"}, Declined("sign_error")),
        (403, {"code": "OUT_TRADE_NO_USED"}, Unknown("out_trade_no_used")),
        (400, {"code": "ORDERPAID"}, Unknown("orderpaid")),
        (429, {"code": "FREQUENCY_LIMITED"}, Unknown("frequency_limited")),
        (500, {"code": "SYSTEM_ERROR"}, Unknown("system_error")),
    ],
)
async def test_only_a_clear_no_is_a_no(counter: wx.Counter, status: int, words: Any, expected: object) -> None:
    counter.says("POST", DEBITS, words, status)
    async with channel_to(counter.url) as channel:
        assert await channel.debit(order()) == expected


async def test_silence_is_unknown_unless_nothing_was_sent(counter: wx.Counter) -> None:
    def breaks(asked: wx.Asked) -> web.StreamResponse:
        raise asyncio.CancelledError

    counter.says("POST", DEBITS, wx.trade(ATTEMPT))
    async with channel_to(counter.url) as channel:
        assert await channel.debit(order(payer={})) == Declined("contract_missing")
        counter.tamper = True
        assert await channel.debit(order()) == Unknown("bad_signature")
        counter.tamper = False
        counter.says("POST", DEBITS, script=lambda _: web.Response(status=404, text="<html>"))
        assert await channel.debit(order()) == Unknown("http_404")
        counter.says("POST", DEBITS, script=breaks)
        asked = len(counter.asked)
        assert await channel.debit(order()) == Unknown("reset")
        assert len(counter.asked) == asked + 1, "a debit is not sent twice"
    async with channel_to("http://127.0.0.1:9") as channel:
        assert await channel.debit(order()) == Declined("unreachable")


async def test_how_a_debit_stands(counter: wx.Counter) -> None:
    paid = QueryAnswer(standing="paid", amount_fen=Fen(1000), transaction_id=f"42{ATTEMPT}")
    async with channel_to(counter.url) as channel:
        for state, expected in (
            ("SUCCESS", paid),
            ("ACCEPT", QueryAnswer(standing="no_answer")),
            ("PAY_FAIL", QueryAnswer(standing="closed")),
        ):
            counter.says("GET", PATH, wx.trade(ATTEMPT, state))
            assert await channel.query(ATTEMPT) == expected
        counter.says("GET", PATH, {"code": "ORDER_NOT_EXIST"}, 404)
        assert await channel.query(ATTEMPT) == QueryAnswer(standing="absent")
        assert await channel.close(ATTEMPT) == "no_answer"


async def test_its_money_moves_as_wechat_pays_does(counter: wx.Counter) -> None:
    counter.says("GET", PATH, wx.trade(ATTEMPT))
    counter.says("POST", "/v3/refund/domestic/refunds", {"status": "SUCCESS"})
    counter.says("POST", "/v3/profitsharing/orders/unfreeze", {"state": "FINISHED"})
    counter.says("GET", "/v3/fund-app/mch-transfer/transfer-bills/out-bill-no/T1", {"state": "SUCCESS"})
    counter.says("GET", "/v3/bill/tradebill", {"code": "NO_STATEMENT_EXIST"}, 400)
    async with channel_to(counter.url) as channel:
        done = MoneyAnswer(standing="done")
        assert await channel.refund(ATTEMPT, "R1", Fen(1)) == done
        assert await channel.give_back(ATTEMPT, "R2", Fen(1)) == done
        assert (await channel.split(ATTEMPT, "S1", [RUNNER])).receivers[0].standing == "paid"
        assert await channel.take_back(ATTEMPT, "B1", "S1", RUNNER) == done
        assert await channel.transfer("T1", "r", {"openid": "o"}, Fen(1)) == done
        assert await channel.bill(date(2026, 3, 1)) == NoBill(reason="no_statement_exist", is_final=True)


async def test_it_is_told_of_a_payment_as_wechat_pay_tells(counter: wx.Counter) -> None:
    async with channel_to(counter.url) as channel:
        headers, body = counter.callback("TRANSACTION.SUCCESS", "transaction", wx.trade(ATTEMPT))
        assert isinstance(channel.read_callback(headers, body), PaidNotice)
        assert channel.read_callback({}, body) == BadNotice("not_signed")
        assert channel.reply(is_accepted=True).status == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"school_id": ""}, "school_id"), ({"scene_type": "食堂"}, "scene_type"), ({"device_ip": "here"}, "device_ip")],
)
def test_what_is_missing_is_named(changes: dict[str, str], field: str) -> None:
    with pytest.raises(BadSetting) as refused:
        config_for("http://127.0.0.1:8901", **changes)
    assert refused.value.field == field
