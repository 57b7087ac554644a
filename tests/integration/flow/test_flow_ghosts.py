"""Paid, and nobody called: payments behind a firewall, from the provider's silence to the console's advice; and money
that is late on its way back."""

from __future__ import annotations

from datetime import timedelta

from dispatch.access.principal import Principal
from dispatch.flow import read_orders, watch_console, watch_money
from dispatch.flow.apply_payments import apply_payments
from dispatch.model import ids
from payments.port import Refund
from tests.flow_world import DAY_S, World


async def look(world: World, seconds: float = 61) -> None:
    """Let the time pass and the watch look."""
    await world.pass_time(seconds)
    await world.payments.upkeep.watch.work()
    await apply_payments(world.ctx)


async def shown(world: World, who: Principal) -> set[str]:
    """What the console says of money."""
    alerts = (await watch_console.console(world.ctx, who)).alerts
    return {alert.text_zh for alert in alerts if alert.kind == "money_alarm"}


async def test_orders_behind_a_firewall_are_paid_all_the_same_and_told(world: World) -> None:
    operator, bank = await world.operator(), world.payments.bank
    await bank.script("*", "lost", 5)
    orders = []
    for _ in range(5):
        student = await world.student()
        order_id = (await world.place(student)).id
        assert await bank.pay(await world.credential(student, order_id)) == "paid"
        orders.append((student, order_id))
    for _ in range(4):
        await world.pass_time(15)
    # Nothing was called, and nobody waits for ever: the question that we ask ourselves has proved them.
    assert {(await read_orders.order(world.ctx, *each)).status for each in orders} == {"open"}
    trace = await watch_money.trace(world.ctx, operator, orders[0][1])
    assert not [entry for entry in trace.entries if entry.kind == "callback"]
    assert [entry.code for entry in trace.entries if entry.kind == "decision"].count("Paid") == 1

    await look(world, 900)
    (alarm,) = (await watch_money.alarms(world.ctx, operator)).alarms
    assert (alarm.kind, alarm.is_everywhere) == ("callbacks_missing", True)
    assert "5 of 5" in alarm.text_en and "notify_url" in alarm.advice_en and "防火墙" in alarm.advice_zh
    sandbox = (await watch_money.overview(world.ctx, operator)).channels[0]
    assert (sandbox.payments_24h, sandbox.ghosts_24h, sandbox.problems) == (5, 5, ["callbacks_missing"])
    assert await shown(world, operator) == {alarm.text_zh}

    # The firewall is opened: what is called from now on is heard, and in an hour the alarm is over.
    await world.paid(await world.student())
    await look(world, 3600)
    assert (await watch_money.alarms(world.ctx, operator)).alarms == []
    assert await shown(world, operator) == set()
    tallies = (await watch_money.callbacks(world.ctx, operator)).hours
    assert (sum(hour.payments for hour in tallies), sum(hour.ghosts for hour in tallies)) == (6, 5)


async def test_callbacks_that_somebody_forges_are_counted_at_the_channel(home: World) -> None:
    operator = await home.operator()
    await home.paid(await home.student())
    for _ in range(6):
        assert (await home.payments.callback("sandbox", {}, b"{}")).status == 400
    await look(home)
    sandbox, backup = (await watch_money.overview(home.ctx, operator)).channels
    assert (sandbox.refused_24h, backup.refused_24h) == (6, 0)
    assert sandbox.problems == ["callbacks_refused"]
    await look(home, 2 * 3600)
    assert (await watch_money.alarms(home.ctx, operator)).alarms == []
    assert (await watch_money.overview(home.ctx, operator)).channels[0].refused_24h == 6


async def test_a_refund_that_is_late_is_told_until_it_is_there(home: World) -> None:
    operator, student = await home.operator(), await home.student()
    order_id = await home.paid(student)
    await home.payments.bank.script(order_id, "release_lost", 1000)
    await home.payments.submit(
        Refund(
            id="refund:1",
            intent_id=ids.derived_id(ids.INTENT, order_id),
            refund_id="refund-1",
            amount_fen=100,
            reason="wet parcel",
        )
    )
    await home.work()
    (row,) = (await watch_money.refunds(home.ctx, operator, only_open=True)).refunds
    assert not row.is_overdue and row.due_by_ms - row.asked_at_ms == DAY_S * 1000
    before = home.clock.now()
    while home.clock.now() < before + timedelta(seconds=DAY_S + 600):
        await home.pass_time(3600)
    await look(home)
    (row,) = (await watch_money.refunds(home.ctx, operator, only_open=True)).refunds
    assert row.is_overdue and row.done_at_ms is None
    kinds = {alert.kind: alert for alert in (await watch_console.console(home.ctx, operator)).alerts}
    assert {"refund_overdue", "money_alarm"} <= set(kinds)
    assert "1.00" in kinds["refund_overdue"].text_zh and kinds["refund_overdue"].order_id == order_id
    alarms = {alarm.kind for alarm in (await watch_money.alarms(home.ctx, operator)).alarms}
    assert "refund_overdue" in alarms

    # At last the money is there.
    await home.payments.bank.clear_scripts()
    await home.pass_time(7200)
    await look(home)
    (row,) = (await watch_money.refunds(home.ctx, operator)).refunds
    assert row.done_at_ms is not None
    assert "refund_overdue" not in {alarm.kind for alarm in (await watch_money.alarms(home.ctx, operator)).alarms}
    left = {alert.kind for alert in (await watch_console.console(home.ctx, operator)).alerts}
    assert "refund_overdue" not in left and "money_alarm" not in left
