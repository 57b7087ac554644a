"""Alipay's frozen money: frozen is held, unfrozen is given back, and a settlement takes its sum once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from payments.channels import alipay_signing as signing
from payments.channels.alipay import AlipayChannel
from payments.channels.alipay_config import AlipayConfig
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    Issued,
    MoneyAnswer,
    MoneyNotice,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
    Receiver,
)
from tests.payments_keys import private_pem, public_pem, rsa_key
from tests.payments_providers import Alipay, denied, order, served

NO = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"
SELLER = "2088123412341234"
DETAIL = "alipay.fund.auth.operation.detail.query"
UNFREEZE = "alipay.fund.auth.order.unfreeze"
CANCEL = "alipay.fund.auth.operation.cancel"
QUERY, PAY, SETTLE = "alipay.trade.query", "alipay.trade.pay", "alipay.trade.order.settle"
RUNNER = Receiver(party="runner", account_ref="run_1", amount_fen=Fen(500))
PLATFORM = Receiver(party="platform", account_ref="platform", amount_fen=Fen(200))


@pytest.fixture
async def alipay() -> AsyncIterator[Alipay]:
    provider = Alipay()
    async with served(provider.handle) as provider.base_url:
        yield provider


@pytest.fixture
async def channel(alipay: Alipay) -> AsyncIterator[AlipayChannel]:
    config = AlipayConfig(
        environment="simulator",
        product="freeze",
        app_id="2021000000000001",
        seller_id=SELLER,
        app_private_key=private_pem("merchant"),
        alipay_public_key=public_pem("alipay"),
        notify_url="http://127.0.0.1/callbacks/alipay",
        algorithm="RSA2",
        base_url=alipay.base_url,
        parts_paid_by="alipay",
    )
    channel = AlipayChannel(config)
    yield channel
    await channel.stop()


def frozen(status: str = "SUCCESS", **more: str) -> dict[str, str]:
    return {"out_order_no": NO, "status": status, "auth_no": "A1", "amount": "12.05", "payer_user_id": "2088", **more}


async def test_a_freeze_is_signed_here(channel: AlipayChannel) -> None:
    answer = await channel.create_credential(order(life_s=130))
    assert isinstance(answer, Issued)
    params = dict(parse_qsl(answer.credential["order"]))
    assert signing.why_request_not_proved(params, rsa_key("merchant").public_key()) is None
    assert params["method"] == "alipay.fund.auth.order.app.freeze"
    assert '"amount":"12.05"' in params["biz_content"] and '"timeout_express":"2m"' in params["biz_content"]
    shape = channel.shape
    assert (shape.creates_locally, shape.confirms_by_query, shape.expiry_margin_s) == (True, True, 1020.0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (frozen(), QueryAnswer(standing="paid", amount_fen=Fen(1205), transaction_id="A1")),
        (frozen(auth_no=""), QueryAnswer(standing="no_answer")),
        (frozen("INIT"), QueryAnswer(standing="unpaid")),
        (frozen("CLOSED"), QueryAnswer(standing="closed")),
        (frozen("NEW"), QueryAnswer(standing="no_answer")),
        (frozen(out_order_no="another"), QueryAnswer(standing="no_answer")),
        (denied("AUTH_ORDER_NOT_EXIST"), QueryAnswer(standing="absent")),
        (denied("SYSTEM_ERROR"), QueryAnswer(standing="no_answer")),
    ],
)
async def test_standings(alipay: Alipay, channel: AlipayChannel, answer: Any, expected: QueryAnswer) -> None:
    alipay.answers[DETAIL] = answer
    assert await channel.query(NO) == expected


async def test_closing(alipay: Alipay, channel: AlipayChannel) -> None:
    alipay.answers[CANCEL] = [{"action": "close"}, denied("AUTH_ORDER_NOT_EXIST"), 500]
    assert [await channel.close(NO) for _ in range(3)] == ["asked", "asked", "no_answer"]


@pytest.mark.parametrize(
    ("told", "asked", "expected"),
    [
        ({"status": "SUCCESS", "out_request_no": "U1"}, {}, MoneyAnswer(standing="done")),
        (denied("SYSTEM_ERROR"), {}, MoneyAnswer(standing="no_answer", reason="SYSTEM_ERROR")),
        ({"status": "INIT"}, frozen("INIT"), MoneyAnswer(standing="pending", reason="unfreeze_processing")),
        ({"status": "INIT"}, frozen("CLOSED"), MoneyAnswer(standing="failed", reason="unfreeze_closed")),
        (denied("REQUEST_AMOUNT_EXCEED"), denied("AUTH_OPERATION_NOT_EXIST"),
         MoneyAnswer(standing="failed", reason="REQUEST_AMOUNT_EXCEED")),
        (denied("REPEATED"), frozen(amount="3.00"), MoneyAnswer(standing="done")),
        (denied("REPEATED"), frozen(amount="2.00"), MoneyAnswer(standing="failed", reason="other_amount")),
        (denied("REPEATED"), 500, MoneyAnswer(standing="no_answer", reason="http_500")),
    ],
)  # fmt: skip
async def test_unfreezing(alipay: Alipay, channel: AlipayChannel, told: Any, asked: Any, expected: MoneyAnswer) -> None:
    alipay.answers.update({DETAIL: [frozen(), asked], UNFREEZE: told})
    assert await channel.give_back(NO, "U1", Fen(300)) == expected
    (sent,) = alipay.of(UNFREEZE)
    assert (sent["auth_no"], sent["out_request_no"], sent["amount"]) == ("A1", "U1", "3.00")


async def test_nothing_frozen_nothing_moves(alipay: Alipay, channel: AlipayChannel) -> None:
    alipay.answers.update({DETAIL: denied("AUTH_ORDER_NOT_EXIST"), QUERY: denied("ACQ.TRADE_NOT_EXIST")})
    assert (await channel.give_back(NO, "U1", Fen(1))).standing == "no_answer"
    assert (await channel.split(NO, "S1", [RUNNER])).reason == "freeze_not_found"
    alipay.answers[QUERY] = {"out_trade_no": f"{NO}P", "trade_status": "TRADE_CLOSED"}
    assert (await channel.split(NO, "S1", [RUNNER])).reason == "capture_closed"


def captured() -> dict[str, str]:
    return {"out_trade_no": f"{NO}P", "trade_no": "T1", "trade_status": "TRADE_SUCCESS", "total_amount": "7.00"}


async def test_a_settlement_takes_its_sum_once(alipay: Alipay, channel: AlipayChannel) -> None:
    alipay.answers.update({DETAIL: frozen(), QUERY: [denied("ACQ.TRADE_NOT_EXIST"), captured()], SETTLE: {}})
    alipay.answers[PAY] = {"out_trade_no": f"{NO}P", "trade_no": "T1"}
    for number in ("S1", "S2"):
        answer = await channel.split(NO, number, [RUNNER, PLATFORM])
        assert [each.standing for each in answer.receivers] == ["paid", "paid"]
    (paid,) = alipay.of(PAY)
    assert (paid["total_amount"], paid["auth_no"], paid["auth_confirm_mode"]) == ("7.00", "A1", "NOT_COMPLETE")
    assert "notify_url" not in paid["_"]
    alipay.answers["alipay.trade.refund"] = {"out_trade_no": f"{NO}P", "fund_change": "Y"}
    assert await channel.refund(NO, "R1", Fen(100)) == MoneyAnswer(standing="done")


async def test_a_capture_without_an_answer_is_asked_again(alipay: Alipay, channel: AlipayChannel) -> None:
    alipay.answers.update({DETAIL: frozen(payer_user_id=""), QUERY: denied("ACQ.TRADE_NOT_EXIST"), PAY: 500})
    answer = await channel.split(NO, "S1", [RUNNER])
    assert (answer.receivers, answer.reason) == ((), "http_500")


async def test_messages(channel: AlipayChannel) -> None:
    def told(**changes: str) -> bytes:
        params = {
            "notify_id": "N1", "notify_type": "fund_auth_freeze", "app_id": "2021000000000001", "status": "SUCCESS",
            "out_order_no": NO, "out_request_no": NO, "auth_no": "A1", "amount": "12.05", "payee_user_id": SELLER,
            **changes,
        }  # fmt: skip
        return urlencode(signing.signed_notice(params, rsa_key("alipay"))).encode()

    paid = PaidNotice(notice_id="N1", attempt_id=NO, amount_fen=Fen(1205), transaction_id="A1")
    assert channel.read_callback({}, told()) == paid
    unfrozen = told(notify_type="fund_auth_unfreeze", out_request_no="U1")
    assert channel.read_callback({}, unfrozen) == MoneyNotice(notice_id="N1", number="U1")
    assert channel.read_callback({}, told(status="INIT")) == OtherNotice(notice_id="N1", what="fund_auth_freeze")
    for wrong in (told(payee_user_id="2088"), told(amount=""), told(auth_no="")):
        assert isinstance(channel.read_callback({}, wrong), BadNotice)
