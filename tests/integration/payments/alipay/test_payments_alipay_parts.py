"""Money that leaves by Alipay: parts of a split with their own outcomes, and transfers to people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from payments.channels.alipay import AlipayChannel
from payments.money import Fen
from payments.outcomes import MoneyAnswer, Receiver
from tests.payments_alipay import NO, QUERY, config, opened
from tests.payments_providers import Alipay, denied

SETTLE, SETTLED = "alipay.trade.order.settle", "alipay.trade.order.settle.query"
BIND = "alipay.trade.royalty.relation.bind"


@pytest.fixture
async def splitting(alipay: Alipay) -> AsyncIterator[AlipayChannel]:
    accounts = {"campus_1": "2088000000000001", "run_1": "2088000000000002"}
    async for each in opened(alipay, parts_paid_by="alipay", runner_payout="personal", accounts=accounts):
        yield each


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


@pytest.mark.parametrize(("later", "is_finished"), [([PLATFORM], True), ([RUNNER], False), ([PLATFORM, RUNNER], False)])
async def test_only_somebody_else_who_is_still_to_be_paid_keeps_the_rest_frozen(
    alipay: Alipay, splitting: AlipayChannel, later: list[Receiver], is_finished: bool
) -> None:
    alipay.answers.update({
        QUERY: paid_trade(), BIND: {}, SETTLE: {"settle_no": "9"},
        SETTLED: {"royalty_detail_list": [detail("2088000000000001", "3.00")]},
    })  # fmt: skip
    answer = await splitting.split(NO, f"{NO}S1", [CAMPUS], later)
    assert [each.standing for each in answer.receivers] == ["paid"]
    assert [f"{NO}F1" == told["out_request_no"] for told in alipay.of(SETTLE)] == [False, *([True] * is_finished)]


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
