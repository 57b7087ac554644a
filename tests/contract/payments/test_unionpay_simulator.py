"""UnionPay's own ways in the simulator: numbers and times, no closing, undoing, money that comes too late, its file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from payments.channels import unionpay_signing as signing
from payments.channels.unionpay import UnionpayChannel
from payments.channels.unionpay_gateway import take_apart
from payments.money import Fen
from payments.outcomes import Bill, Issued, MoneyNotice, NoBill
from payments.simulator.house import House, Plan
from payments.simulator.protocol import BadOption
from payments.simulator.unionpay import LADDER_S
from payments.simulator.unionpay_words import settle_day
from tests.simulator_channels import Rig, rig
from tests.simulator_house import admin, until, wrong

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig("unionpay_page", tmp_path_factory.mktemp("unionpay")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def one(shared: Rig) -> Rig:
    await shared.fresh()
    return shared


def stamp(at: datetime) -> str:
    return (at + timedelta(hours=8)).strftime("%Y%m%d%H%M%S")


async def ask(one: Rig, path: str, params: dict[str, str], **more: str) -> dict[str, str]:
    """A form of the merchant's, signed by hand; UnionPay's answer, taken apart."""
    common = {"encoding": "UTF-8", "accessType": "0", "bizType": "000201", "merId": one.config.mer_id}
    signed = {**signing.signed({**common, **params}, one.config.signing_key(datetime.now(UTC))), **more}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with (
        ClientSession() as session,
        session.post(one.house.base_url + path, data=urlencode(signed), headers=headers) as response,
    ):
        answer = take_apart(await response.text())
    assert answer is not None
    assert one.config.trust(datetime.now(UTC)).why_not_proved(answer, datetime.now(UTC)) is None
    return answer


APP, BACK, QUERY = (f"/gateway/api/{name}.do" for name in ("appTransReq", "backTransReq", "queryTrans"))


def wanted(one: Rig, **more: str) -> dict[str, str]:
    now = one.house.clock.now()
    return {
        "txnType": "01",
        "txnSubType": "01",
        "channelType": "08",
        "orderId": one.number,
        "txnTime": stamp(now),
        "txnAmt": "1000",
        "currencyCode": "156",
        "payTimeout": stamp(now + timedelta(minutes=15)),
        "backUrl": one.server.url,
        **more,
    }


# -- numbers and times ------------------------------------------------------------------------------------------------


async def test_the_same_number_at_another_time_is_another_order(one: Rig) -> None:
    first = wanted(one)
    second = wanted(one, txnTime=stamp(one.house.clock.now() + timedelta(seconds=1)))
    tns = [(await ask(one, APP, params))["tn"] for params in (first, first, second)]
    assert tns[0] == tns[1] != tns[2], "only the same time is the same order: a merchant has to keep it"
    assert [await one.pay(f"/pay/{tn}") for tn in tns] == ["paid", "already_paid", "paid"], "a double charge"
    found = await ask(one, QUERY, {"txnType": "00", "orderId": one.number, "txnTime": first["txnTime"]})
    assert (found["respCode"], found["origRespCode"], found["txnAmt"]) == ("00", "00", "1000")
    other = {"txnType": "00", "orderId": one.number, "txnTime": stamp(one.house.clock.now() + timedelta(hours=1))}
    assert (await ask(one, QUERY, other))["respCode"] == "34"


async def test_what_is_under_way_is_said_as_it_is_set(tmp_path: Any) -> None:
    async with rig("unionpay_app", tmp_path, options={"open_code": "03"}) as made:
        await made.begin()
        params = {"txnType": "00", "orderId": made.number, "txnTime": stamp(made.written[made.number])}
        found = await ask(made, QUERY, params)
        assert (found["respCode"], found["origRespCode"]) == ("00", "03")
        assert (await made.channel.query(made.number)).standing == "no_answer"


async def test_a_page_may_be_opened_again(one: Rig) -> None:
    credential = await one.credential()
    assert await one.till(credential) == await one.till(credential)
    assert (await one.channel.query(one.number)).standing == "no_answer", "it is under way"
    forged = {**credential["fields"], "txnAmt": "1"}
    async with ClientSession() as session, session.post(credential["url"], data=forged) as response:
        assert (response.status, "11" in await response.text()) == (200, True)


async def test_there_is_no_closing_but_an_end(one: Rig) -> None:
    till = await one.begin()
    assert await one.channel.close(one.number) == "no_answer"
    later = one.house.clock.now() + timedelta(minutes=16)
    one.house.set_clock(rate=one.house.plan.rate, calendar_rate=1, now_ms=round(later.timestamp() * 1000))
    assert await one.pay(till) == "closed"
    assert (await one.channel.query(one.number)).standing == "unpaid"


async def test_what_comes_too_late_goes_back_by_itself_and_is_not_told(one: Rig) -> None:
    till = await one.begin()
    later = one.house.clock.now() + timedelta(minutes=16)
    one.house.set_clock(rate=one.house.plan.rate, calendar_rate=1, now_ms=round(later.timestamp() * 1000))
    wrong(one.house, "pays_closed count=1")
    assert await one.pay(till) == "paid"
    assert (await one.channel.query(one.number)).standing == "no_answer", "42: for people to look at"
    assert one.book().refunded_fen == 1000
    assert not one.house.books.notices_of(one.book().key)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"txnAmt": "0"}, "10"),
        ({"txnAmt": "1.5"}, "10"),
        ({"txnAmt": ""}, "13"),
        ({"txnTime": "20261301000000"}, "10"),
        ({"orderId": "short"}, "10"),
        ({"orderId": ""}, "13"),
        ({"backUrl": ""}, "13"),
        ({"currencyCode": "840"}, "10"),
        ({"bizType": "000301"}, "32"),
        ({"txnType": "31"}, "32"),
        ({"payTimeout": "20010101000000"}, "39"),
        ({"merId": "777290000000000"}, "31"),
    ],
)
async def test_codes(one: Rig, more: dict[str, str], code: str) -> None:
    assert (await ask(one, APP, wanted(one, **more)))["respCode"] == code


async def test_a_wrong_signature_and_another_amount(one: Rig) -> None:
    assert (await ask(one, APP, wanted(one), txnAmt="1"))["respCode"] == "11"
    first = wanted(one)
    assert (await ask(one, APP, first))["respCode"] == "00"
    assert (await ask(one, APP, {**first, "txnAmt": "1001"}))["respCode"] == "12"
    async with ClientSession() as session, session.get(one.house.base_url + APP) as response:
        assert response.status == 405


async def test_a_new_certificate_is_believed_without_a_word(one: Rig) -> None:
    await one.paid()
    status, said = await admin(one.house, "/admin/rotate/unionpay", "POST", {})
    assert (status, said["serial"].isdecimal()) == (200, True)
    assert (await one.channel.query(one.number)).standing == "paid"


# -- money back -------------------------------------------------------------------------------------------------------


async def test_a_whole_payment_is_undone_on_its_day_and_refunded_on_another(one: Rig) -> None:
    book = await one.paid()
    number = f"{one.number}U1"
    done = await one.settled(lambda: one.channel.give_back(one.number, number, Fen(1000)))
    assert done.standing == "done"
    kind = "31" if settle_day(one.written[number]) == settle_day(one.written[one.number]) else "04"
    assert [refund.opened.terms["txn_type"] for refund in book.refunds.values()][:1] in ([kind], ["04"])
    await until(lambda: any(isinstance(n, MoneyNotice) for n in one.server.notices()), "the callback")
    other = await one.paid(f"{one.number}B")
    one.written[f"{one.number}B1"] = one.written[f"{one.number}B"] - timedelta(days=3)
    done = await one.settled(lambda: one.channel.give_back(f"{one.number}B", f"{one.number}B1", Fen(1000)))
    await until(lambda: other.refunded_fen == 1000, "the provider's work")
    assert [refund.opened.terms["txn_type"] for refund in other.refunds.values()] == ["04"]


async def test_giving_back_has_its_rules(one: Rig) -> None:
    book = await one.paid()
    query_id, now = book.charges[0].transaction_id, stamp(one.house.clock.now())
    base = {"channelType": "07", "txnSubType": "00", "txnTime": now, "origQryId": query_id, "txnType": "31"}

    async def back(**more: str) -> str:
        return (await ask(one, BACK, {**base, **more}))["respCode"]

    assert await back(orderId=f"{one.number}X", txnAmt="999") == "36", "undoing is for the whole"
    assert await back(orderId=f"{one.number}X", txnAmt="1000", origQryId="1" * 21) == "35"
    assert await back(orderId=f"{one.number}X", txnAmt="1001", txnType="04") == "36"
    assert await back(orderId=f"{one.number}X", txnAmt="400", txnType="04") == "00"
    assert await back(orderId=f"{one.number}X", txnAmt="400", txnType="04") == "12", "sent twice"
    assert await back(orderId=f"{one.number}Y", txnAmt="1000") == "35", "a part of it is refunded already"
    asked = {"txnType": "00", "orderId": f"{one.number}X", "txnTime": now}
    await until(lambda: book.refunded_fen == 400, "the provider's work")
    found = await ask(one, QUERY, asked)
    assert (found["origRespCode"], found["txnType"], found["txnAmt"]) == ("00", "04", "400")
    wrong(one.house, "absent op=query count=1")
    assert (await ask(one, QUERY, asked))["respCode"] == "34"


# -- files and callbacks ----------------------------------------------------------------------------------------------


async def test_the_file_is_there_when_the_day_is_over(tmp_path: Any) -> None:
    async with rig("unionpay_app", tmp_path, options={"bills_at_once": "false"}) as made:
        await made.paid()
        today = settle_day(made.house.clock.now())
        assert await made.channel.bill(today) == NoBill(reason="resp_98")
        tomorrow = made.house.clock.now() + timedelta(days=1)
        made.house.set_clock(rate=1, calendar_rate=1, now_ms=round(tomorrow.timestamp() * 1000))
        bill = await made.channel.bill(today)
        assert isinstance(bill, Bill) and [line.number for line in bill.trades] == [made.number]
        answer = await ask(made, "/unionpay/files", {"txnType": "76", "settleDate": "1340", "txnTime": stamp(tomorrow)})
        assert answer["respCode"] == "10"


async def test_it_is_told_five_times(one: Rig) -> None:
    one.server.refusals = 9
    book = await one.paid()
    await until(lambda: len(one.server.heard) == len(LADDER_S) + 1 == 5, "the end of the ladder")
    (notice,) = one.house.books.notices_of(book.key)
    await until(lambda: notice.due_at_s is None, "its giving up")
    assert len({dict(parse_qsl(body.decode()))["queryId"] for _, body in one.server.heard}) == 1


async def test_the_key_file_may_have_a_place_of_its_own(one: Rig, tmp_path: Any) -> None:
    async with rig("unionpay_app", tmp_path, options={"key_dir": str(tmp_path)}) as made:
        assert made.config.sign_pfx == str(tmp_path / f"{made.config.mer_id}.pfx")
        assert isinstance(made.channel, UnionpayChannel)
        assert isinstance(await made.channel.create_credential(made.order()), Issued)
    for wrong_option in ({"key_dir": "relative"}, {"open_code": "99"}):
        with pytest.raises(BadOption):
            House(Plan(channels=("unionpay",), options={"unionpay": wrong_option}))
