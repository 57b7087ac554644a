"""How the load test judges what providers kept, and what it says of it."""

from __future__ import annotations

import pytest

from loadtest.payments import killed, rehearsal
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
