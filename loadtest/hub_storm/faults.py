"""The faults: each hurts the server or its people in one way, by a seed, and waits until everybody is back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random

from .crowd import Crowd
from .garbage import throw_garbage
from .histories import Happened
from .server import StormServer

BACK_S = 60.0
FROZEN_S = 5.0
#: Less than the server's bound of a hundred follows in ten seconds.
ASKS_EVERY_S = 0.11
DROWNED_S = 20.0
#: Half a megabyte of events for each is the server's bound; what snapshots cost while they are made comes on top.
SLOW_MB = 48.0
_SLOW = "4001 slow_consumer"
_LET_GO, _SKIPPED = "closed_4001", "positions_conflated"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@dataclass(slots=True)
class Scene:
    """What a fault may reach. ``calm_s``: how long to stay in what a fault made before it is taken back."""

    server: StormServer
    crowd: Crowd
    luck: Random
    calm_s: float
    began_s: float
    is_alone: bool = True


Fault = Callable[[Scene], Awaitable[Happened]]


async def _happened(scene: Scene, name: str, began_s: float, note: str = "") -> Happened:
    """How it went: measured until everybody is connected and has every topic again."""
    took_s = time.monotonic() - began_s
    await scene.crowd.until_back(BACK_S)
    missing = scene.crowd.missing()
    back_s = None if missing else round(time.monotonic() - began_s, 2)
    faults = [f"{len(missing)} are not back: {', '.join(map(str, missing[:5]))}"] if missing else []
    return Happened(name, round(began_s - scene.began_s, 1), round(took_s, 2), back_s, note, faults)


async def kill_worker(scene: Scene) -> Happened:
    """kill -9 of one web worker."""
    began_s = time.monotonic()
    pids = await scene.server.pids("web")
    victim = scene.luck.choice(pids)
    os.kill(victim, signal.SIGKILL)
    is_filled = await scene.server.until_filled("web", {victim}, len(pids))
    happened = await _happened(scene, "worker killed", began_s)
    happened.faults += [] if is_filled else ["it was not started again"]
    return happened


async def restart_redis(scene: Scene) -> Happened:
    """kill -9 of Redis, which keeps nothing; the supervisor starts it again, empty. Back is who has a new epoch."""
    began_s = time.monotonic()
    victims = await scene.server.pids("redis")
    epochs = {one: one.epochs for one in scene.crowd.everybody}
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    is_filled = await scene.server.until_filled("redis", set(victims), 1)

    def have_begun_anew() -> bool:
        return not any(
            one.epochs[topic] == old for one in epochs for topic, old in epochs[one].items() if topic in one.epochs
        )

    await scene.crowd.until_true(have_begun_anew, BACK_S)
    happened = await _happened(scene, "Redis killed", began_s)
    happened.faults += [] if is_filled else ["it was not started again"]
    if not have_begun_anew():
        happened.faults.append("some topics did not begin a new epoch")
    return happened


async def freeze_redis(scene: Scene) -> Happened:
    """Redis answers nobody for five seconds."""
    began_s = time.monotonic()
    pids = await scene.server.pids("redis")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(FROZEN_S)
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return await _happened(scene, "Redis frozen 5 s", began_s)


async def replace_all(scene: Scene) -> Happened:
    """SIGHUP: a rolling replacement; each worker drains by SIGTERM and tells everybody to come back."""
    began_s = time.monotonic()
    old = {role: set(await scene.server.pids(role)) for role in ("web", "planner", "jobs")}
    drained = sum(one.ends["4000 server_drain"] for one in scene.crowd.everybody)
    lost = sum(one.ends["lost"] for one in scene.crowd.everybody)
    await scene.server.replace()
    for role, pids in old.items():
        if not await scene.server.until_filled(role, pids, len(pids)):
            return Happened("rolling replacement", 0, 0, None, "", [f"{role} was not replaced"])
    happened = await _happened(scene, "rolling replacement", began_s)
    drained = sum(one.ends["4000 server_drain"] for one in scene.crowd.everybody) - drained
    lost = sum(one.ends["lost"] for one in scene.crowd.everybody) - lost
    happened.note = f"{drained} told to come back, {lost} lost without a word"
    if lost and scene.is_alone:
        happened.faults.append(f"{lost} connections were cut without a word")
    return happened


async def clock_jumps(scene: Scene) -> Happened:
    """The clocks of some phones jump an hour ahead, or a day back, and return: their dots move again at once."""
    began_s = time.monotonic()
    jumpers = scene.luck.sample(scene.crowd.reporters, max(2, len(scene.crowd.reporters) // 10))
    for number, one in enumerate(jumpers):
        one.ahead_ms = HOUR_MS if number % 2 else -DAY_MS
    await asyncio.sleep(scene.calm_s)
    for one in jumpers:
        one.ahead_ms = 0
    returned_ms = scene.crowd.house.now_ms()

    def moves() -> bool:
        return all(one.reported.accepted and one.reported.accepted[0] >= returned_ms for one in jumpers)

    await scene.crowd.until_true(moves, 5 * jumpers[0].every_s + 2.0)
    for one in jumpers:
        if not one.reported.accepted or one.reported.accepted[0] < returned_ms:
            one.reported.stuck_after_jump.append("locked out after its clock had returned")
    return await _happened(scene, "clock jumps", began_s, f"{len(jumpers)} phones")


async def garbage(scene: Scene) -> Happened:
    """What no client sends, on sockets of nobody and of somebody."""
    began_s = time.monotonic()
    thrown = await throw_garbage(scene.crowd.house, scene.crowd.operators[0], scene.luck)
    happened = await _happened(scene, "garbage", began_s, thrown.note)
    happened.faults += thrown.faults
    return happened


async def slow_watchers(scene: Scene) -> Happened:
    """Two consoles stop reading: one falls behind, to the other so much is sent that it must be let go."""
    began_s = time.monotonic()
    topic = f"console:{scene.crowd.house.campus_id}"
    behind, drowned = [one for one in scene.crowd.watchers if one.is_narrow]
    closed, skipped = [await scene.server.counted(what) for what in (_LET_GO, _SKIPPED)]
    rss_bytes = await scene.server.rss_bytes("web")
    was_slow = behind.ends[_SLOW]
    for one in (behind, drowned):
        one.stop_reading()
        behind.ask_again(topic)
    is_let_go = False
    while time.monotonic() - began_s < DROWNED_S and not (is_let_go and time.monotonic() - began_s >= scene.calm_s):
        for _ in range(4):
            drowned.ask_again(topic)
            await asyncio.sleep(ASKS_EVERY_S)
        is_let_go = await scene.server.counted(_LET_GO) > closed
    skipped = await scene.server.counted(_SKIPPED) - skipped
    grown_mb = (await scene.server.rss_bytes("web") - rss_bytes) / 1e6
    for one in (behind, drowned):
        one.read_again()
    # The word that it was let go lies behind everything that it left unread.
    await scene.crowd.until_true(lambda: not drowned.is_in or drowned.connections > 1, 2.0)
    happened = await _happened(scene, "slow watchers", began_s)
    happened.note = f"{skipped:.0f} positions skipped, {behind.ends[_SLOW] - was_slow} of the one behind let go"
    if grown_mb > SLOW_MB:
        happened.faults.append(f"two who read nothing cost {grown_mb:.0f} MB")
    if not is_let_go:
        happened.faults.append(f"whoever reads nothing was not let go within {DROWNED_S:.0f} s")
    return happened


async def two_at_once(scene: Scene) -> Happened:
    """Two of the faults that hurt processes, the second while the first is not over."""
    names = scene.luck.choice(_PAIRS)
    began_s = time.monotonic()
    scene = replace(scene, is_alone=False)

    async def later() -> Happened:
        await asyncio.sleep(scene.luck.uniform(0.0, 2.0))
        return await HARD[names[1]](scene)

    first, second = await asyncio.gather(HARD[names[0]](scene), later())
    happened = await _happened(
        scene, "two at once", began_s, f"{first.fault}, {second.fault}: {first.note} {second.note}"
    )
    happened.faults += [*first.faults, *second.faults]
    return happened


#: Those that hurt processes, those that only people can do, and what only a long storm has time for.
HARD: dict[str, Fault] = {
    "worker killed": kill_worker,
    "rolling replacement": replace_all,
    "Redis killed": restart_redis,
    "Redis frozen 5 s": freeze_redis,
}
SOFT: dict[str, Fault] = {"slow watchers": slow_watchers, "garbage": garbage, "clock jumps": clock_jumps}
ALL: dict[str, Fault] = {**SOFT, **HARD, "two at once": two_at_once}
_PAIRS = (
    ("worker killed", "Redis killed"),
    ("worker killed", "Redis frozen 5 s"),
    ("rolling replacement", "Redis killed"),
    ("rolling replacement", "Redis frozen 5 s"),
    ("rolling replacement", "worker killed"),
)
