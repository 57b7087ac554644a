"""UnionPay's channel: what it issues, how an order stands, money back, and what callbacks tell."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from payments.channels.unionpay import UnionpayChannel
from payments.channels.unionpay_gateway import take_apart
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
from tests.payments_keys import certificate, pem
from tests.payments_providers import UNIONPAY_SIGNER, Silent, Unionpay, is_signed_by, order
from tests.payments_unionpay import ASK, MERCHANT, NO, PAY, REFUND, UNDO, WRITTEN, Books, config

SENT = "20261003110000"


@pytest.fixture
async def app(unionpay: Unionpay, books: Books, key_file: str) -> AsyncIterator[UnionpayChannel]:
    channel = UnionpayChannel(config(unionpay.base_url, key_file, product="app"), books.first_written)
    yield channel
    await channel.stop()


@pytest.mark.parametrize(("product", "channel_type"), [("page", "07"), ("wap", "08")])
async def test_a_page_is_signed_here(books: Books, key_file: str, product: Any, channel_type: str) -> None:
    made = config("http://127.0.0.1:9", key_file, product=product, return_url="http://127.0.0.1/back")
    channel = UnionpayChannel(made, books.first_written)
    wanted = order()
    answer = await channel.create_credential(wanted)
    assert isinstance(answer, Issued)
    assert answer.credential["kind"] == "form"
    assert answer.credential["url"] == "http://127.0.0.1:9/gateway/api/frontTransReq.do"
    fields = dict(answer.credential["fields"])
    assert (fields["orderId"], fields["txnTime"], fields["txnAmt"]) == (NO, SENT, "1205")
    assert (fields["channelType"], fields["frontUrl"]) == (channel_type, "http://127.0.0.1/back")
    assert fields["payTimeout"] == (wanted.expires_at + timedelta(hours=8)).strftime("%Y%m%d%H%M%S")
    assert fields["riskRateInfo"] == "{commodityName=奶茶 ¥12 two cups & more}".replace("& ", "")
    signature = fields.pop("signature")
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    assert is_signed_by("merchant", hashlib.sha256(text.encode()).hexdigest().encode(), signature)


async def test_a_number_that_was_never_written_is_not_sent(channel: UnionpayChannel, books: Books) -> None:
    books.at[NO] = None
    assert await channel.create_credential(order()) == NotIssued("never_written")
    assert (await channel.query(NO)).standing == "no_answer"


async def test_the_app_gets_a_number(unionpay: Unionpay, app: UnionpayChannel) -> None:
    unionpay.answers[PAY] = {"respCode": "00", "tn": "201610031100001"}
    assert await app.create_credential(order()) == Issued({"kind": "unionpay_app", "tn": "201610031100001"})
    assert unionpay.of(PAY)[0]["_"] == "/gateway/api/appTransReq.do"
    assert not app.shape.creates_locally


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"respCode": "33"}, Refused("resp_33")),
        ({"respCode": "38"}, Refused("resp_38")),
        ({"respCode": "10"}, Refused("resp_10")),
        ({"respCode": "31"}, NotIssued("resp_31", is_alarm=True)),
        ({"respCode": "37"}, NotIssued("resp_37", is_alarm=True)),
        ({"respCode": "06"}, NotIssued("resp_06")),
        ({"respCode": "05"}, NotIssued("resp_05")),
        ({"respCode": "00"}, NotIssued("resp_00")),
        ({"respCode": "00", "tn": "1", "orderId": "another0"}, NotIssued("other_order")),
        ({"respCode": "00", "tn": "1", "merId": "898000000000001"}, NotIssued("merId: not ours")),
        (502, NotIssued("http_502")),
        (b"<html>", NotIssued("not_understood")),
        (b"\xff", NotIssued("not_understood")),
        (b"respCode=00&tn=1", NotIssued("version: only 5.1.0")),
    ],
)
async def test_no_number_for_the_app(unionpay: Unionpay, app: UnionpayChannel, answer: Any, expected: Any) -> None:
    unionpay.answers[PAY] = answer
    assert await app.create_credential(order()) == expected


async def test_a_slow_gateway_gives_no_number_in_time(unionpay: Unionpay, app: UnionpayChannel) -> None:
    unionpay.answers[PAY] = Silent
    assert await app.create_credential(order()) == NotIssued("timeout")


def test_shapes(books: Books, key_file: str) -> None:
    page = UnionpayChannel(config("http://127.0.0.1:9", key_file), books.first_written).shape
    assert (page.creates_locally, page.can_close, page.is_direct_debit, page.can_split, page.has_bills) == (
        True, False, False, False, True,
    )  # fmt: skip
    assert (page.expiry_max_s, page.expiry_margin_s) == (900.0, 300.0)
    paying = config("http://127.0.0.1:9", key_file, parts_paid_by="merchant", limit_fen=Fen(5))
    shape = UnionpayChannel(paying, books.first_written).shape
    assert (shape.can_split, shape.limit_fen) == (True, 5)


GOT = {"respCode": "00", "origRespCode": "00", "txnAmt": "1205", "queryId": "Q1"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (GOT, QueryAnswer(standing="paid", amount_fen=Fen(1205), transaction_id="Q1")),
        ({**GOT, "origRespCode": "A6"}, QueryAnswer(standing="paid", amount_fen=Fen(1205), transaction_id="Q1")),
        ({**GOT, "queryId": ""}, QueryAnswer(standing="no_answer")),
        ({**GOT, "txnAmt": "12.05"}, QueryAnswer(standing="no_answer")),
        ({**GOT, "orderId": "another0"}, QueryAnswer(standing="no_answer")),
        ({**GOT, "orderId": ""}, QueryAnswer(standing="no_answer")),
        ({**GOT, "txnTime": "20260101000000"}, QueryAnswer(standing="no_answer")),
        *[({**GOT, "origRespCode": code}, QueryAnswer(standing="no_answer")) for code in ("03", "04", "05", "42", "")],
        ({**GOT, "origRespCode": "61"}, QueryAnswer(standing="unpaid")),
        ({"respCode": "34"}, QueryAnswer(standing="absent")),
        ({"respCode": "00", "origRespCode": "34"}, QueryAnswer(standing="absent")),
        ({"respCode": "37"}, QueryAnswer(standing="no_answer")),
        ({"respCode": "10"}, QueryAnswer(standing="no_answer")),
        (b"respCode=34", QueryAnswer(standing="no_answer")),
        (500, QueryAnswer(standing="no_answer")),
    ],
)  # fmt: skip
async def test_standings(unionpay: Unionpay, channel: UnionpayChannel, answer: Any, expected: QueryAnswer) -> None:
    unionpay.answers[ASK] = answer
    assert await channel.query(NO) == expected
    asked = unionpay.of(ASK)[0]
    assert (asked["orderId"], asked["txnTime"], asked["_"]) == (NO, SENT, "/gateway/api/queryTrans.do")


async def test_only_unionpays_own_certificate_counts(unionpay: Unionpay, channel: UnionpayChannel) -> None:
    unionpay.answers[ASK] = {"respCode": "34"}
    for issuer, name in (("cfca", "A Shop"), ("stranger", UNIONPAY_SIGNER)):
        unionpay.certificate = pem(certificate("unionpay", issuer, name))
        assert (await channel.query(NO)).standing == "no_answer"


async def test_there_is_no_closing_and_no_debit(channel: UnionpayChannel) -> None:
    assert await channel.close(NO) == "no_answer"
    assert await channel.debit(order()) == Declined("not_a_debit")
    assert await channel.work() == 0


def test_an_answer_is_taken_apart_with_its_braces() -> None:
    assert take_apart("a=1&b={x=1&y={z=2}}&c=p=q==&d=") == {"a": "1", "b": "{x=1&y={z=2}}", "c": "p=q==", "d": ""}
    for text in ("", "a", "=1", "a=1&a=2", "a={b", "a=1&&b=2"):
        assert take_apart(text) is None


def known(code: str, **more: str) -> dict[str, str]:
    return {"respCode": "00", "origRespCode": code, **more}


ABSENT = {"respCode": "34"}


@pytest.mark.parametrize(
    ("asked", "told", "expected"),
    [
        (known("00", txnAmt="300"), {}, MoneyAnswer(standing="done")),
        (known("00", txnAmt="200"), {}, MoneyAnswer(standing="failed", reason="other_amount")),
        (known("05"), {}, MoneyAnswer(standing="pending", reason="orig_05")),
        (known("61"), {}, MoneyAnswer(standing="failed", reason="orig_61")),
        ({"respCode": "02"}, {}, MoneyAnswer(standing="no_answer", reason="resp_02")),
        (ABSENT, {"respCode": "00"}, MoneyAnswer(standing="pending", reason="accepted")),
        (ABSENT, {"respCode": "05"}, MoneyAnswer(standing="pending", reason="accepted")),
        (ABSENT, {"respCode": "12"}, MoneyAnswer(standing="pending", reason="accepted")),
        (ABSENT, {"respCode": "35"}, MoneyAnswer(standing="failed", reason="resp_35")),
        (ABSENT, {"respCode": "06"}, MoneyAnswer(standing="no_answer", reason="resp_06")),
        (ABSENT, 500, MoneyAnswer(standing="no_answer", reason="http_500")),
    ],
)
async def test_refunds_are_asked_about_before_they_are_sent(
    unionpay: Unionpay, channel: UnionpayChannel, asked: Any, told: Any, expected: MoneyAnswer
) -> None:
    unionpay.answers.update({ASK: [GOT, asked], REFUND: told})
    assert await channel.refund(NO, "REFUND01", Fen(300)) == expected
    for sent in unionpay.of(REFUND):
        assert (sent["orderId"], sent["txnTime"], sent["txnAmt"], sent["origQryId"], sent["_"]) == (
            "REFUND01", SENT, "300", "Q1", "/gateway/api/backTransReq.do",
        )  # fmt: skip


async def test_no_payment_no_refund(unionpay: Unionpay, channel: UnionpayChannel) -> None:
    unionpay.answers[ASK] = ABSENT
    assert (await channel.refund(NO, "REFUND01", Fen(300))).standing == "no_answer"
    assert (await channel.give_back(NO, f"{NO}U1", Fen(300))).standing == "no_answer"


async def test_the_whole_of_todays_payment_is_undone(unionpay: Unionpay, channel: UnionpayChannel) -> None:
    unionpay.answers.update({ASK: [GOT, ABSENT, GOT, known("00", txnAmt="1205")], UNDO: {"respCode": "00"}})
    assert (await channel.give_back(NO, f"{NO}U1", Fen(1205))).standing == "pending"
    assert (await channel.give_back(NO, f"{NO}U1", Fen(1205))).standing == "done"
    assert [each["orderId"] for each in unionpay.of(UNDO)] == [f"{NO}U1"]


async def test_what_cannot_be_undone_is_refunded(unionpay: Unionpay, channel: UnionpayChannel) -> None:
    unionpay.answers.update({ASK: [GOT, known("39"), ABSENT], REFUND: {"respCode": "00"}})
    assert (await channel.give_back(NO, f"{NO}U1", Fen(1205))).standing == "pending"
    (sent,) = unionpay.of(REFUND)
    assert (len(sent["orderId"]), sent["reqReserved"]) == (32, f"{NO}U1")
    unionpay.answers[ASK] = [GOT, known("00", txnAmt="1")]
    assert (await channel.give_back(NO, f"{NO}U1", Fen(1205))).reason == "other_amount"
    assert len(unionpay.of(REFUND)) == 1


@pytest.mark.parametrize(
    ("given_at", "amount_fen"),
    [(WRITTEN, 1204), (WRITTEN + timedelta(days=1), 1205), (WRITTEN + timedelta(hours=12), 1205), (None, 1205)],
)
async def test_a_part_a_later_day_and_the_evening_are_refunded(
    unionpay: Unionpay, channel: UnionpayChannel, books: Books, given_at: datetime | None, amount_fen: int
) -> None:
    books.at[f"{NO}U1"] = given_at
    unionpay.answers.update({ASK: [GOT, ABSENT], REFUND: {"respCode": "00"}})
    answer = await channel.give_back(NO, f"{NO}U1", Fen(amount_fen))
    assert answer.standing == ("no_answer" if given_at is None else "pending")
    assert unionpay.of(UNDO) == []


async def test_numbers_that_unionpay_does_not_take_become_digests(unionpay: Unionpay, channel: UnionpayChannel) -> None:
    unionpay.answers.update({ASK: [GOT, ABSENT, GOT, ABSENT], REFUND: {"respCode": "00"}})
    await channel.refund(NO, "ref_1-a", Fen(1))
    await channel.refund(NO, "ref_1-a", Fen(1))
    first, second = unionpay.of(REFUND)
    assert first["orderId"] == second["orderId"] and first["orderId"].isalnum()
    assert first["reqReserved"] == "ref_1-a"


async def test_nothing_is_split(channel: UnionpayChannel, books: Books, key_file: str) -> None:
    parts = [Receiver(party="runner", account_ref="run_1", amount_fen=Fen(1))]
    assert [each.standing for each in (await channel.split(NO, "S1", parts)).receivers] == ["closed"]
    paying = UnionpayChannel(config("http://127.0.0.1:9", key_file, parts_paid_by="merchant"), books.first_written)
    assert [each.standing for each in (await paying.split(NO, "S1", parts)).receivers] == ["paid"]
    assert (await channel.take_back(NO, "B1", "S1", parts[0])).standing == "failed"
    assert (await channel.transfer("W1", "run_1", {}, Fen(1))).standing == "failed"


def posted(unionpay: Unionpay, **changes: str) -> bytes:
    notice = {
        "merId": MERCHANT, "orderId": NO, "txnTime": SENT, "txnType": "01", "respCode": "00", "queryId": "Q1",
        "txnAmt": "1205", "accNo": "6216***", **changes,
    }  # fmt: skip
    return urlencode(unionpay.signed(notice)).encode()


async def test_what_unionpay_tells(unionpay: Unionpay, channel: UnionpayChannel) -> None:
    paid = PaidNotice(notice_id="Q1-00", attempt_id=NO, amount_fen=Fen(1205), transaction_id="Q1")
    assert channel.read_callback({}, posted(unionpay)) == paid
    assert channel.read_callback({}, posted(unionpay, txnType="04", orderId="REFUND01")) == MoneyNotice(
        notice_id="Q1-00", number="REFUND01"
    )
    reserved = posted(unionpay, txnType="31", orderId="0" * 32, reqReserved="ref_1-a")
    assert channel.read_callback({}, reserved) == MoneyNotice(notice_id="Q1-00", number="ref_1-a")
    assert channel.read_callback({}, posted(unionpay, respCode="61")) == OtherNotice(notice_id="Q1-61", what="01-61")
    assert channel.reply(is_accepted=True).status == 200
    assert channel.reply(is_accepted=False).status != 200


async def test_what_is_not_believed(unionpay: Unionpay, channel: UnionpayChannel) -> None:
    for body, why in [
        (posted(unionpay, merId="898000000000001"), "merId"),
        (posted(unionpay, txnAmt="12.05"), "txnAmt"),
        (posted(unionpay, queryId=""), "queryId"),
        (posted(unionpay).replace(b"1205", b"1"), "signature"),
        (posted(unionpay) + b"&txnAmt=1", "comes twice"),
        (b"\xff", "not a form"),
        (b"a", "not a form"),
    ]:
        notice = channel.read_callback({}, body)
        assert isinstance(notice, BadNotice)
        assert why in notice.reason
