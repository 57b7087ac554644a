"""The loop of a background job: on while there is work, woken, patient after failures, and stopped with care."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dispatch.jobs import loop as loops
from dispatch.jobs.loop import Loop

Eventually = Callable[..., Awaitable[object]]


def _loop(step: Callable[[], Awaitable[int]], every_s: float = 60.0) -> Loop:
    return Loop("test", step, every_s)


async def test_it_runs_on_while_there_is_work_and_sleeps_until_it_is_woken(eventually: Eventually) -> None:
    left, looks = [3], [0]

    async def step() -> int:
        looks[0] += 1
        left[0] = max(0, left[0] - 1)
        return left[0]

    loop = _loop(step)
    loop.start()
    await eventually(lambda: looks[0] == 3)
    left[0] = 1
    loop.wake()
    loop.wake()
    await eventually(lambda: looks[0] == 4)
    await loop.stop()
    assert (looks[0], loop.steps, loop.failures) == (4, 4, 0)


async def test_it_looks_by_itself_now_and_then(eventually: Eventually) -> None:
    looks = [0]

    async def step() -> int:
        looks[0] += 1
        return 0

    loop = _loop(step, every_s=0.001)
    loop.start()
    await eventually(lambda: looks[0] > 5)
    await loop.stop()
    await loop.stop()


async def test_a_failure_is_waited_out_and_work_goes_on(eventually: Eventually, monkeypatch: Any) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_S", 0.001)
    outcomes = [RuntimeError("once"), RuntimeError("twice"), 0]
    looks = [0]

    async def step() -> int:
        outcome = outcomes[min(looks[0], 2)]
        looks[0] += 1
        if isinstance(outcome, Exception):
            raise outcome
        return int(str(outcome))

    loop = _loop(step)
    loop.start()
    await eventually(lambda: loop.steps == 1)
    await loop.stop()
    assert (loop.failures, looks[0]) == (2, 3)


async def test_stopping_lets_the_step_finish(eventually: Eventually) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), []

    async def step() -> int:
        begun.set()
        await go_on.wait()
        done.append(1)
        return 1

    loop = _loop(step)
    loop.start()
    await begun.wait()
    stopping = asyncio.create_task(loop.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    go_on.set()
    await stopping
    assert done == [1]
