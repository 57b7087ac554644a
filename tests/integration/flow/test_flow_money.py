"""Money that does not agree, from the bank's own books to the console: found by the run, told, taken, closed."""

from __future__ import annotations

from itertools import count
from typing import Any, Literal

import pytest

from dispatch.flow import read_orders, watch_console, watch_money, work_money
from dispatch.flow.apply_payments import apply_payments
from dispatch.model.account import Role
from dispatch.model.errors import NotFound
from dispatch.model.money_views import CloseItem, TakeItem
from payments.reconcile.repair import REPAIR_S
from payments.upkeep.alarms import AlarmView, Telling
from tests.flow_world import World


async def look(world: World) -> None:
    """Let payments look after its money, and the console hear of it."""
    world.advance(61)
    for _ in range(20):
        done = await world.payments.upkeep.reconciler.work() + await world.payments.upkeep.watch.work()
        if not done + await apply_payments(world.ctx):
            return
    raise AssertionError("the upkeep never comes to rest")


async def test_what_the_bank_kept_to_itself_is_found_shown_and_closed(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    stranger = await world.operator(campus_id=world.other_campus_id)
    order_id = (await world.place(student)).id
    token, bank = await world.credential(student, order_id), world.payments.bank
    await bank.script(order_id, "lost")
    await bank.script(order_id, "query_lost", 1000)
    assert await bank.pay(token) == "paid"
    await world.pass_time(1200)
    assert (await read_orders.order(world.ctx, student, order_id)).status == "cancelled"
    # The bill of Monday is fetched on Tuesday at half past ten.
    world.advance(86_400 + 1800 - 1200)
    for wait_s in (0, *REPAIR_S):
        world.advance(wait_s)
        await look(world)

    (run,) = (await watch_money.runs(world.ctx, operator)).runs
    assert (run.id, run.state) == ("sandbox-2026-03-02", "differing")
    (item,) = (await watch_money.items(world.ctx, operator)).items
    assert (item.kind, item.cause, item.state) == ("paid_there_not_here", "not_booked", "open")
    assert (item.order_id, item.ours_fen) == (order_id, 0)
    assert item.theirs_fen == (await world.order(order_id)).quote.total_fen
    assert (await watch_money.run(world.ctx, operator, run.id)).items == [item]
    assert item.id in await watch_money.run_csv(world.ctx, operator, run.id)
    assert (await watch_money.items(world.ctx, stranger)).items == []

    alarms = {alarm.kind: alarm for alarm in (await watch_money.alarms(world.ctx, operator)).alarms}
    assert "1" in alarms["reconciliation_differs"].text_en and alarms["reconciliation_differs"].advice_zh
    shown = [
        alert for alert in (await watch_console.console(world.ctx, operator)).alerts if alert.kind == "money_alarm"
    ]
    assert alarms["reconciliation_differs"].text_zh in {alert.text_zh for alert in shown}
    assert "reconciliation_differs" in {one.kind for one in (await watch_money.alarms(world.ctx, stranger)).alarms}

    with pytest.raises(NotFound):
        await work_money.take_item(world.ctx, stranger, item.id, TakeItem())
    taken = await work_money.take_item(world.ctx, operator, item.id, TakeItem())
    assert taken.state == "taken" and taken.is_mine
    closed = await work_money.close_item(world.ctx, operator, item.id, CloseItem(reason="given back at the counter"))
    assert (closed.state, closed.reason) == ("closed", "given back at the counter")
    assert [entry.reason for entry in await world.audit("close_work_item")] == ["given back at the counter"]
    await look(world)
    assert (await watch_money.items(world.ctx, operator)).items == []
    texts = {alert.text_zh for alert in (await watch_console.console(world.ctx, operator)).alerts}
    assert alarms["reconciliation_differs"].text_zh not in texts
    trace = await watch_money.trace(world.ctx, operator, order_id)
    assert {"attempt", "request"} <= {entry.kind for entry in trace.entries}
    with pytest.raises(NotFound):
        await watch_money.trace(world.ctx, stranger, order_id)


async def test_an_alarm_is_told_once_to_whom_it_concerns_and_leaves_by_itself(home: World) -> None:
    admin, times = await home.person(Role.ADMIN), count(1)

    async def tell(campus_id: str, step: int, what: Literal["opened", "repeated", "over"]) -> None:
        now = home.clock.now()
        alarm = AlarmView(
            id=f"alarm_{campus_id or 'all'}", kind="certificate_expires", campus_id=campus_id, subject="wechat",
            step=step, parameters={"name": "wechat", "days": 30 - step, "is_over": 0}, times=next(times), opened_at=now,
            told_at=now, seen_at=now,
        )  # fmt: skip
        telling = Telling(alarm=alarm, what=what)
        await home.payments._store.run(lambda uow: home.payments.upkeep.watch._tell(uow, telling, now))
        await apply_payments(home.ctx)

    async def open_at(campus_id: str) -> list[str]:
        alerts = await home.read(lambda uow: uow.alerts.open_alerts(), campus_id)
        return [alert.subject_id for alert in alerts if alert.kind == "money_alarm"]

    async def told(campus_id: str) -> list[dict[str, Any]]:
        await home.publish()
        return [event.data["alert"] for event in await home.heard(f"console:{campus_id}", campus_id)]

    both = (home.campus_id, home.other_campus_id)
    await tell("", 1, "opened")
    await tell(home.campus_id, 1, "opened")
    await tell("cmp_gone", 1, "opened")
    assert [len(await open_at(each)) for each in both] == [2, 1]
    heard = await told(home.other_campus_id)
    assert [(alert["kind"], alert["is_acknowledged"]) for alert in heard] == [("money_alarm", False)]

    # Told again as it was: whoever has taken note of it is left alone.
    (alert,) = await home.read(lambda uow: uow.alerts.open_alerts(), home.other_campus_id)
    stranger = await home.operator(campus_id=home.other_campus_id)
    await watch_console.acknowledge(home.ctx, stranger, alert.id)
    await tell("", 1, "repeated")
    assert await open_at(home.other_campus_id) == []
    # Worse, it is told anew, in place of what was said before.
    await tell("", 2, "repeated")
    assert await open_at(home.other_campus_id) == ["alarm_all:2"]
    assert set(await open_at(home.campus_id)) == {"alarm_all:2", f"alarm_{home.campus_id}:1"}
    await tell("", 2, "over")
    assert await open_at(home.other_campus_id) == []
    await home.publish()
    heard = await told(home.other_campus_id)
    assert [alert["is_acknowledged"] for alert in heard] == [False, False, True]
    seen = (await watch_console.console(home.ctx, admin)).alerts
    assert [alert.kind for alert in seen] == ["money_alarm"]
