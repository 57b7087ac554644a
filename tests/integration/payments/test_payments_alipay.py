"""Alipay's channel against a gateway on loopback that proves every request by itself."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from alipay import AliPay

from payments.channels import alipay_signing as signing
from payments.channels.alipay import AlipayChannel
from payments.channels.alipay_bills import MOST_BYTES
from payments.channels.alipay_config import AlipayConfig
from payments.channels.exchange import Exchange
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    Bill,
    Declined,
    Issued,
    MoneyAnswer,
    MoneyNotice,
    NoBill,
    NotIssued,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
    Receiver,
    Refused,
)
from tests.payments_keys import private_pem, public_pem, rsa_key
from tests.payments_providers import Alipay, Silent, denied, order, served

NO = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"
SELLER = "2088123412341234"
QUERY, REFUND = "alipay.trade.query", "alipay.trade.refund"
SETTLE, SETTLED = "alipay.trade.order.settle", "alipay.trade.order.settle.query"
BIND = "alipay.trade.royalty.relation.bind"


def config(base_url: str, **fields: Any) -> AlipayConfig:
    return AlipayConfig(
        **{
            "environment": "simulator",
            "product": "qr",
            "app_id": "2021000000000001",
            "seller_id": SELLER,
            "app_private_key": private_pem("merchant"),
            "alipay_public_key": public_pem("alipay"),
            "notify_url": "http://127.0.0.1/callbacks/alipay",
            "algorithm": "RSA2",
            "base_url": base_url,
            **fields,
        }
    )


@pytest.fixture
async def alipay() -> AsyncIterator[Alipay]:
    provider = Alipay()
    async with served(provider.handle) as provider.base_url:
        yield provider


@pytest.fixture
async def channel(alipay: Alipay) -> AsyncIterator[AlipayChannel]:
    async for each in opened(alipay):
        yield each


async def opened(alipay: Alipay, **fields: Any) -> AsyncIterator[AlipayChannel]:
    channel = AlipayChannel(config(alipay.base_url, **fields))
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


@pytest.fixture
async def splitting(alipay: Alipay) -> AsyncIterator[AlipayChannel]:
    accounts = {"campus_1": "2088000000000001", "run_1": "2088000000000002"}
    async for each in opened(alipay, parts_paid_by="alipay", runner_payout="personal", accounts=accounts):
        yield each


# -- creating -----------------------------------------------------------------------------------------------------


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


# -- asking and closing ---------------------------------------------------------------------------------------------


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


# -- money back -----------------------------------------------------------------------------------------------------

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


# -- splitting --------------------------------------------------------------------------------------------------------

RUNNER = Receiver(party="runner", account_ref="run_1", amount_fen=Fen(500))
CAMPUS = Receiver(party="campus", account_ref="campus_1", amount_fen=Fen(300))
PLATFORM = Receiver(party="platform", account_ref="platform", amount_fen=Fen(200))


def detail(account: str, yuan: str, state: str = "SUCCESS", **more: str) -> dict[str, str]:
    return {"operation_type": "transfer", "trans_in": account, "amount": yuan, "state": state, **more}


def paid_trade() -> dict[str, str]:
    return {"out_trade_no": NO, "trade_no": "T1", "trade_status": "TRADE_SUCCESS", "total_amount": "10.00"}


async def test_parts_are_paid_and_what_stays_is_unfrozen(alipay: Alipay, splitting: AlipayChannel) -> None:
    alipay.answers.update({
        QUERY: paid_trade(), BIND: {}, SETTLE: {"settle_no": "9"},
        SETTLED: {"royalty_detail_list": [detail("2088000000000001", "3.00"), detail("2088000000000002", "5.00")]},
    })  # fmt: skip
    answer = await splitting.split(NO, f"{NO}S1", [RUNNER, CAMPUS, PLATFORM])
    assert [(each.party, each.standing) for each in answer.receivers] == [
        ("runner", "paid"), ("campus", "paid"), ("platform", "paid"),
    ]  # fmt: skip
    told, finished = alipay.of(SETTLE)
    assert told["out_request_no"] == f"{NO}S1" and told["trade_no"] == "T1"
    assert [(part["trans_in"], part["amount"]) for part in told["royalty_parameters"]] == [
        ("2088000000000002", "5.00"), ("2088000000000001", "3.00"),
    ]  # fmt: skip
    assert finished["extend_params"] == {"royalty_finish": "true"}
    assert finished["out_request_no"] == f"{NO}F1"
    assert len(alipay.of(BIND)) == 2
    await splitting.split(NO, f"{NO}S1", [RUNNER, CAMPUS, PLATFORM])
    assert len(alipay.of(BIND)) == 2, "bound once"


async def test_each_parts_own_outcome_counts(alipay: Alipay, splitting: AlipayChannel) -> None:
    details = [detail("2088000000000002", "5.00", "FAIL", error_code="TXN_RESULT_ACCOUNT_STATUS_NOT_VALID"),
               detail("2088000000000001", "3.00", "PROCESSING")]  # fmt: skip
    alipay.answers.update({QUERY: paid_trade(), BIND: {}, SETTLE: {}, SETTLED: {"royalty_detail_list": details}})
    answer = await splitting.split(NO, f"{NO}S1", [RUNNER, CAMPUS])
    assert [(each.standing, each.reason) for each in answer.receivers] == [
        ("closed", "TXN_RESULT_ACCOUNT_STATUS_NOT_VALID"), ("pending", ""),
    ]  # fmt: skip
    assert len(alipay.of(SETTLE)) == 1, "not finished while a part is open"


async def test_a_part_that_is_not_listed_is_still_open(alipay: Alipay, splitting: AlipayChannel) -> None:
    alipay.answers.update({QUERY: paid_trade(), BIND: denied("X"), SETTLE: {}, SETTLED: {"royalty_detail_list": None}})
    twins = [CAMPUS, Receiver(party="runner", account_ref="run_1", amount_fen=Fen(300))]
    answer = await splitting.split(NO, f"{NO}S1", twins)
    assert [each.standing for each in answer.receivers] == ["pending", "pending"]


async def test_a_refused_split_is_closed_only_when_alipay_does_not_know_it(
    alipay: Alipay, splitting: AlipayChannel
) -> None:
    alipay.answers.update({QUERY: paid_trade(), BIND: {}, SETTLE: denied("ACQ.ALLOC_AMOUNT_VALIDATE_ERROR")})
    alipay.answers[SETTLED] = denied("ACQ.SETTLE_NOT_EXIST")
    answer = await splitting.split(NO, f"{NO}S1", [RUNNER])
    assert [(each.standing, each.reason) for each in answer.receivers] == [
        ("closed", "ACQ.ALLOC_AMOUNT_VALIDATE_ERROR")
    ]
    alipay.answers[SETTLED] = denied("ACQ.SYSTEM_ERROR")
    assert (await splitting.split(NO, f"{NO}S1", [RUNNER])).receivers == ()
    alipay.answers[SETTLED] = {"royalty_detail_list": [detail("2088000000000002", "5.00")]}
    assert [each.standing for each in (await splitting.split(NO, f"{NO}S1", [RUNNER])).receivers] == ["paid"]


async def test_no_answer_to_a_split(alipay: Alipay, splitting: AlipayChannel) -> None:
    alipay.answers.update({QUERY: paid_trade(), BIND: {}, SETTLE: 500})
    answer = await splitting.split(NO, f"{NO}S1", [RUNNER])
    assert (answer.receivers, answer.reason) == ((), "http_500")
    alipay.answers[QUERY] = 500
    assert (await splitting.split(NO, f"{NO}S1", [RUNNER])).receivers == ()


async def test_what_stays_waits_for_the_unfreezing(alipay: Alipay, splitting: AlipayChannel) -> None:
    alipay.answers.update({QUERY: paid_trade(), SETTLE: [503, denied("ACQ.ROYALTY_FINISHED")]})
    first = await splitting.split(NO, f"{NO}S1", [PLATFORM])
    assert [(each.standing, each.reason) for each in first.receivers] == [("pending", "http_503")]
    second = await splitting.split(NO, f"{NO}S1", [PLATFORM])
    assert [each.standing for each in second.receivers] == ["paid"]


async def test_an_unknown_account_gets_nothing(alipay: Alipay, splitting: AlipayChannel) -> None:
    alipay.answers.update({QUERY: paid_trade()})
    stranger = Receiver(party="campus", account_ref="campus_9", amount_fen=Fen(1))
    answer = await splitting.split(NO, f"{NO}S1", [stranger, PLATFORM])
    assert [(each.standing, each.reason) for each in answer.receivers] == [("closed", "unknown_account"), ("paid", "")]
    assert alipay.of(SETTLE) == []


async def test_accounts_may_be_looked_up(alipay: Alipay) -> None:
    async def find(account_ref: str) -> dict[str, str]:
        return {"alipay_user_id": "2088000000000007"} if account_ref == "run_7" else {}

    details = [detail("2088000000000007", "5.00")]
    alipay.answers.update({QUERY: paid_trade(), BIND: {}, SETTLE: {}, SETTLED: {"royalty_detail_list": details}})
    account = config(alipay.base_url, parts_paid_by="alipay", runner_payout="personal")
    channel = AlipayChannel(account, find_account=find)
    runners = [Receiver(party="runner", account_ref=f"run_{at}", amount_fen=Fen(500)) for at in (7, 8)]
    answer = await channel.split(NO, f"{NO}S1", runners)
    assert [(each.standing, each.reason) for each in answer.receivers] == [("paid", ""), ("closed", "unknown_account")]
    await channel.stop()


async def test_a_team_is_its_own_runners_merchant(alipay: Alipay) -> None:
    alipay.answers.update({QUERY: paid_trade(), SETTLE: {}})
    async for channel in opened(alipay, parts_paid_by="alipay"):
        answer = await channel.split(NO, f"{NO}S1", [RUNNER])
        assert [each.standing for each in answer.receivers] == ["paid"]
    async for channel in opened(alipay, parts_paid_by="merchant"):
        answer = await channel.split(NO, f"{NO}S1", [RUNNER, CAMPUS])
        assert [each.standing for each in answer.receivers] == ["paid", "paid"]
    async for channel in opened(alipay):
        answer = await channel.split(NO, f"{NO}S1", [RUNNER])
        assert [each.standing for each in answer.receivers] == ["closed"]


# -- transfers ------------------------------------------------------------------------------------------------------

TRANSFER, TRANSFERRED = "alipay.fund.trans.uni.transfer", "alipay.fund.trans.common.query"


@pytest.mark.parametrize(
    ("answer", "standing", "expected"),
    [
        ({"status": "SUCCESS", "out_biz_no": "W1"}, {}, MoneyAnswer(standing="done")),
        ({"status": "DEALING"}, {"status": "DEALING"}, MoneyAnswer(standing="pending", reason="dealing")),
        ({"status": "DEALING"}, {"status": "SUCCESS"}, MoneyAnswer(standing="done")),
        ({"status": "DEALING"}, {"status": "FAIL", "error_code": "PAYEE_NOT_EXIST"},
         MoneyAnswer(standing="failed", reason="PAYEE_NOT_EXIST")),
        (denied("PAYEE_BAD"), denied("ORDER_NOT_EXIST"), MoneyAnswer(standing="failed", reason="PAYEE_BAD")),
        (denied("DUPLICATE"), {"status": "SUCCESS"}, MoneyAnswer(standing="done")),
        (denied("SYSTEM_ERROR"), {}, MoneyAnswer(standing="no_answer", reason="SYSTEM_ERROR")),
        (denied("X"), denied("SYSTEM_ERROR"), MoneyAnswer(standing="no_answer", reason="SYSTEM_ERROR")),
    ],
)  # fmt: skip
async def test_transfers(
    alipay: Alipay, channel: AlipayChannel, answer: Any, standing: Any, expected: MoneyAnswer
) -> None:
    alipay.answers.update({TRANSFER: answer, TRANSFERRED: standing})
    to = {"alipay_user_id": "2088000000000002", "name": "张三"}
    assert await channel.transfer("W1", "run_1", to, Fen(5000)) == expected
    asked = alipay.of(TRANSFER)[0]
    assert asked["trans_amount"] == "50.00"
    assert asked["payee_info"] == {
        "identity": "2088000000000002", "identity_type": "ALIPAY_USER_ID", "name": "张三",
    }  # fmt: skip


async def test_a_transfer_needs_an_account(alipay: Alipay, channel: AlipayChannel) -> None:
    assert (await channel.transfer("W1", "run_1", {}, Fen(1))).standing == "failed"
    alipay.answers[TRANSFER] = {"status": "SUCCESS", "out_biz_no": "W1"}
    assert (await channel.transfer("W1", "run_1", {"alipay_login": "a@b.c"}, Fen(1))).standing == "failed"
    await channel.transfer("W1", "run_1", {"alipay_login": "a@b.c", "name": "张三"}, Fen(1))
    assert alipay.of(TRANSFER)[0]["payee_info"] == {
        "identity": "a@b.c", "identity_type": "ALIPAY_LOGON_ID", "name": "张三",
    }  # fmt: skip


# -- callbacks ------------------------------------------------------------------------------------------------------


def posted(params: dict[str, str], *, signer: str = "alipay", covers_sign_type: bool = False) -> bytes:
    return urlencode(signing.signed_notice(params, rsa_key(signer), covers_sign_type=covers_sign_type)).encode()


def paid(**changes: str) -> dict[str, str]:
    return {
        "notify_id": "N1", "notify_type": "trade_status_sync", "app_id": "2021000000000001", "seller_id": SELLER,
        "out_trade_no": NO, "trade_no": "T1", "trade_status": "TRADE_SUCCESS", "total_amount": "12.05",
        "charset": "utf-8", "subject": "奶茶", **changes,
    }  # fmt: skip


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


# -- bills ----------------------------------------------------------------------------------------------------------

BILL = "alipay.data.dataservice.bill.downloadurl.query"
DAY = date(2026, 10, 3)
TRADE_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
TRADE = "2026100322001400000000000001\t,AAAAAAAA01\t"
NOTHING = "0.00,0.00,0.00,0.00,0.00,,0.00,0.00"
TRADES = f"""#支付宝业务明细查询
#账号：[20881234123412340156]
#起始日期：[2026年10月03日 00:00:00]   终止日期：[2026年10月04日 00:00:00]
#-----------------------------------------业务明细列表----------------------------------------
{TRADE_COLUMNS}
{TRADE},交易,"奶茶, 两杯",2026-10-03 10:00:00,2026-10-03 10:00:30,,,,,b***,12.05,12.05,{NOTHING},,-0.07,0.00,
{TRADE},退款,奶茶,2026-10-03 10:00:00,2026-10-03 11:00:00,,,,,b***,-2.05,-2.05,{NOTHING},R0000001\t,0.00,0.00,
#-----------------------------------------业务明细列表结束------------------------------------
#交易合计：1笔，商家实收共12.05元，商家优惠共0.00元
#退款合计：1笔，商家实收退款共-2.05元，商家优惠退款共0.00元
#导出时间：[2026年10月04日 09:00:00]
"""
FLOWS = """#支付宝账务明细查询
#-----------------------------------------账务明细列表----------------------------------------
账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注
1\t,2026\t,AAAAAAAA01\t,奶茶,2026-10-03 10:00:30,buyer,12.05,0.00,100.00,支付宝,在线支付,
2\t,2026\t,AAAAAAAA01\t,奶茶,2026-10-03 10:00:30,alipay,0.00,-0.07,99.93,支付宝,收费,服务费
3\t,2026\t,AAAAAAAA01\t,奶茶,2026-10-03 11:00:00,buyer,0.00,-2.05,97.88,支付宝,交易退款,
4\t,2026\t,AAAAAAAA01\t,奶茶,2026-10-03 12:00:00,runner,0.00,-5.00,92.88,支付宝,分账,
5\t,2026\t,,提现,2026-10-03 13:00:00,bank,0.00,-90.00,2.88,支付宝,提现,
#-----------------------------------------账务明细列表结束------------------------------------
"""
SUMMARY = "#支付宝业务汇总查询\n门店编号,门店名称,交易订单总笔数\n,,1\n"


def archive(*texts: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for at, text in enumerate(texts):
            made.writestr(f"20881234123412340156_20261003_{at}.csv", text.encode("gbk"))
    return target.getvalue()


def serve_bills(alipay: Alipay, trades: bytes, flows: bytes | None = None) -> None:
    answers: list[Any] = [{"bill_download_url": f"{alipay.base_url}/trade.zip?token=x"}]
    answers.append(denied("isv.no-rights") if flows is None else {"bill_download_url": f"{alipay.base_url}/flow.zip"})
    alipay.answers.update({BILL: answers, "/trade.zip": trades, "/flow.zip": flows})


async def test_a_bill_of_trades_and_flows(alipay: Alipay, channel: AlipayChannel) -> None:
    serve_bills(alipay, archive(SUMMARY, TRADES), archive(FLOWS))
    bill = await channel.bill(DAY)
    assert isinstance(bill, Bill)
    assert [(line.kind, line.attempt_id, line.number, line.amount_fen) for line in bill.trades] == [
        ("paid", "AAAAAAAA01", "AAAAAAAA01", 1205),
        ("fee", "AAAAAAAA01", "AAAAAAAA01", 7),
        ("refunded", "AAAAAAAA01", "R0000001", 205),
    ]
    assert bill.trades[0].at == datetime(2026, 10, 3, 2, 0, 30, tzinfo=UTC)
    assert bill.flows is not None
    assert [(line.kind, line.amount_fen) for line in bill.flows] == [
        ("paid", 1205), ("fee", 7), ("refunded", 205), ("split", 500),
    ]  # fmt: skip
    assert [each["bill_type"] for each in alipay.of(BILL)] == ["trade", "signcustomer"]


async def test_trades_alone_are_a_bill(alipay: Alipay, channel: AlipayChannel) -> None:
    serve_bills(alipay, archive(TRADES[: TRADES.index("#交易合计")]))
    bill = await channel.bill(DAY)
    assert isinstance(bill, Bill)
    assert bill.flows is None


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"PK", "not a zip"),
        (archive(TRADES, "x" * (MOST_BYTES + 1)), "more than"),
        (archive(SUMMARY), "no file has the columns"),
        (
            archive(TRADES[: TRADES.index("#-----------------------------------------业务明细列表结束")]),
            "end of the list",
        ),
        (archive(TRADES.replace("交易合计：1笔", "交易合计：2笔")), "its end says 2"),
        (archive(TRADES.replace(",退款,", ",赠送,")), "unknown kind"),
        (archive(TRADES.replace("-2.05,-2.05", "abc,-2.05")), "is not an amount"),
        (archive(TRADES.replace(",,-0.07,0.00,\n", "\n")), "cells under"),
    ],
)
async def test_a_bill_that_is_not_whole_is_none(alipay: Alipay, channel: AlipayChannel, file: bytes, why: str) -> None:
    serve_bills(alipay, file)
    answer = await channel.bill(DAY)
    assert isinstance(answer, NoBill)
    assert why in answer.reason
    assert not answer.is_final


async def test_no_bill_is_final_only_when_the_morning_is_over(alipay: Alipay) -> None:
    alipay.answers[BILL] = denied("isp.bill_not_exist")
    for hour, is_final in ((3, False), (4, True)):
        now = datetime(2026, 10, 4, hour, tzinfo=UTC)
        channel = AlipayChannel(config(alipay.base_url), wall_s=now.timestamp)
        assert await channel.bill(DAY) == NoBill(reason="isp.bill_not_exist", is_final=is_final)
        await channel.stop()


async def test_a_file_that_cannot_be_had(alipay: Alipay, channel: AlipayChannel) -> None:
    alipay.answers[BILL] = {"bill_download_url": "http://127.0.0.1:1/trade.zip"}
    assert await channel.bill(DAY) == NoBill(reason="connect")
    alipay.answers.update({BILL: {"bill_download_url": f"{alipay.base_url}/gone.zip"}, "/gone.zip": 404})
    assert await channel.bill(DAY) == NoBill(reason="http_404")
    alipay.answers[BILL] = {"bill_download_url": "file:///etc/hosts"}
    assert isinstance(await channel.bill(DAY), NoBill)
