"""The card centre of the simulator keeps the campus-card contract: what a debit, a reversal and a nonce promise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import ClientSession

from payments.channels import campus_card_signing as signing
from payments.channels.campus_card import CampusCardChannel
from payments.channels.china import beijing_day
from payments.money import Fen
from payments.outcomes import Bill, Declined, NoBill, Succeeded, Unknown
from payments.simulator.campus_card import LADDER_S
from payments.simulator.house import House, Plan
from payments.simulator.protocol import BadOption
from tests.simulator_channels import Rig, rig
from tests.simulator_house import until, wrong

pytestmark = pytest.mark.asyncio(loop_scope="module")
HERE = "/campus-card/v1"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["HMAC-SHA256", "RSA-SHA256"])
async def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """Both ways to sign."""
    options = {"algorithm": request.param}
    async with rig("campus_card", tmp_path_factory.mktemp("card"), options=options) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def one(shared: Rig) -> Rig:
    await shared.fresh()
    return shared


async def ask(one: Rig, method: str, path: str, content: Any = None, nonce: str = "") -> tuple[int, dict[str, Any]]:
    """A message of the merchant's, and the centre's answer, which has to be proved."""
    body = b"" if content is None else msgspec.json.encode(content)
    signer, merchant = one.config.signer(), one.config.merchant
    given = nonce or one.house.desk.new_token()
    headers = signing.signed_headers(
        signer, signing.request_subject(method, HERE + path), merchant, body, time.time(), given
    )
    async with (
        ClientSession() as session,
        session.request(method, one.house.base_url + HERE + path, data=body or None, headers=headers) as response,
    ):
        answer = await response.read()
        subject = signing.reply_subject(response.status, given)
        why = signing.why_not_proved(signer, subject, merchant, response.headers, answer, time.time())
        assert why is None, why
        return response.status, msgspec.json.decode(answer)


def wanted(one: Rig, **more: Any) -> dict[str, Any]:
    usual = {"number": one.number, "amount_fen": 1000, "card_token": "CARD1", "description": "奶茶", "currency": "CNY"}
    return {**usual, "good_until": int(time.time()) + 60, "notify_url": one.server.url, **more}


async def test_a_number_moves_money_once(one: Rig) -> None:
    status, first = await ask(one, "POST", "/debits", wanted(one))
    assert (status, first["state"]) == (200, "paid")
    assert await ask(one, "POST", "/debits", wanted(one)) == (200, first)
    assert await ask(one, "GET", f"/debits/{one.number}") == (200, first)
    for other in ({"amount_fen": 1001}, {"card_token": "CARD2"}):
        status, no = await ask(one, "POST", "/debits", wanted(one, **other))
        assert (status, no["code"]) == (409, "mismatch")
    assert len(one.book().charges) == 1
    status, late = await ask(one, "POST", f"/debits/{one.number}/reverse", {})
    assert (status, late["state"]) == (200, "paid"), "too late to reverse"


async def test_a_reversal_works_ahead_of_its_debit(one: Rig) -> None:
    wrong(one.house, "delay op=debit ms=700 count=1")
    channel: CampusCardChannel = one.channel
    debit = asyncio.create_task(channel.debit(one.order()))
    await until(lambda: one.house.faults.rules()[0].fired, "the debit's arrival")
    assert (await channel.query(one.number)).standing == "absent"
    assert await channel.close(one.number) == "asked"
    assert (await channel.query(one.number)).standing == "closed"
    assert await debit == Declined("reversed")
    assert not one.book().charges, "it arrived after its reversal"


async def test_a_debit_may_be_taken_after_a_reversal_that_was_only_said(one: Rig) -> None:
    wrong(one.house, "no_effect op=close count=1")
    assert await one.channel.close(one.number) == "asked"
    assert (await one.channel.query(one.number)).standing == "absent"
    assert isinstance(await one.channel.debit(one.order()), Succeeded)


async def test_a_debit_that_nobody_answers_for_was_taken(one: Rig) -> None:
    wrong(one.house, "drop_after op=debit count=1")
    assert isinstance(await one.channel.debit(one.order()), Unknown)
    assert await one.channel.close(one.number) == "paid"
    assert len(one.book().charges) == 1
    await until(lambda: one.server.paid(one.number), "the notice")


async def test_what_is_declined_stays_declined(one: Rig) -> None:
    status, late = await ask(one, "POST", "/debits", wanted(one, good_until=int(time.time()) - 1))
    assert (status, late["state"], late["reason"]) == (200, "declined", "too_late")
    assert (await ask(one, "POST", "/debits", wanted(one)))[1]["state"] == "declined"
    wrong(one.house, "insufficient op=debit count=1")
    poor = await one.channel.debit(one.order(f"{one.number}B"))
    assert poor == Declined("insufficient")
    assert (await one.channel.query(f"{one.number}B")).standing == "closed"
    assert (await one.channel.give_back(one.number, f"{one.number}R", Fen(1))).standing == "failed"


@pytest.mark.parametrize(
    ("method", "path", "content", "expected"),
    [
        ("POST", "/debits", {"number": "12345678"}, (400, "invalid")),
        ("POST", "/debits", {"number": "short"}, (400, "invalid")),
        ("GET", "/debits/NOBODY001", None, (404, "not_found")),
        ("POST", "/debits/NOBODY001/refunds", {"number": "REFUND99", "amount_fen": 1}, (404, "not_found")),
        ("POST", "/debits/NOBODY001/refunds", {"number": "no", "amount_fen": 1}, (400, "invalid")),
        ("POST", "/debits/no/reverse", {}, (400, "invalid")),
        ("GET", "/bills/soon", None, (400, "invalid")),
        ("GET", "/bills/2101-01-01", None, (404, "no_bill")),
        ("DELETE", "/debits", None, (404, "invalid")),
    ],
)
async def test_faults(one: Rig, method: str, path: str, content: Any, expected: tuple[int, str]) -> None:
    status, no = await ask(one, method, path, content)
    assert (status, no["code"]) == expected


async def test_a_bad_debit_is_invalid(one: Rig) -> None:
    for more in ({"number": "no"}, {"amount_fen": 0}, {"amount_fen": "1"}, {"currency": "USD"}):
        status, no = await ask(one, "POST", "/debits", wanted(one, **more))
        assert (status, no["code"]) == (400, "invalid"), more


async def test_a_message_is_good_once_and_only_as_it_was_signed(one: Rig) -> None:
    nonce = one.house.desk.new_token()
    assert (await ask(one, "GET", f"/debits/{one.number}", nonce=nonce))[0] == 404
    status, no = await ask(one, "GET", f"/debits/{one.number}", nonce=nonce)
    assert (status, no["code"]) == (401, "replayed")
    async with ClientSession() as session, session.get(f"{one.house.base_url}{HERE}/debits/{one.number}") as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (401, "algorithm")


async def test_the_bill_comes_when_the_day_is_over(tmp_path: Any) -> None:
    async with rig("campus_card", tmp_path, options={"bills_at_once": "false", "any_card": "false"}) as made:
        assert await made.channel.debit(made.order()) == Declined("unknown_card")
        made.house.desk.make_contract("campus_card", "CARD1", "student", 1500)
        assert isinstance(await made.channel.debit(made.order(f"{made.number}B")), Succeeded)
        assert await made.channel.debit(made.order(f"{made.number}C")) == Declined("insufficient"), "the card is empty"
        today = beijing_day(made.house.clock.now())
        assert isinstance(await made.channel.bill(today), NoBill)
        tomorrow = made.house.clock.now() + timedelta(days=1)
        made.house.set_clock(rate=1, calendar_rate=1, now_ms=round(tomorrow.timestamp() * 1000))
        bill = await made.channel.bill(today)
        assert isinstance(bill, Bill) and [line.number for line in bill.trades] == [f"{made.number}B"]


async def test_it_is_told_on_the_contracts_ladder(one: Rig) -> None:
    one.server.refusals = 2
    await one.paid()
    await until(lambda: len(one.server.heard) == 3, "three notices")
    assert len(set(one.server.paid(one.number))) == 1
    assert [step / 60 for step in LADDER_S] == [4, 10, 10, 60, 120, 360, 900]


async def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(BadOption, match="card_fen"):
        House(Plan(channels=("campus_card",), options={"campus_card": {"algorithm": "MD5"}}))
