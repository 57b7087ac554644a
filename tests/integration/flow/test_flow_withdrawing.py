"""A runner's money on its way to the runner: asked for, confirmed, paid, failed; each told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dispatch.flow import go_on_duty, withdraw
from dispatch.flow.apply_withdrawals import apply_withdrawals
from dispatch.model.errors import InvalidInput, KeyReused, NotPermitted, WrongState
from dispatch.model.wallet_views import WithdrawalView
from payments.account import WITHDRAWAL_RULES
from payments.books.booking import Booking
from payments.instruct import book_answer
from payments.money import Fen
from payments.outcomes import WAITS_FOR_PAYEE, ReceiverOutcome, SplitAnswer
from payments.ulid import new_id
from tests.flow_world import World, run
from tests.runner_money import ask, earned, news, terms


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
