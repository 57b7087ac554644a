"""A runner's money on its way to the runner: asked for, held and reviewed, paid, failed; each told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import confirm_order, go_on_duty, review_withdrawals, withdraw
from dispatch.flow.apply_withdrawals import apply_withdrawals
from dispatch.model.account import Role
from dispatch.model.errors import InvalidInput, KeyReused, NotFound, NotPermitted, WrongState
from dispatch.model.requests import ConfirmOrder
from dispatch.model.wallet_views import AskWithdrawal, JudgeWithdrawal, WithdrawalView
from payments.account import WITHDRAWAL_RULES
from payments.books.booking import Booking
from payments.guards.risk import RuleBook
from payments.instruct import book_answer
from payments.money import Fen
from payments.outcomes import WAITS_FOR_PAYEE, ReceiverOutcome, SplitAnswer
from payments.terms import Terms
from payments.ulid import new_id
from tests.flow_world import DAY_S, World, run
from tests.money_scene import add_case, guard


async def earned(world: World, runner: Principal, count: int = 1) -> int:
    """What so many settled errands left the runner."""
    student = await world.student()
    for _ in range(count):
        order_id = await world.delivered(student, runner)
        await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder())
    await world.pass_time(DAY_S)
    return (await go_on_duty.wallet(world.ctx, runner)).available_fen


def terms(world: World, **changes: Any) -> None:
    world.payments._store.terms = Terms(**changes)


async def ask(world: World, runner: Principal, fen: int, key: str = "w1", **more: Any) -> WithdrawalView:
    return await withdraw.ask_withdrawal(world.ctx, runner, AskWithdrawal(amount_fen=fen, **more), key)


async def news(world: World, runner: Principal) -> list[tuple[str, int, int]]:
    """What the runner's own topic was told of withdrawals."""
    await world.publish()
    heard = await world.heard(f"runner:{runner.account_id}")
    return [
        (event.kind.removeprefix("withdrawal_"), event.data["amount_fen"], event.data.get("paid_fen", 0))
        for event in heard
        if event.kind.startswith("withdrawal_")
    ]


async def test_a_runner_withdraws_and_hears_that_it_is_paid(world: World) -> None:
    runner = await world.runner()
    fen = await earned(world, runner, 2)
    before = await go_on_duty.wallet(world.ctx, runner)
    assert before.pay_by_ms is not None and before.withdrawals == []
    asked = await ask(world, runner, fen - 100)
    assert (asked.state, asked.amount_fen, asked.is_automatic) == ("under_way", fen - 100, False)
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert (wallet.available_fen, wallet.withdrawing_fen, wallet.withdrawn_fen) == (100, fen - 100, 0)
    await world.work()
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert (wallet.available_fen, wallet.withdrawing_fen, wallet.withdrawn_fen) == (100, 0, fen - 100)
    (shown,) = wallet.withdrawals
    assert (shown.id, shown.state, shown.paid_fen) == (asked.id, "done", fen - 100)
    assert (await withdraw.own_withdrawals(world.ctx, runner)).withdrawals == [shown]
    assert await news(world, runner) == [("paid", fen - 100, fen - 100)]
    assert await world.payments.account_events() == []
    assert sum(line.amount_fen for line in wallet.lines if line.kind == "withdraw") == 100 - fen
    assert await world.payments.check() == []


async def test_a_runner_alone_sees_what_waits_for_their_yes(world: World) -> None:
    runner, other = await world.runner(), await world.runner()
    asked = await ask(world, runner, await earned(world, runner))
    question = {"kind": "wechat_transfer", "invoke": {"mchId": "1", "appId": "wx1", "package": "p"}}

    def wait(uow: Any) -> None:
        # The sandbox asks nobody: this is what a provider's question comes to.
        (order,) = uow.instructions.of_subject(asked.id)
        outcome = ReceiverOutcome(party="runner", account_ref=runner.account_id, standing="pending")
        answer = SplitAnswer(receivers=(outcome,), reason=WAITS_FOR_PAYEE, confirm=question)
        book_answer(Booking(uow, world.ctx.clock.now(), new_id), order, answer)

    await world.payments._store.run(wait)
    (shown,) = (await go_on_duty.wallet(world.ctx, runner)).to_confirm
    assert (shown.withdrawal_id, shown.kind, shown.invoke) == (asked.id, question["kind"], question["invoke"])
    assert (await go_on_duty.wallet(world.ctx, other)).to_confirm == []
    assert await apply_withdrawals(world.ctx) == 1
    assert await news(world, runner) == [("to_confirm", shown.amount_fen, 0)]
    with pytest.raises(NotPermitted):
        await withdraw.to_confirm(world.ctx, await world.student())
    await world.pass_time(3600)
    assert (await go_on_duty.wallet(world.ctx, runner)).to_confirm == []


async def test_the_same_request_is_one_withdrawal_however_often_it_comes(world: World) -> None:
    runner = await world.runner()
    fen = await earned(world, runner)
    asked = await asyncio.gather(*(ask(world, runner, fen) for _ in range(3)))
    world.advance(60)
    asked.append(await ask(world, runner, fen))
    assert len({one.id for one in asked}) == 1
    await world.work()
    assert (await ask(world, runner, fen)).state == "done"
    assert len((await withdraw.own_withdrawals(world.ctx, runner)).withdrawals) == 1
    with pytest.raises(KeyReused):
        await ask(world, runner, fen - 1)
    # Another runner's key of the same name is another key.
    other = await world.runner()
    with pytest.raises(InvalidInput) as refused:
        await ask(world, other, fen)
    assert refused.value.detail == {"reason": "available", "limit": 0}
    # After a day the key is forgotten here, and not by payments.
    await earned(world, runner)
    await world.ctx.store.run_global(lambda unit: unit.retention(unit.now))
    with pytest.raises(KeyReused):
        await ask(world, runner, fen)
    assert len((await withdraw.own_withdrawals(world.ctx, runner)).withdrawals) == 1


async def test_two_withdrawals_asked_for_at_once_become_one(world: World) -> None:
    runner = await world.runner()
    fen = await earned(world, runner)
    asked = await asyncio.gather(*(ask(world, runner, fen, f"w{n}") for n in range(3)), return_exceptions=True)
    assert sorted(type(one) is WithdrawalView for one in asked) == [False, False, True], asked
    assert {type(one) for one in asked} <= {WithdrawalView, WrongState, InvalidInput}
    await world.work()
    assert (await go_on_duty.wallet(world.ctx, runner)).withdrawn_fen == fen
    assert await world.payments.check() == []


async def test_a_server_that_dies_before_payments_hear_of_it_withdraws_once_all_the_same(
    home: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = await home.runner()
    fen = await earned(home, runner)
    submit = home.payments.submit

    async def die(command: Any) -> None:
        raise ConnectionError("gone")

    async def die_afterwards(command: Any) -> None:
        await submit(command)
        raise ConnectionError("gone")

    for dying in (die, die_afterwards):
        monkeypatch.setattr(home.payments, "submit", dying)
        with pytest.raises(ConnectionError):
            await ask(home, runner, fen)
        home.advance(1)
    monkeypatch.setattr(home.payments, "submit", submit)
    asked = await ask(home, runner, fen)
    await home.work()
    assert [one.id for one in (await withdraw.own_withdrawals(home.ctx, runner)).withdrawals] == [asked.id]
    assert (await go_on_duty.wallet(home.ctx, runner)).withdrawn_fen == fen


@pytest.mark.parametrize(
    ("changes", "fen", "error", "field", "rule", "limit"),
    [
        ({}, lambda have: have + 1, InvalidInput, "amount_fen", "available", lambda have: have),
        ({}, lambda have: 99, InvalidInput, "amount_fen", "least", lambda have: 100),
        ({"most_withdrawn_per_day_fen": Fen(150)}, lambda have: 151, InvalidInput, "amount_fen", "amount_per_day",
         lambda have: 150),
    ],
)  # fmt: skip
async def test_a_limit_is_told_with_its_field_and_figure(
    home: World,
    changes: dict[str, Any],
    fen: Callable[[int], int],
    error: type[Exception],
    field: str,
    rule: str,
    limit: Callable[[int], int],
) -> None:
    runner = await home.runner()
    have = await earned(home, runner)
    terms(home, **changes)
    with pytest.raises(error) as refused:
        await ask(home, runner, fen(have))
    told: Any = refused.value
    assert rule in WITHDRAWAL_RULES
    assert (told.field, told.detail) == (field, {"reason": rule, "limit": limit(have)})


async def test_one_at_a_time_and_so_many_a_day(home: World) -> None:
    runner = await home.runner()
    await earned(home, runner, 2)
    terms(home, most_withdrawals_per_day=2)
    await ask(home, runner, 100, "a")
    with pytest.raises(WrongState) as refused:
        await ask(home, runner, 100, "b")
    assert refused.value.detail == {"reason": "one_at_a_time", "limit": 1}
    await home.work()
    # What was refused was not kept as refused: the same request may fit later.
    await ask(home, runner, 100, "b")
    await home.work()
    with pytest.raises(WrongState) as refused:
        await ask(home, runner, 100, "c")
    assert refused.value.detail == {"reason": "per_day", "limit": 2}
    with pytest.raises(InvalidInput) as beyond:
        await ask(home, runner, 10**8, "d")
    assert beyond.value.field == "amount_fen"


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


async def test_a_payment_that_the_institution_refuses_is_told_and_available_again(world: World) -> None:
    runner = await world.runner()
    fen = await earned(world, runner)
    await world.payments.bank.script("*", "split_fails", value="runner")
    await ask(world, runner, fen)
    await world.work()
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert (wallet.available_fen, wallet.withdrawals[0].state) == (fen, "failed") and wallet.withdrawals[0].reason
    assert await news(world, runner) == [("failed", fen, 0)]
    assert await world.payments.check() == []


async def test_what_was_never_asked_for_is_paid_by_its_day_and_told(world: World) -> None:
    runner = await world.runner()
    fen = await earned(world, runner)
    pay_by_ms = (await go_on_duty.wallet(world.ctx, runner)).pay_by_ms
    assert pay_by_ms is not None
    await world.pass_time(pay_by_ms / 1000 - world.clock.now().timestamp() + 1)
    (shown,) = (await withdraw.own_withdrawals(world.ctx, runner)).withdrawals
    assert (shown.is_automatic, shown.state, shown.paid_fen) == (True, "done", fen)
    assert await news(world, runner) == [("paid", fen, fen)]


async def test_an_event_is_applied_once_however_often_it_is_offered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = await world.runner()
    fen = await earned(world, runner)
    await ask(world, runner, fen)
    while await world.payments.work():
        pass
    assert len(await world.payments.account_events()) == 1
    acknowledge = world.payments.acknowledge

    async def die(event_ids: Any) -> None:
        raise ConnectionError("killed before it was acknowledged")

    monkeypatch.setattr(world.payments, "acknowledge", die)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await apply_withdrawals(world.ctx)
    monkeypatch.setattr(world.payments, "acknowledge", acknowledge)
    await asyncio.gather(*(apply_withdrawals(world.ctx) for _ in range(3)))
    assert await apply_withdrawals(world.ctx) == 0
    assert await news(world, runner) == [("paid", fen, fen)]


async def test_one_accounts_trouble_holds_up_nobody_else(home: World) -> None:
    runners = [await home.runner(), await home.runner()]
    earnings = [await earned(home, runner) for runner in runners]
    for runner, fen in zip(runners, earnings, strict=True):
        await ask(home, runner, fen)
    while await home.payments.work():
        pass
    first, _ = await home.payments.account_events()
    when = f"BEFORE INSERT ON events WHEN NEW.runner_id = '{first.account_ref}'"
    await sql(home, f"CREATE TRIGGER choke {when} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    assert await apply_withdrawals(home.ctx) == 1
    with pytest.raises(Exception, match="try again"):
        await apply_withdrawals(home.ctx)
    assert [event.id for event in await home.payments.account_events()] == [first.id]
    await sql(home, "DROP TRIGGER choke")
    assert await apply_withdrawals(home.ctx) == 1
    assert [[kind for kind, _, _ in await news(home, runner)] for runner in runners] == [["paid"], ["paid"]]


async def sql(world: World, statement: str) -> None:
    """Do something to the books' database that no room does."""
    await run(world, lambda uow: uow.outbox._scope.connection.exec_driver_sql(statement))
