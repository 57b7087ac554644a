"""The campus card against a card centre that does what it should not."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from payments.channels import campus_card_signing as signing
from payments.channels.campus_card import CARD_TOKEN, CampusCardChannel
from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    Bill,
    Declined,
    MoneyAnswer,
    MoneyNotice,
    NoBill,
    NotIssued,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
    Receiver,
    Succeeded,
    Unknown,
)
from tests.payments_campus_card import NONCE, Centre, config, debit_of, with_rsa
from tests.payments_keys import rsa_key
from tests.payments_providers import Silent, order

NO = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"


def debit(state: str, **more: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"number": NO, "state": state, **more}


PAID = debit("paid", amount_fen=1205, transaction_id="T1")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (PAID, Succeeded(Fen(1205), "T1")),
        (debit("paid", amount_fen=1205), Unknown("paid")),
        (debit("processing"), Unknown("processing")),
        (debit("declined"), Declined("declined")),
        (debit("declined", reason="limit"), Declined("limit")),
        (debit("something"), Unknown("http_200")),
        ((200, {**PAID[1], "number": "another0"}), Unknown("http_200")),
        ((200, []), Unknown("http_200")),
        ((401, {"code": "not_fresh"}), Declined("not_fresh")),
        ((400, {"code": "invalid"}), Declined("invalid", may_switch=False)),
        ((409, {"code": "mismatch"}), Unknown("mismatch")),
        ((400, {}), Unknown("http_400")),
        ((500, {"code": "invalid"}), Unknown("http_500")),
        (b'{"number":"x","state":"declined"}', Unknown("algorithm")),
    ],
)
async def test_only_a_signed_no_is_a_no(rude: Centre, channel: CampusCardChannel, answer: Any, expected: Any) -> None:
    rude.answers["POST /v1/debits"] = answer
    assert await channel.debit(debit_of(NO)) == expected
    ((_, heard),) = rude.heard
    assert (heard["number"], heard["amount_fen"], heard["currency"], heard["card_token"]) == (
        NO, 1205, "CNY", "card-1",
    )  # fmt: skip
    assert abs(heard["good_until"] - datetime.now(UTC).timestamp() - 60) < 30


async def test_an_answer_to_another_request_an_old_one_and_a_strangers_are_unknown(
    rude: Centre, channel: CampusCardChannel
) -> None:
    rude.answers["POST /v1/debits"] = debit("declined")
    rude.nonce_of_request = "f" * 32
    assert await channel.debit(debit_of(NO)) == Unknown("wrong_signature")
    rude.nonce_of_request, rude.late_s = "", 400.0
    assert await channel.debit(debit_of(NO)) == Unknown("not_fresh")
    rude.late_s, rude.signer = 0.0, signing.RsaSigner(rsa_key("stranger"), rsa_key("merchant").public_key())
    assert await channel.debit(debit_of(NO)) == Unknown("wrong_signature")


async def test_silence_is_unknown_and_an_unreachable_centre_is_not(rude: Centre, monkeypatch: Any) -> None:
    monkeypatch.setattr("payments.channels.campus_card.DEBIT_S", 0.3)
    rude.answers["POST /v1/debits"] = Silent
    channel = CampusCardChannel(with_rsa(f"{rude.base_url}/v1"))
    assert await channel.debit(debit_of(NO)) == Unknown("timeout")
    await channel.stop()
    nowhere = CampusCardChannel(config("http://127.0.0.1:1/v1"))
    assert await nowhere.debit(debit_of(NO)) == Declined("connect")
    assert (await nowhere.query(NO)).standing == "no_answer"
    assert await nowhere.close(NO) == "no_answer"
    assert await nowhere.debit(order(NO)) == Declined(f"{CARD_TOKEN}_missing")
    assert await nowhere.create_credential(order(NO)) == NotIssued("a_debit")
    assert await nowhere.work() == 0
    await nowhere.stop()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (PAID, QueryAnswer(standing="paid", amount_fen=Fen(1205), transaction_id="T1")),
        (debit("paid"), QueryAnswer(standing="no_answer")),
        (debit("processing"), QueryAnswer(standing="unpaid")),
        (debit("declined"), QueryAnswer(standing="closed")),
        (debit("reversed"), QueryAnswer(standing="closed")),
        ((404, {"code": "not_found"}), QueryAnswer(standing="absent")),
        ((404, {"code": "invalid"}), QueryAnswer(standing="no_answer")),
        ((404, []), QueryAnswer(standing="no_answer")),
        (b"not found", QueryAnswer(standing="no_answer")),
    ],
)
async def test_standings(rude: Centre, channel: CampusCardChannel, answer: Any, expected: QueryAnswer) -> None:
    rude.answers[f"GET /v1/debits/{NO}"] = answer
    assert await channel.query(NO) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, {"number": "R1", "state": "processing"}), MoneyAnswer(standing="pending")),
        ((200, {"number": "R1", "state": "failed", "reason": "closed_card"}),
         MoneyAnswer(standing="failed", reason="closed_card")),
        ((200, {"number": "R1", "state": "done", "amount_fen": 5}),
         MoneyAnswer(standing="failed", reason="other_amount")),
        ((200, {"number": "R2", "state": "done", "amount_fen": 7}),
         MoneyAnswer(standing="no_answer", reason="http_200")),
        ((401, {"code": "replayed"}), MoneyAnswer(standing="no_answer", reason="replayed")),
    ],
)  # fmt: skip
async def test_refunds(rude: Centre, channel: CampusCardChannel, answer: Any, expected: MoneyAnswer) -> None:
    rude.answers[f"POST /v1/debits/{NO}/refunds"] = answer
    assert await channel.refund(NO, "R1", Fen(7)) == expected


async def test_a_bill_whose_sums_do_not_agree_is_none(rude: Centre, channel: CampusCardChannel) -> None:
    day = date(2026, 10, 3)
    path = "GET /v1/bills/2026-10-03"
    line = {"kind": "paid", "debit_number": NO, "number": NO, "amount_fen": 5}
    rude.answers[path] = (200, {"day": "2026-10-03", "lines": [line], "paid_fen": 6, "refunded_fen": 0})
    assert isinstance(await channel.bill(day), NoBill)
    rude.answers[path] = (200, {"day": "2026-10-03", "lines": [line], "paid_fen": 5, "refunded_fen": 0})
    bill = await channel.bill(day)
    assert isinstance(bill, Bill) and bill.trades[0].at is None
    rude.answers[path] = (200, {"day": "2026-10-02", "lines": [], "paid_fen": 0, "refunded_fen": 0})
    assert isinstance(await channel.bill(day), NoBill)
    rude.answers[path] = (404, {"code": "no_bill"})
    assert await channel.bill(day) == NoBill(reason="no_bill", is_final=datetime.now(UTC).date() > date(2026, 10, 4))
    rude.answers["GET /v1/bills/2099-01-01"] = (404, {"code": "no_bill"})
    assert await channel.bill(date(2099, 1, 1)) == NoBill(reason="no_bill", is_final=False)


async def test_a_reversal_that_is_not_proved_is_no_answer(rude: Centre, channel: CampusCardChannel) -> None:
    rude.answers[f"POST /v1/debits/{NO}/reverse"] = [
        debit("reversed"),
        (500, {}),
        (200, {"number": "x", "state": "paid"}),
    ]
    assert [await channel.close(NO) for _ in range(3)] == ["asked", "no_answer", "no_answer"]


async def test_nothing_is_split(channel: CampusCardChannel) -> None:
    parts = [Receiver(party="runner", account_ref="run_1", amount_fen=Fen(1))]
    assert [each.standing for each in (await channel.split(NO, "S1", parts)).receivers] == ["closed"]
    paying = CampusCardChannel(config("http://127.0.0.1:9", parts_paid_by="merchant"))
    assert [each.standing for each in (await paying.split(NO, "S1", parts)).receivers] == ["paid"]
    assert (await channel.take_back(NO, "B1", "S1", parts[0])).standing == "failed"
    assert (await channel.transfer("W1", "run_1", {}, Fen(1))).standing == "failed"
    shape = channel.shape
    assert (shape.is_direct_debit, shape.creates_locally, shape.can_close, shape.can_split, shape.needs) == (
        True, False, True, False, (CARD_TOKEN,),
    )  # fmt: skip
    assert shape.expiry_margin_s == 180.0


def notice(subject: str = signing.NOTICE_SUBJECT, **content: Any) -> tuple[dict[str, str], bytes]:
    body = json.dumps({"id": "N1", "event": "debit_paid", "number": NO, **content}).encode()
    signer = signing.RsaSigner(rsa_key("card"), rsa_key("merchant").public_key())
    now = datetime.now(UTC).timestamp()
    return signing.signed_headers(signer, subject, "campus-errands", body, now, NONCE), body


async def test_what_the_centre_tells(channel: CampusCardChannel) -> None:
    paid = PaidNotice(notice_id="N1", attempt_id=NO, amount_fen=Fen(1205), transaction_id="T1")
    assert channel.read_callback(*notice(amount_fen=1205, transaction_id="T1")) == paid
    assert channel.read_callback(*notice()) == OtherNotice(notice_id="N1", what="debit_paid")
    assert channel.read_callback(*notice(event="refund_done", number="R1")) == MoneyNotice(notice_id="N1", number="R1")
    assert channel.read_callback(*notice(event="card_lost")) == OtherNotice(notice_id="N1", what="card_lost")
    assert channel.reply(is_accepted=True).status == 200
    assert channel.reply(is_accepted=False).status == 400


async def test_what_is_not_believed(channel: CampusCardChannel) -> None:
    headers, body = notice(amount_fen=1205, transaction_id="T1")
    assert channel.read_callback(headers, body + b" ") == BadNotice("wrong_signature")
    assert channel.read_callback({**headers, signing.MERCHANT: "another"}, body) == BadNotice("merchant")
    assert channel.read_callback({**headers, signing.NONCE: "x"}, body) == BadNotice("not_signed")
    assert channel.read_callback({**headers, signing.ALGORITHM: "none"}, body) == BadNotice("algorithm")
    assert channel.read_callback({}, body) == BadNotice("algorithm")
    # A reply of the centre is no notice of it, though it signed both.
    assert channel.read_callback(*notice(signing.reply_subject(200, "f" * 32))) == BadNotice("wrong_signature")
    assert isinstance(channel.read_callback(*notice(id=7)), BadNotice)
