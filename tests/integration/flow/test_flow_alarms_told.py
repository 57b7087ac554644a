"""Every kind of alarm: at the console in both languages, at the webhook, and gone from both when its cause is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import msgspec
import pytest

from dispatch.flow import watch_console, watch_money
from dispatch.flow.apply_payments import apply_payments
from payments.port import Alarm, AlarmOver
from payments.upkeep.alarms import REPEAT_S, AlarmKind, Cause, Telling, judge
from tests.flow_world import World
from tests.money_alarms import PARAMETERS


async def tell(world: World, found: list[Cause]) -> None:
    """As the watch does with what the rules have found."""
    watch, now = world.payments.upkeep.watch, world.clock.now()
    watch._has_webhook = True

    def write(uow: Any) -> list[Telling]:
        tellings = judge(found, uow.alarms.open(), now, world.ctx.new_id("evt"))
        for telling in tellings:
            watch._tell(uow, telling, now)
        return tellings

    await world.payments._store.run(write)
    await apply_payments(world.ctx)


async def posted(world: World) -> list[Alarm | AlarmOver]:
    """What waits for the webhook's receiver."""
    now = world.clock.now()
    due = await world.payments._store.run(lambda uow: uow.webhook.lease_due(now, now + timedelta(seconds=1), 10))
    return [msgspec.json.decode(each.body, type=Alarm | AlarmOver) for each in due]


@pytest.mark.parametrize("kind", get_args(AlarmKind))
async def test_it_is_told_and_taken_back(home: World, kind: AlarmKind) -> None:
    operator = await home.operator()
    cause = Cause(kind=kind, campus_id=home.campus_id, subject="wechat", parameters=PARAMETERS[kind])
    await tell(home, [cause])
    (shown,) = (await watch_money.alarms(home.ctx, operator)).alarms
    assert shown.kind == kind and shown.text_zh and shown.text_en and shown.advice_zh and shown.advice_en
    (alert,) = (await watch_console.console(home.ctx, operator)).alerts
    assert (alert.kind, alert.text_zh, alert.text_en) == ("money_alarm", shown.text_zh, shown.text_en)

    # While it lasts it is repeated, not piled up.
    home.advance(REPEAT_S[kind] + 1)
    await tell(home, [cause])
    assert len((await watch_console.console(home.ctx, operator)).alerts) == 1

    home.advance(400)
    await tell(home, [])
    assert (await watch_money.alarms(home.ctx, operator)).alarms == []
    assert (await watch_console.console(home.ctx, operator)).alerts == []
    messages = await posted(home)
    assert [type(message) for message in messages] == [Alarm, Alarm, AlarmOver]
    assert {(message.kind, message.campus_id) for message in messages} == {(kind, home.campus_id)}
    assert messages[0].parameters == PARAMETERS[kind]
