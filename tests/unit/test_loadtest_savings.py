"""A simulated runner withdraws: now and then, within what the wallet says, below the amount that needs a code."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from geo.point import Point
from loadtest.actors import savings
from loadtest.actors.protocol import Answer, Call, Frame, Note
from loadtest.actors.runner import step
from loadtest.actors.runner_state import Habits, new_runner


def wallet(available: int, withdrawing: int = 0) -> Answer:
    return Answer("wallet", 200, {"available_fen": available, "withdrawing_fen": withdrawing})


def test_some_settled_errands_are_a_reason_to_look() -> None:
    luck = Random(1)
    looks = [savings.settled("order_settled", 0.2, luck) for _ in range(1000)]
    assert 150 < sum(map(len, looks)) < 250
    assert savings.settled("order_confirmed", 1.0, luck) == ()
    assert savings.settled("order_settled", 0.0, luck) == ()


@pytest.mark.parametrize(
    "answer", [wallet(99), wallet(5000, 1), Answer("wallet", 503, {}), Answer("withdraw", 409, {})]
)
def test_nothing_is_asked_for_where_nothing_can_be_had(answer: Answer) -> None:
    assert savings.answered(answer, Random(1)) == ()


def test_what_is_asked_for_is_there_and_needs_no_code() -> None:
    luck, asked = Random(1), []
    for available in (100, 250, 19_900, 90_000) * 50:
        (call,) = savings.answered(wallet(available), luck)
        assert isinstance(call, Call) and call.body is not None
        assert 100 <= call.body["amount_fen"] <= min(available, 19_900)
        asked.append(call.key)
    assert len(set(asked)) == len(asked)


def test_a_runner_goes_from_the_settled_order_to_the_withdrawal() -> None:
    luck = Random(1)
    runner = new_runner("acc_r", "cmp_c", Point(31.0, 121.0), luck, habits=Habits(withdraws=1.0))

    def calls(did: Any) -> list[Any]:
        return [action for action in did[1] if isinstance(action, Call | Note)]

    event = {"t": "event", "kind": "order_settled", "data": {"order_id": "ord_x"}}
    (look,) = calls(step(runner, Frame(event), 0, luck))
    assert (look.method, look.path) == ("GET", "/runner/wallet")
    (wish,) = calls(step(runner, wallet(400), 0, luck))
    assert (wish.method, wish.path) == ("POST", "/runner/withdrawals")
    (note,) = calls(step(runner, Answer("withdraw", 202, {"id": "wdr_x", "amount_fen": 400}), 0, luck))
    assert note == Note("withdrew", "wdr_x", 400.0)
