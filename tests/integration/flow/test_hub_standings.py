"""Sockets and the books: who is signed out, blocked, loses a role or goes off duty, on every worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dispatch.access.passwords import hash_password
from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, deliver_task
from dispatch.flow.follow_topic import may_follow_many, read_topics
from dispatch.flow.go_on_duty import set_duty
from dispatch.flow.manage_accounts import block_account, create_account, review_runner, set_roles
from dispatch.flow.sign_in import ask_standings, open_session, refresh, set_password, sign_out, socket_token
from dispatch.model.account import Role
from dispatch.model.errors import AccountBlocked, NotSignedIn, SignInFailed, Unavailable
from dispatch.model.requests import BlockAccount, DeclineOffer, Deliver, ReviewRunner, SetDuty, SetPassword, SetRoles
from tests.flow_world import World, open_world
from tests.hub_world import OPTIONS, Eventually, Server, dial, follow, now_ms

STUDENT = frozenset({Role.STUDENT})
RUNNER = frozenset({Role.STUDENT, Role.RUNNER})


async def session_of(home: World, account_id: str, roles: frozenset[Role] | None = None) -> Principal:
    """A new session, as its access token says it."""
    view = await open_session(home.ctx, account_id, home.campus_id, roles)
    return home.ctx.tokens.access(view.access_token)


async def standing(home: World, who: Principal) -> Any:
    (answer,) = await ask_standings(home.ctx, [who])
    return answer


async def told(home: World, account_id: str) -> int:
    return (await home.kinds(account_id)).count("access_changed")


async def test_a_session_that_ended_is_nobodys(world: World) -> None:
    account = (await world.student()).account_id
    one, two = await session_of(world, account), await session_of(world, account)
    assert (await standing(world, one)).principal == one
    await sign_out(world.ctx, one)
    await sign_out(world.ctx, one)
    ended, good = await ask_standings(world.ctx, [one, two])
    assert isinstance(ended, NotSignedIn) and good.principal == two  # type: ignore[union-attr]
    assert await told(world, account) == 1, "once is enough"
    admin = await world.person(Role.ADMIN)
    await block_account(world.ctx, admin, account, BlockAccount(is_blocked=True, reason="spam"))
    assert isinstance(await standing(world, two), NotSignedIn)
    await block_account(world.ctx, admin, account, BlockAccount(is_blocked=False, reason="sorry"))
    three = await session_of(world, account)
    world.advance(world.ctx.tokens.refresh_ttl_s)
    assert isinstance(await standing(world, three), NotSignedIn)


async def test_a_blocked_account_and_one_that_left_are_refused_with_a_good_session(home: World) -> None:
    account = (await home.student()).account_id
    who = await session_of(home, account)

    def block(unit: Any) -> None:
        unit.accounts.save(replace(unit.accounts.get(account), is_blocked=True))

    await home.ctx.store.run_global(block)
    assert isinstance(await standing(home, who), AccountBlocked)
    stranger = await home.student(campus_id=home.other_campus_id)
    there = await open_session(home.ctx, stranger.account_id, home.other_campus_id)
    assert (await standing(home, home.ctx.tokens.access(there.access_token))).principal.roles == STUDENT


async def test_a_new_password_and_a_stolen_refresh_token_end_sessions_everywhere(home: World) -> None:
    student = await home.student()
    phone = (await home.ctx.store.read_global(lambda unit: unit.accounts.get(student.account_id))).phone
    await create_account(
        home.ctx, home.other_campus_id, phone, "x", STUDENT, password_hash=hash_password("old password")
    )
    here = await session_of(home, student.account_id)
    view = await open_session(home.ctx, student.account_id, home.other_campus_id)
    there = home.ctx.tokens.access(view.access_token)
    with pytest.raises(SignInFailed):
        await set_password(home.ctx, here, SetPassword(new_password="new password", old_password="wrong"))
    assert (await standing(home, here)).principal == here
    await set_password(home.ctx, here, SetPassword(new_password="new password", old_password="old password"))
    assert [type(answer) for answer in await ask_standings(home.ctx, [here, there])] == [NotSignedIn] * 2
    for campus_id in (home.campus_id, home.other_campus_id):
        events = await home.ctx.store.read(campus_id, lambda uow: uow.outbox.timeline(student.account_id))
        assert "access_changed" in [str(event.kind) for event in events]
    before = await told(home, student.account_id)
    fresh = await open_session(home.ctx, student.account_id, home.campus_id)
    await refresh(home.ctx, fresh.refresh_token)
    with pytest.raises(NotSignedIn):
        await refresh(home.ctx, fresh.refresh_token)
    assert await told(home, student.account_id) == before + 1


async def test_roles_of_today_count_and_a_sessions_own_narrowing(home: World) -> None:
    admin, runner = await home.person(Role.ADMIN), await home.runner()
    whole = await session_of(home, runner.account_id)
    narrow = await session_of(home, runner.account_id, STUDENT)
    assert [one.principal.roles for one in await ask_standings(home.ctx, [whole, narrow])] == [RUNNER, STUDENT]  # type: ignore[union-attr]
    await review_runner(home.ctx, admin, runner.account_id, ReviewRunner(status="removed"))
    assert (await standing(home, whole)).principal.roles == STUDENT
    await set_roles(home.ctx, admin, runner.account_id, SetRoles(roles=["operator"]))
    assert (await standing(home, whole)).principal.roles == {Role.OPERATOR}
    assert await told(home, runner.account_id) == 2


async def test_who_is_tracked_is_on_duty_or_carries(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    who = await session_of(home, runner.account_id)

    async def tracked() -> tuple[bool, bool]:
        found = await standing(home, who)
        return found.is_on_duty, found.is_tracked

    assert await tracked() == (True, True)
    order_id = await home.carrying(student, runner)
    await set_duty(home.ctx, runner, SetDuty(is_on=False))
    assert await tracked() == (False, True)
    await deliver_task.delivered(home.ctx, runner, order_id, Deliver(pin=(await home.order(order_id)).pin))
    assert await tracked() == (False, False)


async def test_who_is_busy_carries_or_has_an_offer(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    whos = [await session_of(home, one.account_id) for one in (runner, await home.runner(is_on=False), student)]

    async def busy() -> list[bool]:
        return [one.is_busy for one in await ask_standings(home.ctx, whos)]  # type: ignore[union-attr]

    assert await busy() == [False] * 3
    offer = await home.offered(await home.paid(student))
    assert offer.runner_id == runner.account_id and await busy() == [True, False, False]
    await answer_offer.decline(home.ctx, runner, offer.id, DeclineOffer())
    assert await busy() == [False] * 3
    order_id = await home.carrying(student, runner)
    assert await busy() == [True, False, False]
    await deliver_task.delivered(home.ctx, runner, order_id, Deliver(pin=(await home.order(order_id)).pin))
    assert await busy() == [False] * 3


# --- over real sockets ------------------------------------------------------------------------------------------------


class Books:
    """What a hub asks of the house, answered by the use cases."""

    def __init__(self, home: World) -> None:
        self.home = home

    async def ask_standings(self, whos: Any) -> Any:
        return await ask_standings(self.home.ctx, whos)

    async def may_follow(self, asked: Any) -> Any:
        return await may_follow_many(self.home.ctx, asked)

    async def read_topics(self, asked: Any) -> Any:
        return await read_topics(self.home.ctx, asked)


@asynccontextmanager
async def workers(home: World, redis_url: str, count: int = 2) -> AsyncIterator[list[Server]]:
    """So many workers of one server, whose books are those of ``home``."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            server = Server(redis_url, Books(home), OPTIONS, verify_token=home.ctx.tokens.socket)
            await server.start()
            stack.push_async_callback(server.stop)
            made.append(server)
        yield made


async def token(home: World, who: Principal) -> str:
    return (await socket_token(home.ctx, who)).token


async def test_signing_out_ends_this_sessions_sockets_on_every_worker(home: World, redis_url: str) -> None:
    account = (await home.student()).account_id
    one, two = await session_of(home, account), await session_of(home, account)
    unspent = await token(home, one)
    async with (
        workers(home, redis_url) as (here, there),
        dial(here, token=await token(home, one)) as first,
        dial(there, token=await token(home, one)) as second,
        dial(there, token=await token(home, two)) as other,
    ):
        await sign_out(home.ctx, one)
        await home.publish()
        assert [await first.close_code(), await second.close_code()] == [4500, 4500]
        async with dial(here, token=unspent) as again:
            assert await again.close_code() == 4500, "what was signed before is worth nothing"
        await other.send(t="ping", re=1)
        assert await other.until("pong", re=1)


async def test_a_role_taken_away_takes_its_topics_and_comes_back_without(home: World, redis_url: str) -> None:
    admin, operator = await home.person(Role.ADMIN), await home.operator()
    who = await session_of(home, operator.account_id)
    stale = await token(home, who)
    console = f"console:{home.campus_id}"
    async with workers(home, redis_url, 1) as (server,), dial(server, token=await token(home, who)) as client:
        await follow(client, console)
        await set_roles(home.ctx, admin, operator.account_id, SetRoles(roles=["student"]))
        await home.publish()
        assert await client.close_code() == 4002
        async with dial(server, token=stale) as again:
            await again.send(t="follow", re=2, topic=console)
            assert (await again.until("error", re=2))["code"] == "not_permitted"


async def test_a_blocked_account_loses_its_sockets_at_every_campus(home: World, redis_url: str) -> None:
    operator, student = await home.operator(), await home.student()
    phone = (await home.ctx.store.read_global(lambda unit: unit.accounts.get(student.account_id))).phone
    await create_account(home.ctx, home.other_campus_id, phone, "x", STUDENT)
    view = await open_session(home.ctx, student.account_id, home.other_campus_id)
    there = home.ctx.tokens.access(view.access_token)
    unspent = await token(home, there)
    async with workers(home, redis_url, 1) as (server,), dial(server, token=await token(home, there)) as client:
        await block_account(home.ctx, operator, student.account_id, BlockAccount(is_blocked=True, reason="spam"))
        await home.publish()
        assert await client.close_code() in (4500, 4501)
        async with dial(server, token=unspent) as again:
            assert await again.close_code() in (4500, 4501)


async def test_what_happened_while_redis_was_away_counts_when_it_is_back(
    tmp_path: Path, own_redis: Any, eventually: Eventually
) -> None:
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("dispatch", "payments", "bank")]
    async with open_world(*urls, own_redis.url) as home:
        who = await session_of(home, (await home.student()).account_id)
        async with workers(home, own_redis.url, 1) as (server,), dial(server, token=await token(home, who)) as client:
            await eventually(lambda: server.bus.is_up)
            own_redis.stop()
            # Nothing is published: even the event may be lost, as when another worker's outbox went out meanwhile.
            await sign_out(home.ctx, who)
            own_redis.start()
            assert await client.close_code(20.0) == 4500


async def test_while_the_books_are_away_a_token_is_believed_and_asked_about_later(
    home: World, redis_url: str, eventually: Eventually
) -> None:
    who = await session_of(home, (await home.runner()).account_id)
    books = Books(home)
    is_away = True

    async def ask(whos: Any) -> Any:
        if is_away:
            raise Unavailable()
        return await ask_standings(home.ctx, whos)

    books.ask_standings = ask  # type: ignore[method-assign]
    server = Server(redis_url, books, OPTIONS, verify_token=home.ctx.tokens.socket)
    await server.start()
    try:
        async with dial(server, token=await token(home, who)) as client:
            await client.send(t="fix", at=now_ms(server), lat=30.5, lon=114.4)
            await eventually(lambda: server.table.newest(home.campus_id, who.account_id))
            await sign_out(home.ctx, who)
            is_away = False
            assert await client.close_code() == 4500
    finally:
        await server.stop()


async def test_off_duty_and_empty_handed_nobody_is_on_a_map(
    home: World, redis_url: str, eventually: Eventually
) -> None:
    runner = await home.runner()
    who = await session_of(home, runner.account_id)
    operator = await session_of(home, (await home.operator()).account_id)
    async with (
        workers(home, redis_url) as (here, there),
        dial(here, token=await token(home, who)) as device,
        dial(there, token=await token(home, operator)) as console,
    ):
        name = f"console:{home.campus_id}"
        await follow(console, name)
        await device.send(t="fix", at=now_ms(here), lat=30.5, lon=114.4)
        await console.until("pos")
        await set_duty(home.ctx, runner, SetDuty(is_on=False))
        await home.publish()
        await console.until("gone", runners=[who.account_id])
        await eventually(lambda: who.account_id not in here.hub.hub.topics.campus(home.campus_id).positions)

        async def report() -> bool:
            await device.send(t="fix", at=now_ms(here), lat=30.5, lon=114.4)
            return (await device.receive())["t"] == "refused"

        await eventually(report)

        async def is_forgotten() -> bool:
            return not await home.ctx.presence.get(home.campus_id, [who.account_id])

        # What was on its way to Redis is taken back after it has arrived.
        await eventually(is_forgotten)
        await set_duty(home.ctx, runner, SetDuty(is_on=True))
        await home.publish()
        # The newest reading of a moment ago is shown at once; the device need not send another.
        await console.until("pos")
