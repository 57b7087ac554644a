"""One-time codes: bound to the act, short-lived, used once, few tries, and only hashes on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
import pytest
import sqlalchemy as sa

from payments.guards.second_factor import (
    CODE_LIFE_S,
    KEPT_S,
    MOST_PER_HOUR,
    MOST_TRIES,
    CodesExhausted,
    CodeWrong,
    SecondFactor,
    SecondFactorNeeded,
)
from payments.guards.second_factor_act import Act, GivenCode, Thresholds
from payments.store.risk_tables import one_time_codes
from payments.store.unit_of_work import Store

ACT = Act(kind="withdraw", account_ref="run", amount_fen=50_000, target="tok_1")


class Phone:
    """Whom codes are sent to, and the clock beside it."""

    def __init__(self, store: Store) -> None:
        self.at = datetime(2026, 3, 2, tzinfo=UTC)
        self.messages: list[tuple[Act, str]] = []
        ids = count()
        self.factor = SecondFactor(store, lambda: self.at, lambda kind: f"{kind}_{next(ids)}", b"s" * 32, self._send)

    async def _send(self, act: Act, code: str) -> None:
        self.messages.append((act, code))

    async def given(self, act: Act = ACT) -> GivenCode:
        sent = await self.factor.ask(act)
        return GivenCode(code_id=sent.code_id, code=self.messages[-1][1])


@pytest.fixture
async def store(ready_sql_url: str) -> AsyncIterator[Store]:
    store = Store(ready_sql_url)
    await store.migrate()
    yield store
    store.close()


@pytest.fixture
def phone(store: Store) -> Phone:
    return Phone(store)


async def test_a_code_allows_its_act_once(phone: Phone, store: Store) -> None:
    given = await phone.given()
    assert phone.messages[0][0] == ACT and len(given.code) == 6
    assert given.code not in repr(given)
    rows = await store.database.read(lambda c: str(c.execute(sa.select(one_time_codes)).all()))
    assert f"'{given.code}'" not in rows
    await phone.factor.check(ACT, given)
    with pytest.raises(CodeWrong):
        await phone.factor.check(ACT, given)
    with pytest.raises(SecondFactorNeeded):
        await phone.factor.check(ACT, None)


@pytest.mark.parametrize(
    "change",
    [{"amount_fen": 50_001}, {"account_ref": "other"}, {"target": "tok_2"}, {"kind": "change_payout_account"}],
)
async def test_a_code_allows_nothing_else(phone: Phone, change: dict[str, object]) -> None:
    given = await phone.given()
    with pytest.raises(CodeWrong):
        await phone.factor.check(msgspec.structs.replace(ACT, **change), given)
    await phone.factor.check(ACT, given)


async def test_a_code_is_old_after_five_minutes(phone: Phone) -> None:
    given = await phone.given()
    phone.at += timedelta(seconds=CODE_LIFE_S)
    with pytest.raises(CodeWrong):
        await phone.factor.check(ACT, given)


async def test_guessing_is_over_after_a_few_tries(phone: Phone) -> None:
    given = await phone.given()
    wrong = msgspec.structs.replace(given, code="x")
    for _ in range(MOST_TRIES):
        with pytest.raises(CodeWrong):
            await phone.factor.check(ACT, wrong)
    with pytest.raises(CodeWrong):
        await phone.factor.check(ACT, given)
    with pytest.raises(CodeWrong):
        await phone.factor.check(ACT, msgspec.structs.replace(given, code_id="code_none"))


async def test_nobody_is_flooded_and_old_codes_go(phone: Phone, store: Store) -> None:
    for _ in range(MOST_PER_HOUR):
        await phone.factor.ask(ACT)
    with pytest.raises(CodesExhausted):
        await phone.factor.ask(ACT)
    await phone.factor.ask(msgspec.structs.replace(ACT, account_ref="other"))
    assert len(phone.messages) == MOST_PER_HOUR + 1
    phone.at += timedelta(seconds=KEPT_S + CODE_LIFE_S + 1)
    await phone.factor.ask(ACT)
    left = await store.database.read(
        lambda c: c.execute(sa.select(sa.func.count()).select_from(one_time_codes)).scalar()
    )
    assert left == 1


def test_which_acts_need_a_code() -> None:
    thresholds = Thresholds(withdraw_from_fen=100, operator_refund_from_fen=None)
    assert thresholds.apply_to(Act(kind="withdraw", account_ref="r", amount_fen=100))
    assert not thresholds.apply_to(Act(kind="withdraw", account_ref="r", amount_fen=99))
    assert not thresholds.apply_to(Act(kind="operator_refund", account_ref="r", amount_fen=10**6))
    assert thresholds.apply_to(Act(kind="change_payout_account", account_ref="r"))
    assert thresholds.apply_to(Act(kind="pay", account_ref="r"))
    assert not Thresholds(withdraw_from_fen=None).apply_to(Act(kind="withdraw", account_ref="r", amount_fen=10**6))
