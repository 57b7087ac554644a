"""An operator steps in: forced onto a runner, taken away, taken back within ten seconds, and always on record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import (
    answer_offer,
    cancel_order,
    confirm_order,
    deliver_task,
    explain_decision,
    go_on_duty,
    read_orders,
    reassign_task,
    watch_console,
    weigh_reassign,
)
from dispatch.model.account import Membership, RunnerStatus
from dispatch.model.errors import NotAvailable, NotFound, NotPermitted, StaleVersion, WrongState
from dispatch.model.money import split_fen
from dispatch.model.order import OrderStatus
from dispatch.model.requests import (
    ConfirmOrder,
    DeclineOffer,
    Deliver,
    OperatorCancel,
    PickUp,
    Reassign,
    SetDuty,
    Tap,
    UndoReassign,
)
from dispatch.model.views import OrderView
from dispatch.store.unit_of_work import UnitOfWork
from tests.flow_world import World, run


async def _force(
    world: World, operator: Principal, order_id: str, runner: Principal | None, *, note: str = "", version: int = 0
) -> OrderView:
    at = version or (await world.order(order_id)).version
    to = runner.account_id if runner else None
    request = Reassign(runner_id=to, version=at, reason="runner_unreachable", note=note)
    return await reassign_task.reassign(world.ctx, operator, order_id, request)


async def _undo(world: World, operator: Principal, order_id: str) -> OrderView:
    version = (await world.order(order_id)).version
    return await reassign_task.undo(world.ctx, operator, order_id, UndoReassign(version=version))


async def _runner_topics(world: World, *runners: Principal) -> list[list[str]]:
    """What they hear of orders; of their credit they hear besides."""
    await world.publish()
    heard = [await world.heard(f"runner:{one.account_id}") for one in runners]
    return [[event.kind for event in events if event.kind != "credit_changed"] for events in heard]


async def test_a_forced_order_changes_hands_on_record_and_both_are_told(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    first, second = await world.runner(), await world.runner()
    order_id = await world.assigned(student, first)
    before = await world.order(order_id)
    view = await _force(world, operator, order_id, second, note="phone off")
    order, task = await world.order(order_id), await world.task(order_id)
    assert order.runner_id == task.runner_id == second.account_id and order.version == before.version + 1
    assert view.undo_until_ms == round(world.clock.now().timestamp() * 1000) + 10_000
    (entry,) = await world.audit("order.reassign")
    assert entry.reason == "runner_unreachable: phone off" and entry.actor_id == operator.account_id
    assert entry.before == {"runner_id": first.account_id, "status": "assigned", "version": before.version}
    assert entry.after == {"runner_id": second.account_id, "status": "assigned", "version": order.version}
    of_first, of_second = await _runner_topics(world, first, second)
    assert of_first[-1] == "task_reassigned" and of_second[-1] == "task_reassigned"
    told = [one for one in await world.heard(f"runner:{first.account_id}") if one.kind == "task_reassigned"][-1]
    assert told.data["taken_away"] is True and "order" not in told.data
    with pytest.raises(NotFound):
        await deliver_task.arrived(world.ctx, first, order_id, Tap())
    decisions = (await explain_decision.why(world.ctx, operator, order_id)).decisions
    assert {decision.mode for decision in decisions} == {"forced", "grab"} and decisions[0].at_ms


async def test_an_undo_gives_it_back(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    first, second = await world.runner(), await world.runner()
    order_id = await world.assigned(student, first)
    await _force(world, operator, order_id, second)
    world.advance(9.9)
    view = await _undo(world, operator, order_id)
    assert (await world.order(order_id)).runner_id == first.account_id and view.undo_until_ms is None
    (entry,) = await world.audit("order.reassign.undo")
    assert entry.before["runner_id"] == second.account_id and entry.after["runner_id"] == first.account_id
    with pytest.raises(WrongState):
        await _undo(world, operator, order_id)
    of_first, of_second = await _runner_topics(world, first, second)
    assert of_first[-2:] == ["task_reassigned"] * 2 and of_second == [*of_second[:-2], *["task_reassigned"] * 2]


async def test_after_ten_seconds_or_once_something_happened_nothing_is_taken_back(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    first, second = await home.runner(), await home.runner()
    late = await home.assigned(student, first)
    await _force(home, operator, late, second)
    home.advance(10)
    assert (await read_orders.order(home.ctx, operator, late)).undo_until_ms is None
    with pytest.raises(WrongState):
        await _undo(home, operator, late)
    moved = await home.assigned(student, first)
    await _force(home, operator, moved, second)
    await deliver_task.arrived(home.ctx, second, moved, Tap())
    with pytest.raises(WrongState):
        await _undo(home, operator, moved)
    untouched = await home.assigned(student, first)
    with pytest.raises(WrongState):
        await _undo(home, operator, untouched)
    with pytest.raises(StaleVersion):
        await reassign_task.undo(home.ctx, operator, untouched, UndoReassign(version=1))


async def test_a_waiting_order_is_forced_onto_somebody_and_taken_back(world: World) -> None:
    student, operator, runner = await world.student(), await world.operator(), await world.runner()
    order_id = await world.paid(student)
    offer = await world.offered(order_id)
    other = await world.runner()
    await _force(world, operator, order_id, other)
    assert (await world.read(lambda uow: uow.offers.get(offer.id))).status == "withdrawn"
    assert (await world.kinds(order_id))[-1] == "task_assigned"
    await _undo(world, operator, order_id)
    order, task = await world.order(order_id), await world.task(order_id)
    assert (order.status, order.runner_id, order.assigned_at) == (OrderStatus.OPEN, None, None)
    assert (task.status, task.runner_id) == ("open", None)
    assert offer.runner_id == runner.account_id


async def test_taken_away_it_waits_again_but_not_for_who_had_it(world: World) -> None:
    student, operator, runner = await world.student(), await world.operator(), await world.runner()
    order_id = await world.assigned(student, runner)
    await _force(world, operator, order_id, None)
    assert (await world.order(order_id)).status is OrderStatus.OPEN
    assert (await go_on_duty.state(world.ctx, runner)).orders == []
    assert (await world.tick()).offered == 0, "the runner who lost it is not asked again"
    why = await explain_decision.why(world.ctx, operator, order_id)
    assert why.waiting == "all_offered_before"
    other = await world.runner()
    assert (await explain_decision.why(world.ctx, operator, order_id)).waiting is None
    offer = await world.offered(order_id)
    assert offer.runner_id == other.account_id
    # The offer changed nothing of the order: it is taken back together with the taking away.
    assert (await read_orders.order(world.ctx, operator, order_id)).undo_until_ms is not None
    await _undo(world, operator, order_id)
    assert (await world.order(order_id)).runner_id == runner.account_id
    assert (await world.read(lambda uow: uow.offers.get(offer.id))).status == "withdrawn"
    (former,) = await _runner_topics(world, runner)
    assert former[-2:] == ["task_reopened", "task_assigned"]


async def test_on_the_way_it_can_change_hands_but_not_wait(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    first, second = await world.runner(), await world.runner()
    order_id = await world.carrying(student, first)
    await deliver_task.arrived(world.ctx, first, order_id, Tap())
    with pytest.raises(WrongState):
        await _force(world, operator, order_id, None)
    await _force(world, operator, order_id, second)
    order, task = await world.order(order_id), await world.task(order_id)
    assert (order.status, task.status, order.runner_id) == ("carrying", "carrying", second.account_id)
    await _undo(world, operator, order_id)
    assert (await world.order(order_id)).runner_id == first.account_id


async def test_what_an_operator_cannot_force(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    order_id = await home.assigned(student, runner)
    version = (await home.order(order_id)).version
    with pytest.raises(StaleVersion) as stale:
        await _force(home, operator, order_id, await home.runner(), version=version - 1)
    assert stale.value.detail["version"] == version
    with pytest.raises(WrongState) as same:
        await _force(home, operator, order_id, runner)
    assert same.value.field == "runner_id"
    with pytest.raises(NotAvailable, match="off duty"):
        await _force(home, operator, order_id, await home.runner(is_on=False))
    with pytest.raises(NotAvailable, match="no approved runner"):
        await _force(home, operator, order_id, student)
    with pytest.raises(NotFound):
        await _force(home, operator, order_id, await home.runner(campus_id=home.other_campus_id))
    with pytest.raises(NotPermitted):
        await _force(home, runner, order_id, await home.runner())
    with pytest.raises(NotPermitted):
        await reassign_task.undo(home.ctx, student, order_id, UndoReassign(version=version))
    own = await home.paid(runner)
    with pytest.raises(NotAvailable, match="their own"):
        await _force(home, operator, own, runner)
    unpaid = await home.place(student)
    with pytest.raises(WrongState):
        await _force(home, operator, unpaid.id, runner)
    assert await home.audit("order.reassign") == []


async def test_an_undo_gives_nothing_to_somebody_who_is_no_runner_any_more(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    first, second = await home.runner(), await home.runner()
    order_id = await home.assigned(student, first)
    await _force(home, operator, order_id, second)

    def remove(uow: UnitOfWork) -> None:
        member: Membership = uow.memberships.get(first.account_id)
        uow.memberships.save(replace(member, runner_status=RunnerStatus.REMOVED))

    await run(home, remove)
    with pytest.raises(NotAvailable):
        await _undo(home, operator, order_id)


async def test_what_it_would_mean_is_shown_before(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    near = await home.runner(at=home.map.place(home.places()[0]).point, name="近")
    far = await home.runner(at=home.map.place("zhu-1").point, name="远")
    silent = await home.runner()
    await home.ctx.presence.remove(home.campus_id, [silent.account_id])
    order_id = await home.assigned(student, near)
    view = await weigh_reassign.options(home.ctx, operator, order_id)
    assert view.version == (await home.order(order_id)).version
    by_runner: dict[str, Any] = {option.runner_id: option for option in view.options}
    assert by_runner[near.account_id].is_current and by_runner[near.account_id].load_before == 1
    assert by_runner[far.account_id].excluded is None and by_runner[far.account_id].cost_s > 0
    assert by_runner[far.account_id].runner_name == "远" and by_runner[far.account_id].distance_m > 0
    assert by_runner[silent.account_id].excluded == "stale_position"
    assert view.options[-1].runner_id == silent.account_id
    done = await home.delivered(student, near)
    with pytest.raises(WrongState):
        await weigh_reassign.options(home.ctx, operator, done)
    with pytest.raises(NotPermitted):
        await weigh_reassign.options(home.ctx, near, order_id)


async def test_why_this_runner(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    runners = [await home.runner(name=name) for name in ("一", "二", "三")]
    order_id = await home.paid(student)
    offer = await home.offered(order_id)
    why = await explain_decision.why(home.ctx, operator, order_id)
    (decision,) = why.decisions
    assert decision.mode == "optimizer" and decision.runner_id == offer.runner_id and why.waiting is None
    assert {candidate.runner_id for candidate in decision.candidates} == {one.account_id for one in runners}
    (chosen,) = [candidate for candidate in decision.candidates if candidate.is_chosen]
    assert chosen.runner_id == offer.runner_id and chosen.runner_name
    assert sum(chosen.terms.values()) == pytest.approx(chosen.cost_s, abs=0.1)
    asked = next(one for one in runners if one.account_id == offer.runner_id)
    await answer_offer.decline(home.ctx, asked, offer.id, DeclineOffer())
    await home.offered(order_id)
    newest = (await explain_decision.why(home.ctx, operator, order_id)).decisions
    excluded = [candidate for decision in newest for candidate in decision.candidates if candidate.excluded]
    assert [(one.runner_id, one.excluded) for one in excluded] == [(asked.account_id, "cooling_down")]
    with pytest.raises(NotPermitted):
        await explain_decision.why(home.ctx, student, order_id)


async def test_why_an_order_waits(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    order_id = await home.paid(student)
    assert (await explain_decision.why(home.ctx, operator, order_id)).waiting == "no_runners"
    runner = await home.runner()
    home.advance(91)
    assert (await explain_decision.why(home.ctx, operator, order_id)).waiting == "all_positions_stale"
    await go_on_duty.set_duty(home.ctx, runner, SetDuty(is_on=False))
    view = await watch_console.console(home.ctx, operator)
    assert view.runners == [] and [order.id for order in view.orders] == [order_id]


async def test_goods_are_repaid_to_who_bought_them_and_the_way_to_who_went_it(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    buyer, second = await world.runner(), await world.runner()
    order_id = await world.carrying(student, buyer, type_code="shop", goods_cap_fen=4000)
    await _force(world, operator, order_id, second)
    order = await world.order(order_id)
    assert order.goods_actual_fen == 2000 and order.runner_id == second.account_id
    await deliver_task.delivered(world.ctx, second, order_id, Deliver(pin=order.pin))
    pay = split_fen(order.quote.service_fen, (80, 10, 10))[0]
    for who, due in ((buyer, 2000), (second, pay)):
        assert [line.amount_fen for line in (await go_on_duty.wallet(world.ctx, who)).pending] == [due]
    await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder())
    await world.pass_time(86_400)
    for who, due in ((buyer, 2000), (second, pay)):
        wallet = await go_on_duty.wallet(world.ctx, who)
        assert (wallet.available_fen, wallet.pending_fen) == (due, 0)
    await world.assert_books(order_id)


async def test_goods_of_a_cancelled_errand_are_repaid_to_who_bought_them(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    buyer, second = await home.runner(), await home.runner()
    order_id = await home.carrying(student, buyer, type_code="shop", goods_cap_fen=4000)
    view = await _force(home, operator, order_id, second)
    wish = OperatorCancel(reason="an accident", version=view.version, charge_percent=0)
    await cancel_order.operator_cancel(home.ctx, operator, order_id, wish)
    await home.work()
    assert (await go_on_duty.wallet(home.ctx, buyer)).available_fen == 2000
    assert (await go_on_duty.wallet(home.ctx, second)).available_fen == 0
    await home.assert_books(order_id)


async def test_what_is_on_its_way_stays_assigned_since_when_it_was(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    first, second = await home.runner(), await home.runner()
    order_id = await home.assigned(student, first)
    home.advance(60)
    await _force(home, operator, order_id, second)
    assigned_at = home.clock.now()
    assert (await home.order(order_id)).assigned_at == assigned_at, "nothing was picked up: a new start"
    await deliver_task.picked_up(home.ctx, second, order_id, PickUp())
    home.advance(60)
    await home.stand(first, home.map.center)
    home.advance(60)
    view = await _force(home, operator, order_id, first)
    assert (await home.order(order_id)).assigned_at == assigned_at
    assert [step.step for step in view.steps if step.at_ms is not None] == ["accepted", "picked_up", "on_the_way"]
    assert [step.at_ms for step in view.steps][:2] == sorted(step.at_ms for step in view.steps[:2])
    assert (await read_orders.track(home.ctx, student, order_id)).points == [], "where first was before is not shown"
    home.advance(1)
    await home.stand(first, home.map.center)
    assert len((await read_orders.track(home.ctx, student, order_id)).points) == 1
