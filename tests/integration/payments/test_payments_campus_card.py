"""The campus card: against the card centre that the document shows, and against one that does what it should not."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from payments.channels import campus_card_signing as signing
from payments.channels.campus_card import CARD_TOKEN, CampusCardChannel
from payments.channels.campus_card_config import CampusCardConfig
from payments.channels.china import beijing_day
from payments.channels.signing_keys import BadSetting
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
from tests.payments_keys import private_pem, public_pem, rsa_key
from tests.payments_providers import Provider, Silent, order, served

SECRET = "a secret of the tests, of 32 bytes or more"
DOCUMENT = Path(__file__).parents[3] / "docs" / "CAMPUS_CARD.md"
NO = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"
NONCE = "0123456789abcdef"


def config(base_url: str, **fields: Any) -> CampusCardConfig:
    return CampusCardConfig(
        **{
            "environment": "simulator",
            "merchant": "campus-errands",
            "base_url": base_url,
            "notify_url": "http://127.0.0.1/callbacks/campus_card",
            "algorithm": "HMAC-SHA256",
            "secret": SECRET,
            **fields,
        }
    )


def debit_of(number: str, amount_fen: int = 1205, token: str = "card-1") -> Any:
    return order(number, amount_fen, payer={CARD_TOKEN: token})


# -- the card centre of the document ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address and the books of the example, run as it stands in the document."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    folder = tmp_path_factory.mktemp("centre")
    (folder / "card_centre.py").write_text(code, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "card_centre.py", "0", "cards.sqlite"],
        cwd=folder,
        env={**os.environ, "CARD_SECRET": SECRET},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with sqlite3.connect(folder / "cards.sqlite") as books:
            books.execute("INSERT INTO cards VALUES ('card-1', 100000), ('card-2', 10)")
        yield f"http://127.0.0.1:{port}/campus-card/v1", folder / "cards.sqlite"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def card(centre: tuple[str, Path]) -> AsyncIterator[CampusCardChannel]:
    channel = CampusCardChannel(config(centre[0]))
    await channel.start()
    yield channel
    await channel.stop()


def balance_fen(centre: tuple[str, Path]) -> int:
    with sqlite3.connect(centre[1]) as books:
        found: int = books.execute("SELECT balance_fen FROM cards WHERE token = 'card-1'").fetchone()[0]
    return found


async def test_a_debit_takes_the_money_once(card: CampusCardChannel, centre: tuple[str, Path]) -> None:
    before = balance_fen(centre)
    paid = Succeeded(Fen(1205), "CCDEBIT0001")
    assert await card.debit(debit_of("DEBIT0001")) == paid
    assert await card.debit(debit_of("DEBIT0001")) == paid
    assert await card.query("DEBIT0001") == QueryAnswer(
        standing="paid", amount_fen=Fen(1205), transaction_id="CCDEBIT0001"
    )
    assert await card.close("DEBIT0001") == "paid"
    assert balance_fen(centre) == before - 1205
    assert await card.debit(debit_of("DEBIT0001", 1)) == Unknown("mismatch")


async def test_a_no_is_a_promise(card: CampusCardChannel) -> None:
    assert await card.debit(debit_of("DEBIT0002", token="card-2")) == Declined("insufficient")
    assert await card.debit(debit_of("DEBIT0003", token="nobody")) == Declined("unknown_card")
    assert (await card.query("DEBIT0002")).standing == "closed"
    assert await card.debit(debit_of("short")) == Declined("invalid", may_switch=False)


async def test_a_reversal_works_ahead(card: CampusCardChannel, centre: tuple[str, Path]) -> None:
    before = balance_fen(centre)
    assert (await card.query("DEBIT0004")).standing == "absent"
    assert await card.close("DEBIT0004") == "asked"
    assert await card.debit(debit_of("DEBIT0004")) == Declined("reversed")
    assert (await card.query("DEBIT0004")).standing == "closed"
    assert balance_fen(centre) == before


async def test_nothing_is_taken_late(centre: tuple[str, Path]) -> None:
    clock = datetime.now(UTC) - timedelta(seconds=200)
    late = CampusCardChannel(config(centre[0]), wall_s=clock.timestamp)
    assert await late.debit(debit_of("DEBIT0005")) == Declined("too_late")
    await late.stop()


async def test_refunds_of_parts_until_the_whole_is_back(card: CampusCardChannel, centre: tuple[str, Path]) -> None:
    before = balance_fen(centre)
    await card.debit(debit_of("DEBIT0006"))
    for _ in range(2):
        assert await card.refund("DEBIT0006", "refund_6-a", Fen(205)) == MoneyAnswer(standing="done")
    assert await card.give_back("DEBIT0006", "DEBIT0006U1", Fen(1000)) == MoneyAnswer(standing="done")
    assert balance_fen(centre) == before
    assert await card.refund("DEBIT0006", "refund_6-b", Fen(1)) == MoneyAnswer(standing="failed", reason="too_much")
    assert await card.refund("DEBIT9999", "refund_6-c", Fen(1)) == MoneyAnswer(standing="failed", reason="not_paid")
    mismatch = await card.refund("DEBIT0006", "refund_6-a", Fen(200))
    assert mismatch == MoneyAnswer(standing="no_answer", reason="mismatch")


async def test_the_bill_of_a_day(card: CampusCardChannel) -> None:
    await card.debit(debit_of("DEBIT0007", 700))
    await card.refund("DEBIT0007", "refund_7", Fen(100))
    today = beijing_day(datetime.now(UTC))
    bill = await card.bill(today)
    assert isinstance(bill, Bill)
    mine = [line for line in bill.trades if line.attempt_id == "DEBIT0007"]
    assert [(line.kind, line.number, line.amount_fen) for line in mine] == [
        ("paid", "DEBIT0007", 700), ("refunded", "refund_7", 100),
    ]  # fmt: skip
    assert all(line.at is not None and beijing_day(line.at) == today for line in mine)
    yesterday = await card.bill(today - timedelta(days=1))
    assert isinstance(yesterday, Bill)
    assert yesterday.trades == ()


async def test_the_centre_believes_only_what_is_signed_fresh_and_new(centre: tuple[str, Path]) -> None:
    stranger = CampusCardChannel(config(centre[0], secret="another secret of 32 bytes or more."))
    answer = await stranger.debit(debit_of("DEBIT0008"))
    assert answer == Unknown("wrong_signature"), "we do not believe the centre either: it signs with another secret"
    await stranger.stop()
    slow = CampusCardChannel(config(centre[0]), wall_s=lambda: datetime.now(UTC).timestamp() - 299)
    replayed = CampusCardChannel(config(centre[0]), new_nonce=lambda: "1" * 32)
    assert (await slow.query("DEBIT0008")).standing == "absent"
    assert (await replayed.query("DEBIT0008")).standing == "absent"
    assert (await replayed.query("DEBIT0008")).standing == "no_answer"
    assert await replayed.debit(debit_of("DEBIT0008")) == Unknown("replayed")
    await slow.stop()
    await replayed.stop()
    async with ClientSession() as session, session.get(f"{centre[0]}/debits/DEBIT0008") as reply:
        assert (reply.status, await reply.json(content_type=None)) == (401, {"code": "wrong_signature"})


# -- a card centre that does what it should not -----------------------------------------------------------------------


class Centre(Provider):
    """Answers go by method and path: (status, content), bytes, or Silent; signed with ``signer``, at ``wall_s``."""

    def __init__(self, signer: signing.Signer) -> None:
        super().__init__()
        self.signer = signer
        self.late_s = 0.0
        self.nonce_of_request = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        now = datetime.now(UTC).timestamp()
        subject = signing.request_subject(request.method, request.path)
        assert signing.why_not_proved(self.signer, subject, "campus-errands", request.headers, body, now) is None
        name = f"{request.method} {request.path}"
        self.heard.append((name, json.loads(body or b"{}")))
        answer = await self.next_answer(name)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        status, content = answer
        raw = json.dumps(content).encode()
        nonce = self.nonce_of_request or request.headers[signing.NONCE]
        headers = signing.signed_headers(
            self.signer, signing.reply_subject(status, nonce), "campus-errands", raw, now - self.late_s, NONCE
        )
        return web.Response(status=status, body=raw, headers=headers)


@pytest.fixture
async def rude() -> AsyncIterator[Centre]:
    provider = Centre(signing.RsaSigner(rsa_key("card"), rsa_key("merchant").public_key()))
    async with served(provider.handle) as provider.base_url:
        yield provider


@pytest.fixture
async def channel(rude: Centre) -> AsyncIterator[CampusCardChannel]:
    channel = CampusCardChannel(with_rsa(f"{rude.base_url}/v1"))
    yield channel
    await channel.stop()


def with_rsa(base_url: str, **fields: Any) -> CampusCardConfig:
    keys = {"secret": "", "private_key": private_pem("merchant"), "card_public_key": public_pem("card")}
    return config(base_url, algorithm="RSA-SHA256", **{**keys, **fields})


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


# -- notices ----------------------------------------------------------------------------------------------------------


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


# -- setting up -------------------------------------------------------------------------------------------------------

URL = "https://card.example.edu.cn/campus-card/v1"
NOTIFY = "https://pay.example.edu.cn/callbacks/campus_card"


def test_a_live_card_centre(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    made = config(
        URL, environment="live", notify_url=NOTIFY, secret=str(path), backup_url="https://b.edu.cn/campus-card/v1"
    )
    assert made.signer().sign(b"x") == signing.HmacSigner(SECRET.encode()).sign(b"x")
    assert "secret" not in repr(made)
    path.chmod(0o644)
    with pytest.raises(BadSetting, match="^secret: others may read"):
        made.signer()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": "C"}, "code: "),
        ({"merchant": "a b"}, "merchant: "),
        ({"base_url": "http://card.example.edu.cn"}, "base_url: must begin with https"),
        ({"base_url": "card"}, "base_url: "),
        ({"backup_url": "https://b.edu.cn/v2"}, "backup_url: must have the path"),
        ({"backup_url": "http://b.edu.cn/campus-card/v1"}, "backup_url: must begin with https"),
        ({"notify_url": "https://10.0.0.1/x"}, "notify_url: "),
        ({"life_s": 5}, "life_s: "),
        ({"expiry_margin_s": 5}, "expiry_margin_s: "),
        ({"limit_fen": 0}, "limit_fen: "),
        ({"secret": "short"}, "secret: at least 32"),
        ({"secret": "/nowhere/secret"}, "secret: the file cannot be read"),
        ({"private_key": "x"}, "private_key: is not used"),
        ({"algorithm": "MD5"}, "algorithm: "),
        ({"algorithm": "RSA-SHA256"}, "secret: is not used"),
        ({"algorithm": "RSA-SHA256", "secret": ""}, "private_key: "),
    ],
)
def test_what_cannot_work_is_refused_by_name(changes: dict[str, Any], why: str) -> None:
    fields = {"environment": "live", "notify_url": NOTIFY, **changes}
    with pytest.raises(BadSetting, match=f"^{why}"):
        config(fields.pop("base_url", URL), **fields)


def test_ones_own_public_key_is_not_the_centres() -> None:
    with pytest.raises(BadSetting, match="^card_public_key: is your own"):
        with_rsa(URL, card_public_key=public_pem("merchant"))
