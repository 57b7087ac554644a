"""Behind a firewall, with a provider that really calls: nothing arrives, every payment is proved by asking, and the
detector says so; once the way is open, what comes again ends it."""

from __future__ import annotations

from pathlib import Path

from payments.port import Paid
from tests.payments_town import Town, town


async def alarms(it: Town) -> dict[str, dict[str, str | int]]:
    """What is wrong, after a look."""
    await it.payments.upkeep.watch.work()
    return {alarm.kind: alarm.parameters for alarm in await it.payments.alarms(only_open=True)}


async def test_what_was_never_called_is_paid_counted_and_told(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native") as it:
        it.wrong("notice_lost op=notify")
        intents = [await it.open("wechat_native") for _ in range(4)]
        for intent in intents:
            assert await it.pay(await it.till(intent)) == "paid"
        for intent in intents:
            await it.event(intent, Paid, step_s=5.0)
        assert it.calls == []
        trace = await it.payments.timeline(f"ord_{intents[0]}")
        assert not [row for row in trace if row.kind == "callback"]
        assert await alarms(it) == {}, "they may come yet"

        it.advance(minutes=15)
        assert sum(hour.ghosts for hour in await it.payments.ghosts(2)) == 4
        found = await alarms(it)
        assert (found["callbacks_missing"]["ghosts"], found["callbacks_missing"]["payments"]) == (4, 4)
        assert found["callbacks_missing"]["advice"] == "notify_url,firewall,allow_list"

        it.house.faults.remove()
        heard = await it.open("wechat_native")
        assert await it.pay(await it.till(heard)) == "paid"
        await it.until(lambda: ("wechat_native", True) in it.calls, "a callback")

        # The provider says again what was lost, and nothing of it is booked a second time.
        async def is_heard() -> bool:
            return not sum(hour.ghosts for hour in await it.payments.ghosts(24))

        await it.until(is_heard, "every callback", step_s=120.0)
        it.advance(minutes=2)
        assert "callbacks_missing" not in await alarms(it)
        assert await it.differences() == []
