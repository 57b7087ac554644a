"""What every body of the port must do about reconciliation, its items of work, and alarms."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from payments.port import Alarm, ItemRefused, NoSuchRun, UnknownItem
from payments.store.database import Sql
from tests.payments_guards import GuardedDesk
from tests.payments_remote import RemoteDesk

DAY = date(2026, 3, 2)
MORNING_S = 22.6 * 3600


@pytest.fixture(params=["embedded", "remote"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GuardedDesk]:
    kind = RemoteDesk if request.param == "remote" else GuardedDesk
    async with kind(f"sqlite:///{tmp_path}/payments.db", f"sqlite:///{tmp_path}/bank.db") as desk:
        yield desk


async def _upkeep(desk: GuardedDesk) -> None:
    """One round of everything."""
    while await desk.payments.upkeep.reconciler.work():
        await desk.settle_down()
    await desk.payments.upkeep.watch.work()


async def test_a_run_its_differences_and_what_people_do_with_them(desk: GuardedDesk) -> None:
    await desk.open_and_pay("a")
    await desk.open_and_pay("b")
    changed = await desk.bank._database.run(
        lambda c: Sql(c).do("UPDATE orders SET paid_fen = 900, frozen_fen = 900 WHERE order_ref = 'ord_a'")
    )
    assert changed == 1
    await desk.advance(MORNING_S)
    assert await desk.payments.reconciliations() == []
    await _upkeep(desk)
    (run,) = await desk.payments.reconciliations()
    assert (run.channel, run.day, run.state, run.mismatches) == ("sandbox", DAY, "differing", 1)
    (item,) = await desk.payments.differences(run.id)
    assert (item.kind, item.ours_fen, item.theirs_fen) == ("amount_differs", 1000, 900)
    assert await desk.payments.open_items() == [item]
    (alarm,) = await desk.payments.alarms()
    assert (alarm.kind, alarm.parameters) == ("reconciliation_differs", {"channel": "sandbox", "items": 1})
    assert [event.kind for event in await desk.payments.events() if isinstance(event, Alarm)] == [alarm.kind]

    taken = await desk.payments.take_item(item.id, "op_li")
    assert (taken.state, taken.handler) == ("taken", "op_li")
    with pytest.raises(ItemRefused):
        await desk.payments.close_item(item.id, "op_wang", "not mine")
    with pytest.raises(UnknownItem):
        await desk.payments.close_item("item_x", "op_li", "who knows")
    with pytest.raises(ValueError, match="reason"):
        await desk.payments.close_item(item.id, "op_li", "")
    closed = await desk.payments.close_item(item.id, "op_li", "the bank has corrected it")
    assert closed.state == "closed"
    assert await desk.payments.open_items() == []
    desk.at += timedelta(seconds=61)
    await _upkeep(desk)
    assert [alarm.closed_at is None for alarm in await desk.payments.alarms()] == [False]

    for table, count in (
        (await desk.payments.differences_csv(run.id), 1),
        (await desk.payments.open_items_csv(), 0),
        (await desk.payments.reconciliations_csv(), 1),
    ):
        assert len(list(csv.DictReader(io.StringIO(table)))) == count


async def test_a_day_is_run_again_when_it_is_asked_for(desk: GuardedDesk) -> None:
    await desk.open_and_pay()
    with pytest.raises(NoSuchRun):
        await desk.payments.reconcile("sandbox", DAY)
    await desk.advance(MORNING_S)
    run = await desk.payments.reconcile("sandbox", DAY)
    assert (run.state, run.ran_at) == ("waiting", None)
    await _upkeep(desk)
    (first,) = await desk.payments.reconciliations()
    assert first.state == "agreed"
    desk.at += timedelta(minutes=5)
    assert (await desk.payments.reconcile("sandbox", DAY)).due_at == desk.at
    await _upkeep(desk)
    (again,) = await desk.payments.reconciliations()
    assert (again.state, again.ran_at, again.digest) == ("agreed", desk.at, first.digest)
    # A bill that cannot be had again leaves what was found, and is not asked for without end.
    await desk.fault("bill_late", count=1000)
    await desk.payments.reconcile("sandbox", DAY)
    await desk.payments.upkeep.reconciler.work()
    (kept,) = await desk.payments.reconciliations()
    assert (kept.state, kept.reason, kept.digest) == ("agreed", "late", first.digest)
    assert kept.due_at is not None
    assert kept.due_at > desk.at
    with pytest.raises(NoSuchRun):
        await desk.payments.reconcile("cash", DAY)


async def test_ghosts_are_counted(desk: GuardedDesk) -> None:
    await desk.fault("lost")
    await desk.open("a")
    assert await desk.bank.pay(await desk.token()) == "paid"
    await desk.advance(1200, step_s=60)
    (hour,) = await desk.payments.ghosts()
    assert (hour.channel, hour.payments, hour.ghosts) == ("sandbox", 1, 1)
