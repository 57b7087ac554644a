"""The ladder of an order that nobody takes: each step told once, to whom it concerns, and obeyed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, go_on_duty, read_orders, reassign_task, watch_console
from dispatch.model.account import Role
from dispatch.model.campus import AssignMode, CampusSettings
from dispatch.model.escalation import Ladder, Rung, Step
from dispatch.model.requests import DeclineOffer, Reassign
from tests.flow_world import World
from tests.shift_reading import rules_for


async def steps(world: World, order_id: str) -> list[str]:
    return [
        event.payload["step"]
        for event in await world.events(order_id)
        if event.kind == "order_escalated"
    ]  # fmt: skip


async def state(world: World, operator: Any, order_id: str) -> Any:
    view = await read_orders.order(world.ctx, operator, order_id)
    assert view.dispatch is not None
    return view.dispatch


async def climb(world: World, seconds: int) -> None:
    """Let time pass in steps that no rung is shorter than."""
    for _ in range(0, seconds, 15):
        await world.pass_time(15)


async def test_each_step_is_told_once_and_in_order(world: World) -> None:
    operator, student = await world.operator(), await world.student()
    order_id = await world.paid(student)
    assert (await state(world, operator, order_id)).state == "waiting"
    await climb(world, 45)
    assert await steps(world, order_id) == ["wider"]
    found = await rules_for(world, order_id)
    assert (found.reach, found.priority_s) == (1.5, 60)
    now = await state(world, operator, order_id)
    assert (now.state, now.step) == ("escalated", "wider")
    await climb(world, 180)
    assert await steps(world, order_id) == ["wider", "far"]
    assert (await rules_for(world, order_id)).reach == 2.5
    await climb(world, 600)
    assert await steps(world, order_id) == ["wider", "far", "called", "alerted", "choice"]
    assert (await state(world, operator, order_id)).state == "failed"
    alerts = await world.alerts()
    assert alerts.count("unassigned") == 1
    orders = (await watch_console.console(world.ctx, operator)).orders
    assert [one.dispatch and one.dispatch.step for one in orders] == ["choice"]


@pytest.mark.parametrize(
    ("waited_s", "refusals", "text"),
    [
        (70, 0, "for 1 minute (0 refusals)"),
        (130, 1, "for 2 minutes (1 refusal)"),
        (200, 2, "for 3 minutes (2 refusals)"),
    ],
)
async def test_an_alert_counts_as_people_do(home: World, waited_s: int, refusals: int, text: str) -> None:
    await home.settings(ladder=Ladder(rungs=(Rung(Step.ALERTED, waited_s, is_alert=True),)))
    order_id = await home.paid(await home.student())
    for _ in range(refusals):
        runner = await home.runner()
        offer = await home.offered(order_id)
        await answer_offer.decline(home.ctx, runner, offer.id, DeclineOffer())
    await home.pass_time(waited_s)
    (alert,) = await home.read(lambda uow: uow.alerts.open_alerts())
    assert alert.text_en == f"Nobody has taken order {order_id[-6:]} {text}"
    assert alert.text_zh.endswith(f"无人接单(被拒 {refusals} 次)")


async def test_steps_that_begin_while_nobody_looks_are_all_told(world: World) -> None:
    order_id = await world.paid(await world.student())
    await world.pass_time(7200)
    assert await steps(world, order_id) == ["wider", "far", "called", "alerted", "choice"]
    kinds = await world.kinds(order_id)
    assert kinds.count("wait_or_cancel") == 1


async def test_the_student_hears_only_that_they_may_choose(world: World) -> None:
    student = await world.student()
    order_id = await world.paid(student)
    assert (await read_orders.order(world.ctx, student, order_id)).is_choice is False
    await climb(world, 480)
    await world.publish()
    heard = [event.kind for event in await world.heard(f"order:{order_id}")]
    assert "wait_or_cancel" in heard
    assert not {"order_escalated", "order_called", "order_held", "order_freed"} & set(heard)
    view = await read_orders.order(world.ctx, student, order_id)
    assert (view.is_choice, view.dispatch, view.cancel_price_fen) == (True, None, 0)
    told = (await read_orders.timeline(world.ctx, student, order_id)).events
    assert "wait_or_cancel" in {event.kind for event in told}
    assert "order_escalated" not in {event.kind for event in told}


async def test_refusals_climb_faster_than_waiting(world: World) -> None:
    student = await world.student()
    for _ in range(2):
        await world.runner()
    order_id = await world.paid(student)
    people = {who.account_id: who for who, _ in await world_runners(world)}
    for expected in ([], ["wider"]):
        offer = await world.offered(order_id)
        await answer_offer.decline(world.ctx, people[offer.runner_id], offer.id, DeclineOffer())
        await world.work()
        assert await steps(world, order_id) == expected
    assert (await rules_for(world, order_id)).refusals == 2


async def world_runners(world: World) -> list[Any]:
    """Everybody on duty, as themselves."""
    found = await world.read(lambda uow: uow.memberships.runners(on_duty_only=True))
    roles = frozenset({Role.STUDENT, Role.RUNNER})
    later = world.clock.now() + timedelta(days=1)
    return [(Principal(one.account_id, world.campus_id, roles, "ses_test", later), account) for one, account in found]


async def test_whoever_is_free_is_called_now_and_then_one_order_at_a_time(world: World) -> None:
    student = await world.student()
    first, second = await world.paid(student), await world.paid(student)
    await climb(world, 240)
    await climb(world, 120)
    await world.publish()
    heard = [event for event in await world.heard(f"hall:{world.campus_id}") if event.kind == "order_called"]
    gaps = [(later.at_ms - earlier.at_ms) / 1000 for earlier, later in pairwise(heard)]
    assert len(heard) >= 4 and min(gaps) >= 30, "at most one call in half a minute"
    assert {event.data["order_id"] for event in heard} == {first, second}
    assert all(event.data["item"]["order_id"] == event.data["order_id"] for event in heard)


async def test_calls_end(home: World) -> None:
    await home.settings(ladder=replace(Ladder(), calls_most=3))
    order_id = await home.paid(await home.student())
    await climb(home, 600)
    assert (await home.kinds(order_id)).count("order_called") == 3
    assert await home.read(lambda uow: uow.jobs.due_at("escalate", order_id)) is None, "nothing is left to look at"


async def test_an_order_that_was_called_may_be_taken_from_the_hall_whatever_the_campus_does(world: World) -> None:
    await world.settings(mode=AssignMode.DISPATCH)
    runner = await world.runner()
    order_id = await world.paid(await world.student())
    assert (await go_on_duty.hall(world.ctx, runner)).items == []
    await climb(world, 240)
    await world.stand(runner, world.map.center)
    assert [item.order_id for item in (await go_on_duty.hall(world.ctx, runner)).items] == [order_id]
    assert (await answer_offer.grab(world.ctx, runner, order_id)).status == "assigned"
    before = await steps(world, order_id)
    await climb(world, 600)
    assert await steps(world, order_id) == before, "somebody has it"
    assert await world.read(lambda uow: uow.escalations.get(order_id)) is None


async def test_after_a_runner_lost_it_the_ladder_begins_anew(world: World) -> None:
    operator, runner = await world.operator(), await world.runner()
    order_id = await world.paid(await world.student())
    await climb(world, 60)
    await world.assign(runner, order_id)
    await climb(world, 600)
    version = (await world.order(order_id)).version
    gone = Reassign(runner_id=None, version=version, reason="runner_unreachable")
    await reassign_task.reassign(world.ctx, operator, order_id, gone)
    found = await rules_for(world, order_id)
    assert (found.number, found.since) == (0, world.clock.now())
    await climb(world, 45)
    assert await steps(world, order_id) == ["wider", "wider"]


async def test_an_order_for_later_does_not_climb_before_its_time(home: World) -> None:
    later_ms = round(home.clock.now().timestamp() * 1000) + 2 * 3_600_000
    order_id = await home.paid(await home.student(), pickup_after_ms=later_ms)
    await climb(home, 6000)
    assert await steps(home, order_id) == []
    await climb(home, 705)
    assert await steps(home, order_id) == ["wider", "far"]


async def test_a_campus_has_its_own_ladder(home: World) -> None:
    await home.settings(ladder=Ladder(rungs=(Rung(Step.ALERTED, 30, is_alert=True),)))
    settings: CampusSettings = (
        await home.ctx.store.read_global(lambda unit: unit.campuses.get(home.campus_id))
    ).settings
    assert settings.ladder.rungs[0].after_s == 30, "it is kept with the campus"
    order_id = await home.paid(await home.student())
    await climb(home, 300)
    assert await steps(home, order_id) == ["alerted"] and await home.alerts() == ["unassigned"]
