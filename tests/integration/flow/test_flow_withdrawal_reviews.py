"""A withdrawal that waits for a person's look: who may decide, what is written down, who is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispatch.flow import go_on_duty, review_withdrawals, withdraw
from dispatch.model.account import Role
from dispatch.model.errors import InvalidInput, NotFound, NotPermitted, WrongState
from dispatch.model.wallet_views import JudgeWithdrawal
from payments.guards.risk import RuleBook
from payments.money import Fen
from tests.flow_world import World
from tests.money_scene import add_case, guard
from tests.runner_money import ask, earned, news, terms


@pytest.mark.parametrize("is_approved", [True, False])
async def test_a_large_one_waits_for_the_campus_team(world: World, is_approved: bool) -> None:
    runner, operator = await world.runner(), await world.operator()
    stranger = await world.operator(campus_id=world.other_campus_id)
    fen = await earned(world, runner)
    terms(world, review_above_fen=Fen(100))
    asked = await ask(world, runner, fen)
    assert (asked.state, asked.reason) == ("held", "over_threshold")
    await world.work()
    assert (await go_on_duty.wallet(world.ctx, runner)).withdrawing_fen == fen
    assert "withdrawal_held" in await world.alerts()
    (row,) = (await review_withdrawals.withdrawals(world.ctx, operator, only_held=True)).withdrawals
    assert (row.id, row.account_id, row.amount_fen, row.reason, row.is_own) == (
        asked.id, runner.account_id, fen, "over_threshold", False,
    )  # fmt: skip
    assert (await review_withdrawals.withdrawals(world.ctx, stranger)).withdrawals == []
    judged = JudgeWithdrawal(is_approved=is_approved, reason="called the runner")
    with pytest.raises(NotFound):
        await review_withdrawals.review(world.ctx, stranger, asked.id, judged)
    for _ in range(2):
        row = await review_withdrawals.review(world.ctx, operator, asked.id, judged)
    assert row.review_reason == "called the runner" and row.reviewed_by_name.startswith("甲")
    other = JudgeWithdrawal(is_approved=not is_approved, reason="no")
    with pytest.raises(WrongState):
        await review_withdrawals.review(world.ctx, operator, asked.id, other)
    await world.work()
    assert "withdrawal_held" not in await world.alerts()
    action = "approve_withdrawal" if is_approved else "refuse_withdrawal"
    assert [(entry.actor_id, entry.reason) for entry in await world.audit(action)] == [
        (operator.account_id, "called the runner")
    ]
    wallet = await go_on_duty.wallet(world.ctx, runner)
    (shown,) = wallet.withdrawals
    if is_approved:
        assert (wallet.withdrawn_fen, shown.state) == (fen, "done")
        assert await news(world, runner) == [("held", fen, 0), ("approved", fen, 0), ("paid", fen, fen)]
    else:
        assert (wallet.available_fen, wallet.withdrawn_fen) == (fen, 0)
        assert (shown.state, shown.said, shown.paid_fen) == ("refused", "called the runner", 0)
        assert await news(world, runner) == [("held", fen, 0), ("failed", fen, 0)]
    assert await world.payments.check() == []


async def test_what_was_approved_before_anybody_heard_of_it_waits_for_nobody(home: World) -> None:
    runner, operator = await home.runner(), await home.operator()
    fen = await earned(home, runner)
    terms(home, review_above_fen=Fen(100))
    asked = await ask(home, runner, fen)
    approved = JudgeWithdrawal(is_approved=True, reason="called the runner")
    await review_withdrawals.review(home.ctx, operator, asked.id, approved)
    # Only now the events come, that it was held among them.
    await home.work()
    assert sorted(await news(home, runner)) == [("approved", fen, 0), ("held", fen, 0), ("paid", fen, fen)]
    assert "withdrawal_held" not in await home.alerts()


async def test_nobody_reviews_their_own_and_nobody_else_withdraws(home: World) -> None:
    runner, student = await home.runner(), await home.student()
    fen = await earned(home, runner)
    terms(home, review_above_fen=Fen(0))
    asked = await ask(home, runner, fen)
    also_operator = replace(runner, roles=frozenset({Role.RUNNER, Role.OPERATOR}))
    judged = JudgeWithdrawal(is_approved=True, reason="it is mine")
    for who in (also_operator, runner, student):
        with pytest.raises(NotPermitted):
            await review_withdrawals.review(home.ctx, who, asked.id, judged)
    (row,) = (await review_withdrawals.withdrawals(home.ctx, also_operator)).withdrawals
    assert row.is_own and row.state == "held"
    with pytest.raises(NotPermitted):
        await ask(home, student, 100)
    for refused in ("", "   "):
        with pytest.raises(InvalidInput) as said:
            await review_withdrawals.review(
                home.ctx, await home.operator(), asked.id, JudgeWithdrawal(is_approved=True, reason=refused)
            )
        assert said.value.field == "reason"


@pytest.mark.parametrize("is_approved", [True, False])
async def test_a_verdict_is_written_down_though_the_server_died_before(
    world: World, monkeypatch: pytest.MonkeyPatch, is_approved: bool
) -> None:
    runner, operator = await world.runner(), await world.operator()
    fen = await earned(world, runner)
    terms(world, review_above_fen=Fen(100))
    asked = await ask(world, runner, fen)
    await world.work()
    judged = JudgeWithdrawal(is_approved=is_approved, reason="called the runner")
    submit = world.payments.submit

    async def die(command: Any) -> None:
        await submit(command)
        raise ConnectionError("killed when payments had heard of it")

    monkeypatch.setattr(world.payments, "submit", die)
    with pytest.raises(ConnectionError):
        await review_withdrawals.review(world.ctx, operator, asked.id, judged)
    monkeypatch.setattr(world.payments, "submit", submit)
    for _ in range(2):
        await review_withdrawals.review(world.ctx, operator, asked.id, judged)
    (entry,) = await world.audit("approve_withdrawal" if is_approved else "refuse_withdrawal")
    assert (entry.actor_id, entry.reason) == (operator.account_id, "called the runner")
    assert (entry.before["state"], entry.before["amount_fen"]) == ("held", fen)
    assert "withdrawal_held" not in await world.alerts()
    assert [kind for kind, _, _ in await news(world, runner)].count("approved") == is_approved


async def test_whoever_waits_longest_is_shown_first(world: World) -> None:
    runners, operator = [await world.runner() for _ in range(3)], await world.operator()
    earnings = [await earned(world, runner) for runner in runners]
    terms(world, review_above_fen=Fen(0))
    asked = [await ask(world, runner, fen) for runner, fen in zip(runners, earnings, strict=True)]
    for only_held in (True, False):
        shown = await review_withdrawals.withdrawals(world.ctx, operator, limit=2, only_held=only_held)
        assert [row.id for row in shown.withdrawals] == [one.id for one in asked[:2]]


async def test_a_limit_that_was_reached_meanwhile_stands_against_the_approval(
    home: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, operator = await home.runner(), await home.operator()
    fen = await earned(home, runner, 2)
    terms(home, review_above_fen=Fen(0))
    asked = await ask(home, runner, fen)
    monkeypatch.setattr("payments.books.withdrawals.MOST_PARTS", 1)
    with pytest.raises(InvalidInput) as refused:
        await review_withdrawals.review(
            home.ctx, operator, asked.id, JudgeWithdrawal(is_approved=True, reason="called the runner")
        )
    assert refused.value.field == "is_approved" and refused.value.detail["reason"] == "at_once"
    assert await home.audit("approve_withdrawal") == []


async def test_whom_risk_points_at_waits_for_a_review_and_does_not_hear_of_the_rule(home: World) -> None:
    runner, operator = await home.runner(), await home.operator()
    fen = await earned(home, runner)
    guard(home.payments, RuleBook(default=()))
    await add_case(home.payments, home.campus_id, runner.account_id)
    # However many newer ones of others there are.
    await add_case(home.payments, home.campus_id, (await home.runner()).account_id)
    asked = await ask(home, runner, fen)
    assert (asked.state, asked.reason) == ("held", "review")
    (row,) = (await review_withdrawals.withdrawals(home.ctx, operator)).withdrawals
    assert row.reason == withdraw.OPEN_CASE
