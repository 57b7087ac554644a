"""Split groups: how an amount, its shares and its refunds are divided, and what the whole decides by its parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import group
from payments.group import (
    PART_UNPAID,
    Dissolve,
    FailParent,
    FinishParent,
    Parent,
    Part,
    PayParent,
    ReopenParent,
    Start,
    WaitForParts,
    decide,
    divide_refund,
    divide_shares,
    parts_of,
)
from payments.money import Fen
from payments.outcomes import Receiver
from payments.states import TABLE, Facts, as_markdown, may_follow, outward_state

NOW = datetime(2026, 3, 2, tzinfo=UTC)
END = NOW + timedelta(seconds=900)


def part(number: int = 1, **changes: Any) -> Part:
    return Part(number=number, amount_fen=Fen(10), **changes)


def held(number: int = 1) -> Part:
    return part(number, is_paid=True, hold="held", is_started=True)


def parent(**changes: Any) -> Parent:
    return Parent(**{"phase": "open", "is_paid": False, "expires_at": END, **changes})


# -- dividing ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10_000_000), st.integers(500_000, 1_000_000))
def test_parts_are_within_the_limit_and_exact(amount: int, limit: int) -> None:
    parts = parts_of(Fen(amount), Fen(limit))
    assert sum(parts) == amount
    assert max(parts) <= limit
    assert max(parts) - min(parts) <= 1
    assert len(parts) == -(-amount // limit)


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="would take 21 payments of 10 fen"):
        parts_of(Fen(201), Fen(10))


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=6), st.lists(st.integers(0, 100), max_size=4))
def test_shares_are_divided_exactly_on_both_sides(amounts: list[int], weights: list[int]) -> None:
    total = sum(amounts)
    shares = [total * weight // max(100, sum(weights)) for weight in weights]
    receivers = [
        Receiver(party="runner", account_ref=f"r{index}", amount_fen=Fen(share))
        for index, share in enumerate(shares)
        if share
    ]
    divided = divide_shares(receivers, [Fen(amount) for amount in amounts])
    assert len(divided) == len(amounts)
    for receiver in receivers:
        got = sum(each.amount_fen for row in divided for each in row if each.account_ref == receiver.account_ref)
        assert got == receiver.amount_fen
    for amount, row in zip(amounts, divided, strict=True):
        assert sum(each.amount_fen for each in row) <= amount
        assert all(each.amount_fen > 0 for each in row)


def test_shares_are_in_proportion() -> None:
    receivers = [
        Receiver(party="runner", account_ref="r", amount_fen=Fen(70)),
        Receiver(party="platform", account_ref="platform", amount_fen=Fen(30)),
    ]
    first, second = divide_shares(receivers, [Fen(50), Fen(50)])
    assert [each.amount_fen for each in first] == [each.amount_fen for each in second] == [35, 15]


def test_a_refund_comes_out_of_the_first_parts() -> None:
    assert divide_refund(Fen(70), [Fen(50), Fen(50)]) == [50, 20]
    with pytest.raises(AssertionError):
        divide_refund(Fen(101), [Fen(50), Fen(50)])


# -- deciding ---------------------------------------------------------------------------------------------------------


def test_the_parts_are_paid_one_after_the_other() -> None:
    assert decide(parent(), [part(1), part(2)], NOW) == Start(1)
    assert decide(parent(), [part(1, is_started=True), part(2)], NOW) == WaitForParts(END)
    assert decide(parent(), [held(1), part(2)], NOW) == Start(2)
    assert decide(parent(), [held(1), held(2)], NOW) == PayParent()
    assert decide(parent(is_paid=True), [held(1), held(2)], NOW) == WaitForParts(None)
    assert decide(parent(phase="failed"), [held(1), held(2)], END) == PayParent(), "late proof of the last part"


def test_a_part_that_cannot_be_paid_fails_the_whole_until_another_channel_is_chosen() -> None:
    failed = part(2, phase="failed", is_started=True, reason="declined")
    assert decide(parent(), [held(1), failed], NOW) == FailParent("declined")
    assert decide(parent(phase="failed"), [held(1), failed], NOW) == WaitForParts(END)
    assert decide(parent(phase="failed"), [held(1), part(2)], NOW) == ReopenParent()


def test_the_timer_gives_the_paid_parts_back() -> None:
    parts = [held(1), part(2, is_started=True)]
    assert decide(parent(), parts, END) == FailParent(PART_UNPAID)
    assert decide(parent(phase="failed"), parts, END) == Dissolve((1, 2), PART_UNPAID)
    ended = [part(1, is_paid=True, hold="releasing", phase="cancelled"), part(2, phase="cancelling")]
    assert decide(parent(phase="failed"), ended, END) == WaitForParts(None)
    assert decide(parent(), [part(1), part(2)], END) == FailParent("expired")


def test_splitting_is_no_way_around_a_verdict() -> None:
    parts = [held(1), part(2, is_refused=True, reason="RULE_LIMIT", phase="failed")]
    assert decide(parent(), parts, NOW) == FailParent("RULE_LIMIT")
    assert decide(parent(phase="failed"), parts, NOW) == Dissolve((1, 2), PART_UNPAID)


def test_a_cancelled_whole_is_over_when_every_part_is() -> None:
    assert decide(parent(phase="cancelling"), [held(1), part(2)], NOW) == Dissolve((1, 2), PART_UNPAID)
    back = part(1, is_paid=True, hold="released", phase="cancelled")
    assert decide(parent(phase="cancelling"), [back, part(2, phase="cancelling")], NOW) == WaitForParts(None)
    assert decide(parent(phase="cancelling"), [back, part(2, phase="cancelled")], NOW) == FinishParent()


def test_the_outward_state_of_the_whole() -> None:
    def state(of: Parent, *parts: Part) -> str:
        return outward_state(group.facts(of, parts))

    assert state(parent(), part(1), part(2)) == "pending"
    assert state(parent(), held(1), part(2)) == "processing"
    assert state(parent(), part(1, is_busy=True), part(2)) == "processing"
    assert state(parent(), part(1, is_suspicious=True), part(2)) == "suspicious"
    assert state(parent(phase="failed"), held(1), part(2)) == "failed"
    assert state(parent(is_paid=True), held(1), held(2)) == "success"


def test_the_table_of_states_is_whole() -> None:
    codes = [row.code for row in TABLE]
    assert sorted(codes) == ["failed", "pending", "processing", "success", "suspicious"]
    assert all(row.name_zh and row.name_en and row.meaning_zh and row.meaning_en for row in TABLE)
    assert not any(may_follow("success", code) for code in codes if code != "success")
    assert may_follow("failed", "failed")
    assert may_follow("failed", "suspicious")
    assert outward_state(Facts(is_over=True, is_busy=True)) == "failed"
    assert as_markdown().count("\n") == 6


def test_the_document_shows_the_table_that_the_code_decides_by() -> None:
    document = Path(__file__).resolve().parents[3] / "docs" / "PAYMENT_STATES.md"
    assert as_markdown() in document.read_text(encoding="utf-8")
