"""Alipay's channel: what it issues, how an order stands and is closed, money back, and what callbacks tell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from alipay import AliPay

from payments.channels import alipay_signing as signing
from payments.channels.alipay import AlipayChannel
from payments.channels.exchange import Exchange
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    Declined,
    Issued,
    MoneyAnswer,
    MoneyNotice,
    NotIssued,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
    Receiver,
    Refused,
)
from tests.payments_alipay import NO, QUERY, REFUND, config, paid
from tests.payments_keys import private_pem, public_pem, rsa_key
from tests.payments_providers import Alipay, Silent, denied, order


async def test_a_code_is_bounded_and_its_subject_is_taken(alipay: Alipay, channel: AlipayChannel) -> None:
    alipay.answers["alipay.trade.precreate"] = {"out_trade_no": NO, "qr_code": "https://qr.alipay.com/bax1"}
    wanted = order(life_s=130)
    assert await channel.create_credential(wanted) == Issued({"kind": "qr", "code_url": "https://qr.alipay.com/bax1"})
    (asked,) = alipay.of("alipay.trade.precreate")
    assert asked["total_amount"] == "12.05"
    assert asked["qr_code_timeout_express"] == "2m"
    assert asked["time_expire"] == (wanted.expires_at + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
    assert asked["subject"] == "奶茶 ¥12 two cups more"
    assert "extend_params" not in asked
    assert asked["_"]["notify_url"] == "http://127.0.0.1/callbacks/alipay"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (denied("ACQ.SYSTEM_ERROR"), NotIssued("ACQ.SYSTEM_ERROR")),
        (denied("isp.unknow-error", "20000"), NotIssued("isp.unknow-error")),
        (denied("ACQ.ACCESS_FORBIDDEN"), NotIssued("ACQ.ACCESS_FORBIDDEN")),
        (denied("isv.invalid-signature", "40002"), NotIssued("isv.invalid-signature", is_alarm=True)),
        (denied("isv.app-call-limited", "40005"), NotIssued("isv.app-call-limited", is_alarm=True)),
        (denied("ACQ.PAYMENT_REQUEST_HAS_RISK"), Refused("ACQ.PAYMENT_REQUEST_HAS_RISK")),
        (denied("isv.missing-param", "40001"), Refused("isv.missing-param")),
        (503, NotIssued("http_503")),
        (b"<html>", NotIssued("not_understood")),
        (b'{"alipay_trade_precreate_response":7,"sign":""}', NotIssued("not_understood")),
        (b'{"error_response":{"code":"40002","sub_code":"isv.invalid-app-id"}}',
         NotIssued("isv.invalid-app-id", is_alarm=True)),
        (b'{"alipay_trade_precreate_response":{"code":"10000","qr_code":"x"},"sign":"eA=="}', NotIssued("sign: wrong")),
        ({"out_trade_no": "another", "qr_code": "x"}, NotIssued("10000")),
    ],
)  # fmt: skip
async def test_no_code(alipay: Alipay, channel: AlipayChannel, answer: Any, expected: Any) -> None:
    alipay.answers["alipay.trade.precreate"] = answer
    assert await channel.create_credential(order()) == expected


async def test_a_slow_gateway_gives_no_code_within_the_budget(alipay: Alipay) -> None:
    alipay.answers["alipay.trade.precreate"] = Silent
    seen: list[Exchange] = []
    channel = AlipayChannel(config(alipay.base_url), observe=seen.append)
    assert await channel.create_credential(order()) == NotIssued("timeout")
    await channel.stop()
    assert [(each.operation, each.outcome, each.subject) for each in seen] == [("create", "timeout", NO)]
    assert "sign" not in seen[0].path
    assert 700 < seen[0].ms < 1500


@pytest.mark.parametrize(
    ("product", "method", "product_code"),
    [
        ("wap", "alipay.trade.wap.pay", "QUICK_WAP_WAY"),
        ("page", "alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"),
    ],
)
async def test_pages_are_signed_here_as_the_sdk_would(product: Any, method: str, product_code: str) -> None:
    channel = AlipayChannel(
        config("http://127.0.0.1:9", product=product, parts_paid_by="alipay", return_url="http://127.0.0.1/back",
               disabled_pay_channels=("creditCard", "pcredit"))
    )  # fmt: skip
    assert channel.shape.creates_locally
    answer = await channel.create_credential(order())
    assert isinstance(answer, Issued)
    assert answer.credential["kind"] == "redirect"
    url = urlsplit(answer.credential["url"])
    assert url.netloc == "127.0.0.1:9"
    params = dict(parse_qsl(url.query, strict_parsing=True))
    assert params["method"] == method
    assert params["return_url"] == "http://127.0.0.1/back"
    assert f'"product_code":"{product_code}"' in params["biz_content"]
    assert '"royalty_freeze":"true"' in params["biz_content"]
    assert '"disable_pay_channels":"creditCard,pcredit"' in params["biz_content"]
    independent = AliPay(
        appid="1", app_private_key_string=private_pem("merchant"), alipay_public_key_string=public_pem("merchant")
    )
    sign = params.pop("sign")
    assert sign == independent._sign("&".join(f"{name}={value}" for name, value in sorted(params.items())))


async def test_the_app_gets_a_text() -> None:
    channel = AlipayChannel(config("http://127.0.0.1:9", product="app", return_url="http://127.0.0.1/back"))
    answer = await channel.create_credential(order(description="/"))
    assert isinstance(answer, Issued)
    params = dict(parse_qsl(answer.credential["order"]))
    assert signing.why_request_not_proved(params, rsa_key("merchant").public_key()) is None
    assert "return_url" not in params
    assert '"subject":"支付宝"' in params["biz_content"]
    assert await channel.debit(order()) == Declined("not_a_debit")


def test_shapes() -> None:
    qr = AlipayChannel(config("http://127.0.0.1:9", limit_fen=Fen(100_000))).shape
    assert (qr.creates_locally, qr.is_direct_debit, qr.can_close, qr.can_split, qr.has_bills) == (
        False, False, True, False, True,
    )  # fmt: skip
    assert (qr.expiry_max_s, qr.expiry_margin_s, qr.limit_fen, qr.is_demo) == (300.0, 120.0, 100_000, True)
    page = AlipayChannel(config("http://127.0.0.1:9", product="page", parts_paid_by="merchant", name_en="Mine")).shape
    assert (page.creates_locally, page.can_split, page.expiry_max_s, page.name_en) == (True, True, 900.0, "Mine")
    assert page.takes_back_from == () and page.needs == ()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"out_trade_no": NO, "trade_status": "WAIT_BUYER_PAY"}, QueryAnswer(standing="unpaid")),
        ({"out_trade_no": NO, "trade_status": "TRADE_SUCCESS", "trade_no": "T1", "total_amount": "12.05"},
         QueryAnswer(standing="paid", amount_fen=Fen(1205), transaction_id="T1")),
        ({"out_trade_no": NO, "trade_status": "TRADE_FINISHED", "trade_no": "T1", "total_amount": "12.00"},
         QueryAnswer(standing="paid", amount_fen=Fen(1200), transaction_id="T1")),
        ({"out_trade_no": NO, "trade_status": "TRADE_CLOSED"}, QueryAnswer(standing="closed")),
        ({"out_trade_no": NO, "trade_status": "SOMETHING_NEW"}, QueryAnswer(standing="no_answer")),
        ({"out_trade_no": NO, "trade_status": "TRADE_SUCCESS", "total_amount": "12.05"},
         QueryAnswer(standing="no_answer")),
        ({"out_trade_no": "another", "trade_status": "TRADE_CLOSED"}, QueryAnswer(standing="no_answer")),
        (denied("ACQ.TRADE_NOT_EXIST"), QueryAnswer(standing="absent")),
        (denied("ACQ.SYSTEM_ERROR"), QueryAnswer(standing="no_answer")),
        (denied("ACQ.INVALID_PARAMETER"), QueryAnswer(standing="no_answer")),
        (denied("isp.unknow-error", "20000"), QueryAnswer(standing="no_answer")),
        (denied("isp.service-unavailable"), QueryAnswer(standing="no_answer")),
        (b'{"alipay_trade_query_response":{"code":"40004","sub_code":"ACQ.TRADE_NOT_EXIST"}}',
         QueryAnswer(standing="no_answer")),
        (500, QueryAnswer(standing="no_answer")),
    ],
)  # fmt: skip
async def test_standings(alipay: Alipay, channel: AlipayChannel, answer: Any, expected: QueryAnswer) -> None:
    alipay.answers[QUERY] = answer
    assert await channel.query(NO) == expected
    assert alipay.of(QUERY)[0]["out_trade_no"] == NO


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"out_trade_no": NO}, "asked"),
        (denied("ACQ.TRADE_NOT_EXIST"), "asked"),
        (denied("ACQ.TRADE_STATUS_ERROR"), "asked"),
        (denied("ACQ.TRADE_HAS_SUCCESS"), "paid"),
        (denied("ACQ.SYSTEM_ERROR"), "no_answer"),
        (502, "no_answer"),
    ],
)
async def test_closing(alipay: Alipay, channel: AlipayChannel, answer: Any, expected: str) -> None:
    alipay.answers["alipay.trade.close"] = answer
    assert await channel.close(NO) == expected


async def test_nobody_there_is_no_answer() -> None:
    channel = AlipayChannel(config("http://127.0.0.1:1"))
    assert (await channel.query(NO)).standing == "no_answer"
    assert await channel.close(NO) == "no_answer"
    assert await channel.create_credential(order()) == NotIssued("connect")
    assert await channel.work() == 0
    await channel.stop()


REFUND_QUERY = "alipay.trade.fastpay.refund.query"


@pytest.mark.parametrize(
    ("answer", "standing", "expected"),
    [
        ({"out_trade_no": NO, "fund_change": "Y"}, {}, MoneyAnswer(standing="done")),
        ({"out_trade_no": NO, "fund_change": "N"},
         {"refund_status": "REFUND_SUCCESS", "out_request_no": "R1", "refund_amount": "3.00"},
         MoneyAnswer(standing="done")),
        ({"out_trade_no": NO, "fund_change": "N"},
         {"refund_status": "REFUND_SUCCESS", "out_request_no": "R1", "refund_amount": "2.00"},
         MoneyAnswer(standing="failed", reason="other_amount")),
        ({"out_trade_no": NO}, {}, MoneyAnswer(standing="pending", reason="refund_processing")),
        ({"out_trade_no": NO}, denied("SYSTEM_ERROR"), MoneyAnswer(standing="no_answer", reason="SYSTEM_ERROR")),
        ({"out_trade_no": "another", "fund_change": "Y"}, {}, MoneyAnswer(standing="no_answer", reason="other_order")),
        (denied("ACQ.SELLER_BALANCE_NOT_ENOUGH"), denied("ACQ.TRADE_NOT_EXIST"),
         MoneyAnswer(standing="failed", reason="ACQ.SELLER_BALANCE_NOT_ENOUGH")),
        (denied("ACQ.TRADE_HAS_CLOSE"),
         {"refund_status": "REFUND_SUCCESS", "out_request_no": "R1", "refund_amount": "3.00"},
         MoneyAnswer(standing="done")),
        (denied("ACQ.TRADE_HAS_CLOSE"), 500, MoneyAnswer(standing="no_answer", reason="http_500")),
        (denied("ACQ.SYSTEM_ERROR"), {}, MoneyAnswer(standing="no_answer", reason="ACQ.SYSTEM_ERROR")),
    ],
)  # fmt: skip
async def test_refunds(
    alipay: Alipay, channel: AlipayChannel, answer: Any, standing: Any, expected: MoneyAnswer
) -> None:
    alipay.answers.update({REFUND: answer, REFUND_QUERY: standing})
    assert await channel.refund(NO, "R1", Fen(300)) == expected
    asked = alipay.of(REFUND)[0]
    assert (asked["out_request_no"], asked["refund_amount"]) == ("R1", "3.00")


async def test_giving_back_keeps_its_number(alipay: Alipay, channel: AlipayChannel) -> None:
    alipay.answers[REFUND] = [503, {"out_trade_no": NO, "fund_change": "Y"}]
    assert (await channel.give_back(NO, f"{NO}U1", Fen(1))).standing == "no_answer"
    assert (await channel.give_back(NO, f"{NO}U1", Fen(1))).standing == "done"
    assert [each["out_request_no"] for each in alipay.of(REFUND)] == [f"{NO}U1"] * 2
    taken = await channel.take_back(NO, "B1", "S1", Receiver(party="campus", account_ref="c", amount_fen=Fen(1)))
    assert taken.standing == "failed"


def posted(params: dict[str, str], *, signer: str = "alipay", covers_sign_type: bool = False) -> bytes:
    return urlencode(signing.signed_notice(params, rsa_key(signer), covers_sign_type=covers_sign_type)).encode()


@pytest.mark.parametrize("covers_sign_type", [False, True])
async def test_a_payment_is_told(channel: AlipayChannel, covers_sign_type: bool) -> None:
    body = posted(paid(), covers_sign_type=covers_sign_type)
    expected = PaidNotice(notice_id="N1", attempt_id=NO, amount_fen=Fen(1205), transaction_id="T1")
    assert channel.read_callback({}, body) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (posted(paid(), signer="stranger"), "sign: wrong"),
        (posted(paid(app_id="2021000000000002")), "app_id"),
        (posted(paid(seller_id="2088000000000009")), "seller_id"),
        (posted(paid(notify_id="")), "notify_id"),
        (posted(paid(total_amount="12.055")), "total_amount"),
        (posted(paid(trade_no="")), "trade_no"),
        (posted(paid()) + b"&trade_no=T2", "comes twice"),
        (b"\xff", "not a form"),
        (b"", "sign_type"),
        (posted({"app_id": "2021000000000001", "notify_id": "N", "msg_method": "m", "biz_content": "{"}), "not JSON"),
    ],
)
async def test_a_message_that_is_not_believed(channel: AlipayChannel, body: bytes, why: str) -> None:
    notice = channel.read_callback({}, body)
    assert isinstance(notice, BadNotice)
    assert why in notice.reason


async def test_messages_that_are_no_payment(channel: AlipayChannel) -> None:
    refunded = paid(gmt_refund="2026-01-01 10:00:00.1", refund_fee="1.00", out_biz_no="R1")
    assert channel.read_callback({}, posted(refunded)) == MoneyNotice(notice_id="N1", number="R1")
    whole = paid(trade_status="TRADE_CLOSED", refund_fee="12.05")
    assert channel.read_callback({}, posted(whole)) == OtherNotice(notice_id="N1", what="refund")
    for status in ("WAIT_BUYER_PAY", "TRADE_CLOSED"):
        assert channel.read_callback({}, posted(paid(trade_status=status))) == OtherNotice(notice_id="N1", what=status)
    other = paid(notify_type="servicemarket_order_notify")
    assert channel.read_callback({}, posted(other)) == OtherNotice(notice_id="N1", what="servicemarket_order_notify")


async def test_messages_about_instructions(channel: AlipayChannel) -> None:
    def message(method: str, content: str) -> bytes:
        return posted({"notify_id": "N2", "app_id": "2021000000000001", "msg_method": method, "biz_content": content})

    split = message("alipay.trade.order.settle.notify", f'{{"out_request_no":"{NO}S1"}}')
    assert channel.read_callback({}, split) == MoneyNotice(notice_id="N2", number=f"{NO}S1")
    transfer = message("alipay.fund.trans.order.changed", '{"out_biz_no":"W1"}')
    assert channel.read_callback({}, transfer) == MoneyNotice(notice_id="N2", number="W1")
    other = message("alipay.open.auth.userauth.cancelled", "{}")
    assert channel.read_callback({}, other) == OtherNotice(notice_id="N2", what="alipay.open.auth.userauth.cancelled")


async def test_the_word_that_ends_the_resending(channel: AlipayChannel) -> None:
    assert channel.reply(is_accepted=True).body == b"success"
    assert channel.reply(is_accepted=False).body != b"success"
