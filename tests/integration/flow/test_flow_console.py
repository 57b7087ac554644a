"""What the campus team sees: the console with its figures and alerts, and what they reveal, with its trace."""

from __future__ import annotations

import io

import msgspec
import pytest
from PIL import Image

from dispatch.flow import deliver_task, go_on_duty, reveal_personal, watch_console
from dispatch.model.errors import NotFound, NotPermitted
from dispatch.model.requests import Deliver, PickUp, Reveal, SetDuty
from tests.flow_world import DAY_S, World, run


async def test_an_order_past_its_promise_alerts_once(world: World) -> None:
    student, operator, runner = await world.student(), await world.operator(), await world.runner()
    order_id = await world.assigned(student, runner)
    order = await world.order(order_id)
    await world.pass_time((order.promised_at - world.clock.now()).total_seconds())
    await run(world, lambda uow: uow.jobs.schedule("check_late", order_id, uow.now))
    await world.pass_time(60)
    assert (await world.alerts()).count("order_late") == 1
    assert (await world.kinds(order_id)).count("order_late") == 1
    console = await watch_console.console(world.ctx, operator)
    (alert,) = console.alerts
    assert alert.order_id == order_id and not alert.is_acknowledged
    assert console.kpis.late == 1 and console.runners[0].is_late and console.orders[0].is_late
    seen = await watch_console.acknowledge(world.ctx, operator, alert.id)
    assert seen.is_acknowledged and (await watch_console.console(world.ctx, operator)).alerts == []
    with pytest.raises(NotPermitted):
        await watch_console.acknowledge(world.ctx, student, alert.id)


async def test_the_console_and_its_figures_beside_yesterdays(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    runner, idle = await world.runner(), await world.runner()
    await world.delivered(student, runner)
    world.advance(DAY_S + 60)
    await world.work()
    await world.stand(runner, world.map.center)
    done = await world.delivered(student, runner)
    open_id = await world.paid(student)
    carried = await world.assigned(student, runner)
    await go_on_duty.set_duty(world.ctx, idle, SetDuty(is_on=False))
    off = await world.runner(is_on=False)
    view = await watch_console.console(world.ctx, operator)
    assert {order.id for order in view.orders} == {done, open_id, carried}
    assert all(order.task_status for order in view.orders)
    (shown,) = view.runners
    assert shown.id == runner.account_id and shown.order_ids == [carried] and shown.load == 1
    kpis = view.kpis
    assert (kpis.active, kpis.unassigned, kpis.done_today, kpis.done_yesterday) == (2, 1, 1, 1)
    assert (kpis.online, kpis.runners, kpis.students_today) == (1, 1, 1) and kpis.turnover_today_fen > 0
    assert off.account_id not in [one.id for one in view.runners]
    money = await watch_console.money(world.ctx, operator)
    held_fen = (await world.order(done)).held_fen
    assert money.held_fen == 4 * held_fen, "all four cost the same"
    for read in (watch_console.console, watch_console.money):
        with pytest.raises(NotPermitted):
            await read(world.ctx, student)
    other = await world.operator(campus_id=world.other_campus_id)
    assert (await watch_console.console(world.ctx, other)).orders == []


async def test_revealing_leaves_a_trace(world: World) -> None:
    student, operator = await world.student(name="李雷"), await world.operator()
    order_id = await world.paid(student)
    view = await reveal_personal.reveal(world.ctx, operator, order_id, Reveal(reason="nobody opens"))
    assert view.name == "李雷" and view.stops[1].detail == "501" and view.stops[1].contact_phone == "13900001234"
    (entry,) = await world.audit("personal.reveal")
    assert (entry.actor_id, entry.subject, entry.reason) == (operator.account_id, order_id, "nobody opens")
    with pytest.raises(NotPermitted):
        await reveal_personal.reveal(world.ctx, student, order_id, Reveal(reason="curious"))
    foreign = await world.operator(campus_id=world.other_campus_id)
    with pytest.raises(NotFound):
        await reveal_personal.reveal(world.ctx, foreign, order_id, Reveal(reason="curious"))
    assert len(await world.audit("personal.reveal")) == 1


async def test_the_console_knows_when_each_order_under_way_will_arrive(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    first = await home.assigned(student, runner)
    alone = (await home.seen(student, first)).eta
    home.advance(1)
    second = await home.assigned(student, runner)
    waiting = await home.paid(student)
    own = {order_id: (await home.seen(student, order_id)).eta for order_id in (first, second)}
    assert own[first].at_ms > alone.at_ms + 1000, "what is picked up on the way takes its time"
    assert own[second].at_ms > own[first].at_ms, "it comes after what the runner carries besides"
    shown = {view.id: view.eta for view in (await watch_console.console(home.ctx, operator)).orders}
    assert shown == own | {waiting: None}
    await home.publish()
    told = [one.data for one in await home.heard(f"console:{home.campus_id}") if one.data.get("order_id") == second]
    assert told[-1]["order"]["eta"] == msgspec.to_builtins(own[second])
    await home.stand(runner, home.map.center, seconds_ago=61)
    home.advance(61)
    stale = {view.id: view.eta for view in (await watch_console.console(home.ctx, operator)).orders}
    assert stale[first].warnings == ["stale_position", "not_picked_up"]
    await deliver_task.picked_up(home.ctx, runner, first, PickUp())
    assert (await home.seen(student, first)).eta.warnings == ["stale_position"]


async def test_the_console_shows_the_photos_of_an_order(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    order_id = await home.carrying(student, runner)
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "PNG")
    photo = await deliver_task.add_photo(home.ctx, runner, order_id, "image/png", out.getvalue())
    await deliver_task.delivered(home.ctx, runner, order_id, Deliver(photo_id=photo.id))
    (view,) = (await watch_console.console(home.ctx, operator)).orders
    assert view.photo_ids == [photo.id]
    await home.publish()
    assert (await home.heard(f"console:{home.campus_id}"))[-1].data["order"]["photo_ids"] == [photo.id]
