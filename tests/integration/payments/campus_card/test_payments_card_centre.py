"""The campus card against the card centre that the document shows, run as it stands there."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import ClientSession

from payments.channels.campus_card import CampusCardChannel
from payments.channels.china import beijing_day
from payments.money import Fen
from payments.outcomes import Bill, Declined, MoneyAnswer, QueryAnswer, Succeeded, Unknown
from tests.payments_campus_card import config, debit_of


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
    slow = CampusCardChannel(config(centre[0]), wall_s=lambda: datetime.now(UTC).timestamp() - 280)
    replayed = CampusCardChannel(config(centre[0]), new_nonce=lambda: "1" * 32)
    assert (await slow.query("DEBIT0008")).standing == "absent"
    assert (await replayed.query("DEBIT0008")).standing == "absent"
    assert (await replayed.query("DEBIT0008")).standing == "no_answer"
    assert await replayed.debit(debit_of("DEBIT0008")) == Unknown("replayed")
    await slow.stop()
    await replayed.stop()
    async with ClientSession() as session, session.get(f"{centre[0]}/debits/DEBIT0008") as reply:
        assert (reply.status, await reply.json(content_type=None)) == (401, {"code": "wrong_signature"})
