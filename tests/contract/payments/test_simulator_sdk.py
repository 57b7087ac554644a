"""An SDK that knows nothing of us talks to the simulator: what it signs is accepted, and it accepts what is signed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from wechatpayv3 import WeChatPay, WeChatPayType

from payments.simulator.house import House, Plan
from payments.simulator.keys import make_pair
from payments.simulator.wechat_words import BEIJING
from tests.simulator_house import Merchant, merchant_server, running, state_with_keys, until


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    options = {"wechat": {"split_permille": "1000", "bills_at_once": "true", "service_provider": "true"}}
    async with running(Plan(state=state_with_keys(tmp_path), options=options, work_s=0.05)) as house:
        yield house


@pytest.fixture
async def merchant() -> AsyncIterator[Merchant]:
    async with merchant_server() as merchant:
        yield merchant


def sdk(house: House, merchant: Merchant, **other: Any) -> WeChatPay:
    """The SDK in public-key mode, on our loopback instead of the provider's domain."""
    given = house.settings()["wechat"]
    made = WeChatPay(
        wechatpay_type=WeChatPayType.NATIVE,
        mchid=given["mchid"],
        private_key=given["private_key"],
        cert_serial_no=given["serial_no"],
        appid=given["appid"],
        apiv3_key=given["api_v3_key"],
        notify_url=merchant.url,
        public_key=given["public_key"],
        public_key_id=given["public_key_id"],
        **other,
    )
    made._core._gate_way = house.base_url
    return made


async def call(do: Callable[..., tuple[int, Any]], *given: Any, **named: Any) -> tuple[int, dict[str, Any]]:
    """The SDK is synchronous, and the simulator runs in this loop."""
    status, text = await asyncio.to_thread(do, *given, **named)
    return status, json.loads(text) if text else {}


async def pay(house: House, pay_sdk: WeChatPay, number: str, fen: int = 1000, **more: Any) -> dict[str, Any]:
    """An order that is paid, as the SDK's query shows it."""
    status, made = await call(pay_sdk.pay, description="奶茶", out_trade_no=number, amount={"total": fen}, **more)
    assert status == 200, made
    order = house.books.orders_of_number("wechat", number)[0]
    assert made == {"code_url": f"weixin://wxpay/bizpayurl?pr={order.opened.token}"}
    assert house.desk.pay(order, "oPayer") == "paid"
    status, found = await call(pay_sdk.query, out_trade_no=number)
    assert (status, found["trade_state"], found["amount"]["total"]) == (200, "SUCCESS", fen)
    return found


async def test_an_order_is_made_paid_called_back_refunded_and_closed(house: House, merchant: Merchant) -> None:
    wechat = sdk(house, merchant)
    paid = await pay(house, wechat, "ORDER0001")
    await until(lambda: merchant.heard, "the callback")
    headers, body = merchant.heard[0]
    told = await asyncio.to_thread(wechat.callback, headers, body)
    assert told["event_type"] == "TRANSACTION.SUCCESS"
    assert told["resource"]["transaction_id"] == paid["transaction_id"]
    assert told["resource"]["amount"]["total"] == 1000
    status, refund = await call(
        wechat.refund,
        out_refund_no="REFUND01",
        amount={"refund": 400, "total": 1000, "currency": "CNY"},
        out_trade_no="ORDER0001",
    )
    assert (status, refund["status"]) == (200, "PROCESSING")
    await until(lambda: len(merchant.heard) == 2, "the refund's callback")
    headers, body = merchant.heard[1]
    told = await asyncio.to_thread(wechat.callback, headers, body)
    assert (told["event_type"], told["resource"]["refund_status"]) == ("REFUND.SUCCESS", "SUCCESS")
    status, refund = await call(wechat.query_refund, "REFUND01")
    assert (status, refund["status"], refund["amount"]["refund"]) == (200, "SUCCESS", 400)
    assert (await call(wechat.query, out_trade_no="ORDER0001"))[1]["trade_state"] == "REFUND"
    assert (await call(wechat.close, "ORDER0001"))[1]["code"] == "ORDERPAID"
    assert (await call(wechat.close, "ORDER0002"))[0] == 204


async def test_an_order_is_split_taken_back_and_unfrozen(house: House, merchant: Merchant) -> None:
    wechat = sdk(house, merchant)
    paid = await pay(house, wechat, "ORDER0003", settle_info={"profit_sharing": True})
    status, said = await call(
        wechat.profitsharing_add_receiver, "MERCHANT_ID", "1900000109", "SERVICE_PROVIDER", name="跑腿平台"
    )
    assert (status, said["account"]) == (200, "1900000109")
    receivers = [{"type": "MERCHANT_ID", "account": "1900000109", "amount": 250, "description": "平台"}]
    status, split = await call(
        wechat.profitsharing_order, paid["transaction_id"], "SPLIT001", receivers, unfreeze_unsplit=False
    )
    assert (status, split["state"]) == (200, "PROCESSING")
    await until(lambda: not house.books.unfinished(), "the split")
    status, split = await call(wechat.profitsharing_order_query, paid["transaction_id"], "SPLIT001")
    assert (split["state"], split["receivers"][0]["result"]) == ("FINISHED", "SUCCESS")
    assert (await call(wechat.profitsharing_amount_query, paid["transaction_id"]))[1]["unsplit_amount"] == 750
    status, back = await call(
        wechat.profitsharing_return, "RETURN01", "1900000109", 50, "退款", out_order_no="SPLIT001"
    )
    assert (status, back["result"]) == (200, "SUCCESS")
    assert (await call(wechat.profitsharing_return_query, "SPLIT001", "RETURN01"))[1]["amount"] == 50
    status, _ = await call(wechat.profitsharing_unfreeze, paid["transaction_id"], "UNFREEZE", "完结")
    assert status == 200
    await until(lambda: not house.books.unfinished(), "the unfreezing")
    line = house.books.orders_of_number("wechat", "ORDER0003")[0]
    assert (line.split_fen, line.taken_back_fen, line.unfrozen_fen, line.frozen_fen) == (250, 50, 800, 0)
    assert (await call(wechat.profitsharing_delete_receiver, "MERCHANT_ID", "1900000109"))[0] == 200


async def test_a_transfer_waits_for_its_receiver(house: House, merchant: Merchant) -> None:
    wechat = sdk(house, merchant)
    status, sent = await call(
        wechat.mch_transfer_bills, "TRANSFER1", "1005", "oRunner", 5000, "跑腿报酬", user_name="张三"
    )
    assert (status, sent["state"]) == (200, "WAIT_USER_CONFIRM")
    transfer = house.books.transfer_of_token(sent["package_info"])
    assert transfer is not None
    assert house.desk.agree(transfer)
    await until(lambda: merchant.heard, "the transfer's callback")
    headers, body = merchant.heard[0]
    told = await asyncio.to_thread(wechat.callback, headers, body)
    assert (told["event_type"], told["resource"]["state"]) == ("MCHTRANSFER.BILL.FINISHED", "SUCCESS")
    for found in (
        await call(wechat.mch_transfer_bills_query, out_bill_no="TRANSFER1"),
        await call(wechat.mch_transfer_bills_query, transfer_bill_no=sent["transfer_bill_no"]),
    ):
        assert (found[0], found[1]["state"]) == (200, "SUCCESS")
    await call(wechat.mch_transfer_bills, "TRANSFER2", "1005", "oRunner", 5000, "跑腿报酬")
    assert (await call(wechat.mch_transfer_bills_cancel, "TRANSFER2"))[1]["state"] == "CANCELLED"


async def test_the_days_bills_are_downloaded(house: House, merchant: Merchant) -> None:
    wechat = sdk(house, merchant)
    await pay(house, wechat, "ORDER0004")
    today = house.clock.now().astimezone(BEIJING).strftime("%Y-%m-%d")
    status, where = await call(wechat.trade_bill, today, tar_type="")
    assert (status, where["hash_type"]) == (200, "SHA1")
    status, file = await asyncio.to_thread(wechat.download_bill, where["download_url"])
    assert status == 200
    assert "`ORDER0004" in file.decode()


async def test_certificates_are_fetched_and_a_new_one_is_found(tmp_path: Path, merchant: Merchant) -> None:
    plan = Plan(state=state_with_keys(tmp_path), options={"wechat": {"sign_with": "certificate"}})
    # The SDK wants to know some certificate before it can be told where to fetch them: one of nobody's.
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "old.pem").write_text(make_pair("nobody").certificate_pem)
    async with running(plan) as house:
        given = house.settings()["wechat"]
        wechat = WeChatPay(
            wechatpay_type=WeChatPayType.NATIVE,
            mchid=given["mchid"],
            private_key=given["private_key"],
            cert_serial_no=given["serial_no"],
            appid=given["appid"],
            apiv3_key=given["api_v3_key"],
            notify_url=merchant.url,
            cert_dir=str(tmp_path / "certificates"),
        )
        wechat._core._gate_way = house.base_url
        for number in ("ORDER0005", "ORDER0006"):
            status, _ = await call(wechat.pay, description="奶茶", out_trade_no=number, amount={"total": 100})
            assert status == 200
            house.protocols["wechat"].rotate()
            house.desk.pay(house.books.orders_of_number("wechat", number)[0], "oPayer")
            await until(lambda: merchant.heard, "the callback")
            headers, body = merchant.heard.pop()
            told = await asyncio.to_thread(wechat.callback, headers, body)
            assert told["resource"]["out_trade_no"] == number


async def test_a_service_provider_takes_orders_for_its_merchant(house: House, merchant: Merchant) -> None:
    wechat = sdk(house, merchant, partner_mode=True)
    sub = house.settings()["wechat"]["sub_mchid"]
    status, _ = await call(
        wechat.pay, description="奶茶", out_trade_no="ORDER0007", amount={"total": 700}, sub_mchid=sub
    )
    assert status == 200
    house.desk.pay(house.books.orders_of_number("wechat", "ORDER0007")[0], "oPayer")
    status, found = await call(wechat.query, out_trade_no="ORDER0007", sub_mchid=sub)
    assert (found["trade_state"], found["sub_mchid"], found["payer"]) == ("SUCCESS", sub, {"sp_openid": "oPayer"})
    status, refund = await call(
        wechat.refund,
        "REFUND02",
        {"refund": 700, "total": 700, "currency": "CNY"},
        out_trade_no="ORDER0007",
        sub_mchid=sub,
    )
    assert (status, refund["amount"]["refund"]) == (200, 700)
    assert (await call(wechat.query_refund, "REFUND02", sub_mchid=sub))[0] == 200
    assert (await call(wechat.close, "ORDER0008", sub_mchid=sub))[0] == 204


async def test_a_wrong_key_is_refused_with_what_was_expected(house: House, merchant: Merchant) -> None:
    async with running(Plan(state=None)) as other:
        wechat = sdk(house, merchant)
        wechat._core._private_key = sdk(other, merchant)._core._private_key
        status, said = await call(wechat.query, out_trade_no="ORDER0001")
    assert (status, said["code"]) == (401, "SIGN_ERROR")
    assert said["detail"]["sign_information"]["url"].startswith("/v3/pay/transactions/out-trade-no/ORDER0001?")
