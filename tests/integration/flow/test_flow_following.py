"""Who may follow which topic, and what a follower is shown first."""

from __future__ import annotations

import msgspec
import pytest

from dispatch.access.principal import Principal
from dispatch.flow import cancel_order, deliver_task, read_orders, reassign_task
from dispatch.flow.follow_topic import TopicGrant, may_follow_many, read_topics
from dispatch.model.errors import NotFound, NotPermitted, Refusal
from dispatch.model.requests import CancelOrder, PickUp, Reassign
from tests.flow_world import World


async def granted(home: World, who: Principal, topic: str, datum: str = "wgs84") -> TopicGrant:
    """The grant with its snapshot; without one the answer is the same. Raises what either is refused with."""
    (short,) = await may_follow_many(home.ctx, [(who, topic)])
    (whole,) = await read_topics(home.ctx, [(who, topic, datum)])
    if isinstance(whole, Refusal):
        assert (type(short), str(short)) == (type(whole), str(whole))
        raise whole
    assert isinstance(short, TopicGrant) and (short.watch, short.snapshot) == (whole.watch, None)
    return whole


async def test_who_may_follow_what(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    other = await home.runner()
    foreign = await home.operator(campus_id=home.other_campus_id)
    order_id = await home.paid(student)
    topic = f"order:{order_id}"
    assert (await granted(home, student, topic)).watch == "", "nobody has it yet"
    with pytest.raises(NotFound):
        await granted(home, runner, topic)
    await home.assign(runner, order_id)
    for who in (student, runner, operator):
        grant = await granted(home, who, topic, "gcj02")
        assert grant.watch == runner.account_id and grant.snapshot["id"] == order_id
    for who in (other, await home.student(), foreign):
        with pytest.raises(NotFound):
            await granted(home, who, topic)
    await deliver_task.picked_up(home.ctx, runner, order_id, PickUp())
    await home.hand_over(runner, order_id)
    grant = await granted(home, student, topic)
    assert grant.watch == "" and grant.snapshot["status"] == "delivered"
    with pytest.raises(NotPermitted, match="over"):
        await granted(home, runner, topic)

    own, hall, console = f"runner:{runner.account_id}", f"hall:{home.campus_id}", f"console:{home.campus_id}"
    assert (await granted(home, runner, own)).snapshot["is_on_duty"] is True
    assert (await granted(home, runner, hall)).snapshot["items"] == []
    assert (await granted(home, operator, console)).watch is None
    denied = [
        (other, own), (operator, own), (student, f"runner:{student.account_id}"), (student, hall), (foreign, hall),
        (runner, console), (student, console), (foreign, console),
    ]  # fmt: skip
    for who, name in denied:
        with pytest.raises(NotPermitted):
            await granted(home, who, name)
    for nonsense in ("", "order:", "order:1", "weather:today", f"order:{student.account_id}"):
        with pytest.raises(NotFound):
            await granted(home, student, nonsense)


async def test_many_ask_at_once_and_each_has_an_answer_of_their_own(world: World) -> None:
    student, other, operator, runner = (
        await world.student(), await world.student(), await world.operator(), await world.runner()
    )  # fmt: skip
    waiting, assigned = await world.paid(other), await world.assigned(student, runner)
    console, hall = f"console:{world.campus_id}", f"hall:{world.campus_id}"
    asked = [
        (student, f"order:{assigned}"), (other, f"order:{assigned}"), (operator, console),
        (operator, f"order:{waiting}"), (student, console), (runner, hall), (operator, console),
        (runner, f"order:{assigned}"), (student, "order:none"), (other, f"order:{waiting}"),
        (runner, f"runner:{runner.account_id}"),
    ]  # fmt: skip
    whole = await read_topics(world.ctx, [(who, topic, "wgs84") for who, topic in asked])
    short = await may_follow_many(world.ctx, asked)
    assert [type(one) for one in whole] == [type(one) for one in short]
    refused = {number: type(one) for number, one in enumerate(whole) if isinstance(one, Refusal)}
    assert refused == {1: NotFound, 4: NotPermitted, 8: NotFound}
    grants = {number: one for number, one in enumerate(whole) if isinstance(one, TopicGrant)}
    assert [grants[number].watch for number in (0, 3, 7, 9)] == [runner.account_id, "", runner.account_id, ""]
    assert [grants[number].snapshot["id"] for number in (0, 3, 7, 9)] == [assigned, waiting, assigned, waiting]
    assert grants[2].snapshot is grants[6].snapshot, "what two see alike is read once"
    # Each is shown what is theirs to see, as if they had asked alone.
    for number in (0, 3, 7, 9):
        who, topic = asked[number]
        alone = msgspec.to_builtins(await read_orders.order(world.ctx, who, topic.partition(":")[2]))
        assert grants[number].snapshot == alone, number
    assert grants[0].snapshot["pin"] and not grants[7].snapshot["pin"]
    assert await may_follow_many(world.ctx, []) == await read_topics(world.ctx, []) == []


async def test_a_runner_who_lost_the_order_follows_it_no_more(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    first, second = await home.runner(), await home.runner()
    order_id = await home.assigned(student, first)
    version = (await home.order(order_id)).version
    request = Reassign(runner_id=second.account_id, version=version, reason="other")
    await reassign_task.reassign(home.ctx, operator, order_id, request)
    with pytest.raises(NotFound):
        await granted(home, first, f"order:{order_id}")
    assert (await granted(home, student, f"order:{order_id}")).watch == second.account_id
    version = (await home.order(order_id)).version
    await cancel_order.cancel(home.ctx, student, order_id, CancelOrder(reason="x", version=version))
    assert (await granted(home, student, f"order:{order_id}")).watch == ""
