"""What every body of the port must do about reconciliation, its items of work, and alarms."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from payments.port import Alarm, ItemRefused, NoSuchRun, UnknownItem
from payments.store.database import Sql
from payments.store.unit_of_work import UnitOfWork
from payments.upkeep.alarms import AlarmView
from tests.money_scene import add_item, add_run
from tests.payments_desk import START
from tests.payments_guards import GuardedDesk
from tests.payments_remote import RemoteDesk

DAY = date(2026, 3, 2)
MORNING_S = 22.6 * 3600


@pytest.fixture(params=["embedded-sqlite", "embedded-postgres", "remote"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GuardedDesk]:
    """Both bodies; the embedded one on both databases."""
    kind = RemoteDesk if request.param == "remote" else GuardedDesk
    url, bank_url = f"sqlite:///{tmp_path}/payments.db", f"sqlite:///{tmp_path}/bank.db"
    if request.param == "embedded-postgres":
        url = bank_url = request.getfixturevalue("ready_postgres_url")
    async with kind(url, bank_url) as desk:
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


async def test_one_run_and_one_item_are_found_by_their_ids(desk: GuardedDesk) -> None:
    assert await desk.payments.reconciliation("sandbox-2026-03-02") is None
    assert await desk.payments.work_item("item_x") is None
    name = await add_run(desk.payments)
    item = await add_item(desk.payments, "nu")
    assert await desk.payments.reconciliations() == [await desk.payments.reconciliation(name)]
    assert await desk.payments.work_item(item.id) == item
    # One that nobody has to look at any more is found all the same.
    closed = await desk.payments.close_item(item.id, "op_li", "settled")
    assert await desk.payments.open_items() == []
    assert await desk.payments.work_item(item.id) == closed


async def test_a_campus_s_items_are_not_crowded_out_by_another_s(desk: GuardedDesk) -> None:
    name = await add_run(desk.payments)
    for _ in range(3):
        await add_item(desk.payments, "far", found_at=desk.at - timedelta(days=1))
    nobodys, ours = await add_item(desk.payments, ""), await add_item(desk.payments, "nu")
    for campuses, expected in ((["nu"], [ours]), (["nu", ""], [nobodys, ours]), ([], []), (["none"], [])):
        for found in (
            await desk.payments.open_items(2, campuses),
            await desk.payments.differences(name, 2, campuses),
        ):
            assert sorted(each.id for each in found) == sorted(each.id for each in expected)
    assert len(await desk.payments.open_items()) == len(await desk.payments.differences(name)) == 5
    assert len(await desk.payments.open_items(2)) == 2


async def test_how_callbacks_fared_is_told_by_hour(desk: GuardedDesk) -> None:
    await desk.open_and_pay()
    for _ in range(2):
        assert (await desk.payments.callback("sandbox", {}, b"forged")).status == 400
    await desk.settle_down()
    tallies = {each.outcome: each for each in await desk.payments.callback_tallies(desk.at - timedelta(minutes=5))}
    assert {outcome: tally.count for outcome, tally in tallies.items()} == {"accepted": 1, "bad": 2}
    assert {(tally.channel, tally.newest_at) for tally in tallies.values()} == {("sandbox", desk.at)}
    assert await desk.payments.callback_tallies(desk.at + timedelta(hours=1)) == []


async def test_open_alarms_are_not_crowded_out_by_old_ones(desk: GuardedDesk) -> None:
    def alarm(number: int, **more: object) -> AlarmView:
        at = START + timedelta(hours=number)
        fields: dict[str, Any] = {"id": f"alarm_{number}", "campus_id": "nu", "subject": str(number), "kind": "quiet"}
        fields |= {"step": 0, "times": 1, "parameters": {}, "opened_at": at, "told_at": at, "seen_at": at}
        return AlarmView(**fields | more)

    def write(uow: UnitOfWork) -> None:
        uow.alarms.put(alarm(0))
        for number in range(1, 4):
            uow.alarms.put(alarm(number, closed_at=START + timedelta(days=1)))

    await desk.payments._store.run(write)
    assert [each.id for each in await desk.payments.alarms(2)] == ["alarm_3", "alarm_2"]
    assert [each.id for each in await desk.payments.alarms(2, only_open=True)] == ["alarm_0"]


async def test_what_providers_no_longer_have_is_not_asked_for(desk: GuardedDesk) -> None:
    for day in (DAY, DAY + timedelta(days=1), DAY - timedelta(days=367)):
        with pytest.raises(NoSuchRun):
            await desk.payments.reconcile("sandbox", day)
    assert (await desk.payments.reconcile("sandbox", DAY - timedelta(days=366))).state == "waiting"
