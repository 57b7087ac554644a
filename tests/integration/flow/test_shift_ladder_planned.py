"""The planner obeys the ladder: who climbed it is brought by runners from further away, and before who did not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatch.access.principal import Principal
from dispatch.assign.params import Params
from dispatch.flow import answer_offer, go_on_duty
from dispatch.flow.situation import gather
from dispatch.model.account import Role
from dispatch.model.escalation import Ladder, Rung, Step
from dispatch.model.requests import DeclineOffer, SetDuty
from tests.flow_world import World


async def _asked(world: World, order_id: str, params: Params | None = None) -> str | None:
    """Whom one tick puts the order to."""
    await world.tick(params)
    task = await world.task(order_id)
    pending = await world.read(lambda uow: uow.offers.pending_of_task(task.id))
    return None if pending is None else str(pending.runner_id)


async def _metres(world: World, runner: Principal, order_id: str) -> float:
    """How far the runner has to go for it."""
    ground = await world.ctx.grounds.get(world.campus_id)
    situation = await gather(world.ctx, world.campus_id, ground)
    (task,) = (one for one in situation.tasks if one.order_id == order_id)
    (seen,) = (one for one in situation.runners if one.id == runner.account_id)
    return ground.walkways.walk_m(seen.point, task.points[0])


async def test_an_order_that_climbed_is_offered_to_who_was_out_of_reach(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.paid(student)
    far_m = await _metres(home, runner, order_id)
    assert far_m > 50
    short = replace(Params(), max_pickup_m=far_m / 1.25)
    assert await _asked(home, order_id, short) is None
    home.advance(44)
    await home.stand(runner, home.map.center)
    assert await _asked(home, order_id, short) is None, "the first step has not begun"
    home.advance(1)
    assert await _asked(home, order_id, short) == runner.account_id, "half as far again"


async def test_a_wider_reach_has_an_end_too(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.paid(student)
    far_m = await _metres(home, runner, order_id)
    shorter = replace(Params(), max_pickup_m=far_m / 2)
    home.advance(60)
    await home.stand(runner, home.map.center)
    assert await _asked(home, order_id, shorter) is None
    home.advance(30)
    assert await _asked(home, order_id, shorter) == runner.account_id, "the second step reaches further still"


@pytest.mark.parametrize("is_refused", [True, False])
async def test_what_was_refused_is_served_before_what_waits_a_little_longer(home: World, is_refused: bool) -> None:
    await home.settings(
        max_tasks_per_runner=1, ladder=Ladder((Rung(Step.WIDER, 3600, 1, priority_s=60),))
    )  # fmt: skip
    refusing, student = await home.person(Role.STUDENT, Role.RUNNER), await home.student()
    # Nobody carries their own errand: only the newer one can be put to who refuses it.
    older = await home.paid(refusing)
    home.advance(20)
    newer = await home.paid(student)
    if is_refused:
        await go_on_duty.set_duty(home.ctx, refusing, SetDuty(is_on=True))
        await home.stand(refusing, home.map.center)
        offer = await home.offered(newer)
        await answer_offer.decline(home.ctx, refusing, offer.id, DeclineOffer())
    runner = await home.runner()
    first, second = (newer, older) if is_refused else (older, newer)
    assert await _asked(home, first) == runner.account_id
    assert (await home.task(second)).status == "open", "one at a time"
