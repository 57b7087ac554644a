"""How the load test judges what providers kept, and what it says of it."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from loadtest.check import Finding
from loadtest.payments import abandoned, killed, rehearsal
from loadtest.payments.habits import SIMPLE, Habits
from loadtest.payments.killed import kept_of


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        (None, "nothing"),
        ({"times_charged": 0, "paid_fen": 0, "refunded_fen": 0}, "nothing"),
        ({"times_charged": 1, "paid_fen": 500, "refunded_fen": 0}, "kept"),
        ({"times_charged": 1, "paid_fen": 500, "refunded_fen": 200}, "kept"),
        ({"times_charged": 1, "paid_fen": 500, "refunded_fen": 500}, "given back"),
        ({"times_charged": 2, "paid_fen": 1000, "refunded_fen": 500}, "charged 2 times, 1000 of 500 fen"),
        ({"times_charged": 1, "paid_fen": 499, "refunded_fen": 0}, "charged 1 times, 499 of 500 fen"),
    ],
)
def test_what_a_provider_kept_of_an_order(order: dict[str, int] | None, kept: str) -> None:
    assert kept_of(order, 500) == kept


def _theirs(**orders: tuple[int, int]) -> dict[str, dict[str, int]]:
    return {
        number: {"times_charged": int(paid > 0), "paid_fen": paid, "refunded_fen": back}
        for number, (paid, back) in orders.items()
    }


def _ours(**states: str) -> dict[str, dict[str, object]]:
    return {number: {"intent_id": number[0], "state": state, "amount_fen": 500} for number, state in states.items()}


def test_books_that_agree_and_every_way_in_which_they_may_not() -> None:
    outcome = killed.Outcome(killed.Options(orders=1))
    outcome.compare(
        _theirs(a1=(0, 0), a2=(500, 0), b1=(500, 500)), _ours(a1="abandoned", a2="paid", b1="refunded"), set()
    )
    assert outcome.differences == [] and outcome.charged == {1: 1, 0: 1} and outcome.given_back == 1
    for theirs, of_ours, said in (
        (_theirs(a1=(500, 0)), {}, "the server never made it"),
        (_theirs(a1=(500, 0)), _ours(a1="closed"), "the provider kept, the server closed"),
        (_theirs(a1=(0, 0)), _ours(a1="paid"), "the provider nothing, the server paid"),
        (_theirs(a1=(500, 0)), _ours(a1="refunded"), "the provider kept, the server refunded"),
        (_theirs(a1=(500, 0), a2=(500, 0)), _ours(a1="paid", a2="paid_duplicate"), "charged 2 times"),
    ):
        outcome.compare(theirs, of_ours, set())
        assert any(said in each for each in outcome.differences), said
        assert outcome.faults() == outcome.differences and said in outcome.text()


def test_who_waits_too_long_or_does_not_get_through_is_a_fault() -> None:
    outcome = rehearsal.Outcome(rehearsal.Options("stalled", orders=100))
    outcome.tally.paid = 100
    for _ in range(100):
        outcome.tally.credential_ms.add(1500.0)
    assert outcome.faults() == []
    for _ in range(6):
        outcome.tally.credential_ms.add(2500.0)
    outcome.tally.paid, outcome.charged = 98, {1: 97, 2: 1}
    assert len(outcome.faults()) == 3 and "2.00 %" in outcome.text()
    outcome.tried, outcome.in_vain = 100, 23
    assert len(outcome.faults()) == 3 and "11.5 times less" in outcome.text()
    outcome.in_vain = 31
    assert any("waited in vain" in each for each in outcome.faults())


def test_money_that_was_given_back_after_a_cancellation_is_so_in_both_books() -> None:
    outcome = killed.Outcome(killed.Options(orders=1))
    outcome.compare(_theirs(a1=(500, 500)), _ours(a1="paid"), set(), {"a": "released"})
    assert outcome.differences == [] and outcome.charged == {0: 1}
    outcome.compare(_theirs(a1=(500, 0)), _ours(a1="paid"), set(), {"a": "released"})
    assert outcome.differences == ["a1: the provider kept, the server paid, released"]
    for state in ("creating", "closing", "unknown"):
        outcome.compare({}, _ours(a1=state), {"a1"})
        assert outcome.differences == [f"a1: the provider nothing, the server {state}, under way"]
    outcome.findings = [Finding("no account is ever under its floor", 1, ["escrow:x was at -1 fen"])]
    assert len(outcome.faults()) == 2 and "FAULT no account" in outcome.text()


def test_people_do_what_their_share_says() -> None:
    luck, habits = Random(1), Habits({"change": 0.25, "regret": 0.25})
    drawn = Counter(habits.draw(luck) for _ in range(1000))
    assert set(drawn) == {"pay", "change", "regret"} and 400 < drawn["pay"] < 600
    assert {SIMPLE.draw(luck) for _ in range(10)} == {"pay"}


def test_what_abandoned_calls_leave_behind_is_a_fault() -> None:
    def played(**changed: Any) -> list[str]:
        outcome = abandoned.Outcome(abandoned.Options(payments=10))
        outcome.phases = [
            abandoned.Phase("before", seconds=1.0, cpu_ms=5.0, ready=10, held=abandoned.Held(tasks=4, files=50)),
            abandoned.Phase("silent", seconds=9.0, failed=10),
            abandoned.Phase("meanwhile", ready=10),
            abandoned.Phase("after", seconds=1.5, cpu_ms=5.0, ready=10),
        ]
        outcome.at_rest = abandoned.Held(**({"tasks": 4, "files": 60} | changed.pop("held", {})))
        for name, value in changed.items():
            setattr(outcome.phases[3], name, value)
        assert "before" in outcome.text()
        return outcome.faults()

    assert played() == []
    for wrong in (
        {"ready": 9},
        {"seconds": 9.0},
        {"cpu_ms": 20.0},
        {"held": {"leases": 1}},
        {"held": {"due": 1}},
        {"held": {"tasks": 9}},
        {"held": {"files": 300}},
        {"held": {"memory_mb": 100.0}},
    ):
        assert len(played(**wrong)) == 1, wrong
