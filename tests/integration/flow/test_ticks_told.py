"""What reaches the optimizer and its record from elsewhere: the last plan, who runners are, and why greedy acted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatch.assign.params import Params
from dispatch.assign.solver import plan
from dispatch.flow.assign_tasks import assign_tasks
from dispatch.flow.planning import Desk
from dispatch.ticks.archive import TickArchive
from dispatch.ticks.files import TickFiles
from dispatch.ticks.recorder import Recorder
from dispatch.ticks.replay import Recording, Span, replay
from tests.flow_world import World


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(TickFiles(tmp_path), "test")
    yield made
    made.close()


async def _tick(world: World, desk: Desk) -> Any:
    if not world.fence:
        name = f"planner:{world.campus_id}"
        world.fence = await world.ctx.store.run_global(lambda unit: unit.leases.acquire(name, "test", 10**8)) or 0
    return await assign_tasks(world.ctx, world.campus_id, world.fence, Params(), desk)


async def test_the_record_of_a_late_tick_says_that_greedy_acted_and_why(home: World, recorder: Recorder) -> None:
    gate = threading.Event()

    def slow(tasks: Any, runners: Any, ways: Any, now_ms: int, params: Any, method: Any, lap: Any) -> Any:
        if method != "greedy":
            gate.wait(30)
        return plan(tasks, runners, ways, now_ms, params, method, lap)

    await home.paid(await home.student())
    await home.runner()
    desk = Desk(home.ctx, deadline_s=0.05, planner=slow, recorder=recorder)
    try:
        assert (await _tick(home, desk)).offered == 1
    finally:
        gate.set()
    recorder.flush()
    kept = TickArchive(recorder.files).latest(home.campus_id)
    assert kept is not None
    assert (kept.tick.asked, kept.tick.acted, kept.tick.fallback) == ("optimizer", "greedy", "deadline")
    found = replay(Recording(recorder.files.folder).ticks(Span()), None)
    assert (found.ticks, found.same_plan, found.fallbacks) == (1, 1, 1), "it is played again as it was: greedily"


async def test_a_plan_begins_with_what_the_last_one_had_in_mind(home: World, recorder: Recorder) -> None:
    later_ms = round((home.clock.now() + timedelta(minutes=25)).timestamp() * 1000)
    order_id = await home.paid(await home.student(), pickup_after_ms=later_ms)
    runner = await home.runner()
    desk = Desk(home.ctx, recorder=recorder)
    first = await _tick(home, desk)
    foreseen = first.foreseen[order_id]
    assert (foreseen.state, foreseen.runner_id) == ("planned", runner.account_id)
    home.advance(5)
    await home.stand(runner, home.map.center)
    await _tick(home, desk)
    recorder.flush()
    kept = TickArchive(recorder.files).latest(home.campus_id)
    assert kept is not None
    assert [task.foreseen for task in kept.tick.tasks] == [(runner.account_id, foreseen.leave_at_ms)]
