"""The sandbox's bank by itself: its rules, its script of faults, and the notices that it must prove."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from payments.channels import sandbox_signing as signing
from payments.channels.sandbox_bank import SandboxBank
from payments.channels.sandbox_books import FAULTS
from payments.money import Fen
from payments.outcomes import BadNotice, OrderToCreate, PaidNotice, Receiver
from tests.payments_desk import SECRET, START, Desk, sqlite_desk


def _order(number: str = "ORDER0001") -> OrderToCreate:
    return OrderToCreate(
        attempt_id=number,
        amount_fen=500,
        description="x",
        order_ref="ref",
        payer_ref="p",
        expires_at=START + timedelta(minutes=5),
    )


async def test_the_bank_keeps_its_rules(desk: Desk) -> None:
    bank = desk.bank
    token = await bank.create("sandbox", _order())
    assert await bank.create("sandbox", _order()) == token
    page = await bank.page(token)
    assert page is not None
    assert page.state == "open"
    assert await bank.page("nothing") is None
    assert (await bank.give_back("nothing", "N1", 5)).reason == "no_such_order"
    assert (await bank.refund("nothing", "N1", 5)).reason == "no_such_order"
    assert (await bank.split("nothing", "N1", ())).reason == "no_such_order"
    assert await bank.cancel("nothing") == "asked"
    assert (await bank.query("nothing")).standing == "absent"
    bank.notify = None
    assert await bank.pay(token) == "paid"
    assert await bank.cancel("ORDER0001") == "paid"
    too_much = Receiver(party="runner", account_ref="run", amount_fen=Fen(501))
    assert (await bank.split("ORDER0001", "S1", [too_much])).reason == "not_enough_frozen"
    assert (await bank.give_back("ORDER0001", "U1", 501)).reason == "not_enough_frozen"
    assert (await bank.refund("ORDER0001", "R1", 1)).reason == "not_enough_split"


async def test_the_same_number_moves_money_once(desk: Desk) -> None:
    bank = desk.bank
    bank.notify = None
    await bank.pay(await bank.create("sandbox", _order()))
    receiver = Receiver(party="runner", account_ref="run", amount_fen=Fen(300))
    for _ in range(2):
        assert (await bank.split("ORDER0001", "S1", [receiver])).receivers[0].standing == "paid"
        assert (await bank.refund("ORDER0001", "R1", Fen(100))).standing == "done"
        assert (await bank.give_back("ORDER0001", "U1", Fen(200))).standing == "done"
    (book,) = await bank.books("sandbox")
    assert (book.paid_fen, book.split_fen, book.returned_fen, book.refunded_fen, book.frozen_fen) == (
        500,
        300,
        200,
        100,
        0,
    )


async def test_scripts_are_listed_checked_and_cleared(desk: Desk) -> None:
    await desk.fault("slow", "a", count=3, value="1")
    (script,) = await desk.bank.scripts()
    assert (script.order_ref, script.fault, script.remaining, script.value) == ("ord_a", "slow", 3, "1")
    await desk.bank.clear_scripts()
    assert await desk.bank.scripts() == []
    with pytest.raises(ValueError, match="no such fault"):
        await desk.bank.script("*", "boredom")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no such fault"):
        await desk.bank.script("*", "slow", 0)
    await desk.open(description="[sandbox:boredom] [sandbox:slow=0.01*1]")
    assert await desk.states() == ["sandbox:issued"]
    assert len(FAULTS) == len(set(FAULTS))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({signing.SIGNATURE: "0" * 64}, "wrong signature"),
        ({signing.SIGNATURE: "ä"}, "wrong signature"),
        ({signing.NONCE: ""}, "not signed"),
        ({signing.TIMESTAMP: "soon"}, "not signed"),
        ({signing.TIMESTAMP: "²"}, "not signed"),
        ({signing.TIMESTAMP: "1000"}, "wrong signature"),
    ],
)
async def test_a_notice_must_be_proved(desk: Desk, change: dict[str, str], why: str) -> None:
    body = b'{"id":"N1","event":"paid","out_no":"ORDER0001","amount_fen":5,"transaction_id":"T"}'
    channel = desk.channel()
    headers = signing.headers(SECRET, body, channel._wall_s(), "nonce")
    assert isinstance(channel.read_callback(headers, body), PaidNotice)
    assert isinstance(channel.read_callback({k.lower(): v for k, v in headers.items()}, body), PaidNotice)
    assert channel.read_callback(headers | change, body) == BadNotice(why)
    assert channel.read_callback(headers, body + b" ") == BadNotice("wrong signature")
    reply = await desk.payments.callback("sandbox", headers | change, body)
    assert reply.status == 400


async def test_a_proved_notice_must_be_fresh_and_make_sense(desk: Desk) -> None:
    channel = desk.channel()
    body = b"{}"
    old = signing.headers(SECRET, body, channel._wall_s() - 301, "nonce")
    assert channel.read_callback(old, body) == BadNotice("not fresh")
    fresh = signing.headers(SECRET, body, channel._wall_s(), "nonce")
    assert isinstance(channel.read_callback(fresh, body), BadNotice)
    body = b'{"id":"N1","event":"paid","out_no":"ORDER0001","amount_fen":5,"transaction_id":"T"}'
    proved = signing.headers(SECRET, body, channel._wall_s(), "nonce")
    assert (await desk.payments.callback("sandbox", proved, body)).status == 400, "nobody knows this order"


async def test_a_notice_cannot_come_through_another_channel(desk: Desk) -> None:
    await desk.open()
    attempt = (await desk.view()).attempts[0].attempt_id
    body = msgspec.json.encode(
        {"id": "N1", "event": "paid", "out_no": attempt, "amount_fen": 1000, "transaction_id": "T"}
    )
    proved = signing.headers(SECRET, body, desk.channel()._wall_s(), "nonce")
    assert (await desk.payments.callback("sandbox_backup", proved, body)).status == 400
    assert (await desk.payments.callback("sandbox", proved, body)).status == 200


def test_sealed_orders_are_proved() -> None:
    token = signing.seal(SECRET, "code", _order())
    sealed = signing.unseal(SECRET, token)
    assert sealed is not None
    assert sealed.order == _order()
    assert signing.unseal(b"another secret", token) is None
    assert signing.unseal(SECRET, "plain") is None
    assert signing.unseal(SECRET, token[:-1]) is None
    for text in ("!!!", "e30="):
        forged = f"{text}.{signing._sign(SECRET, 'seal', '', text.encode())}"
        assert signing.unseal(SECRET, forged) is None


async def test_two_banks_on_one_database(tmp_path: Path) -> None:
    """Another process's bank knows the same orders, and a due notice is sent by one of them."""
    async with sqlite_desk(tmp_path) as desk:
        other = SandboxBank(f"sqlite:///{tmp_path}/bank.db", lambda: desk.at, SECRET, desk.payments.callback)
        await desk.open()
        notify, desk.bank.notify = desk.bank.notify, None
        assert await other.pay(await desk.token()) == "paid"
        desk.bank.notify = notify
        assert await desk.bank.work() == 0
        assert (await desk.view()).state == "success"
        other.close()
