"""Storms of fixes: what a campus's phones do to a server on a bad day, and what it must still show afterwards."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from geo.point import Point

from .actors.protocol import Call
from .actors.walk import moved
from .api_client import ApiClient, campus_places, open_session, server_clock
from .figures import Figures
from .hub_client import HubClient
from .people import Account, PlanFile, read_plan
from .server_clock import ServerClock
from .waiting import until

KINDS = {"spikes": "phones that jump", "backlog": "phones that were offline"}
CONNECT_S = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    kind: str
    url: str
    plan: Path
    connections: int = 100
    seconds: float = 20.0
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What came of a storm; ``faults`` says what should not have happened."""

    kind: str
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class _Fleet:
    """Connections of one role, kept up until the storm is over."""

    def __init__(self, session: aiohttp.ClientSession, url: str, plan: PlanFile, luck: Random) -> None:
        self.session, self.url, self.plan, self.luck = session, url, plan, luck
        self.figures = Figures(time.perf_counter)
        self.figures.begin()
        self.hubs: list[HubClient] = []
        self.positions: dict[str, list[tuple[int, Point]]] = {}
        self.acked = [0, 0]
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, who: Account, *, count: int = 1, is_runner: bool = False) -> ApiClient:
        """Sign one account in and open ``count`` connections of it."""
        api = ApiClient(self.session, self.url, self.plan.campus_id, who, self.plan.password, self.figures)
        await api.sign_in()
        if is_runner:
            await api.call(Call("duty", "POST", "/runner/duty", {"is_on": True, "vehicle": "walk"}))
        for _ in range(count):
            hub = HubClient(
                self.session, self.url, api.socket_token, self._frame, self.figures, self.luck, wants_acks=is_runner
            )
            self.hubs.append(hub)
            self._tasks.append(asyncio.create_task(hub.run()))
        return api

    def _frame(self, frame: dict[str, Any]) -> None:
        if frame.get("t") == "pos":
            for row in frame["p"]:
                self.positions.setdefault(row[0], []).append((row[3], Point(row[1], row[2])))
        elif frame.get("t") == "ack":
            self.acked[0] += frame["accepted"]
            self.acked[1] += frame["refused"]

    async def all_connected(self) -> bool:
        return await until(lambda: all(hub.connected.is_set() for hub in self.hubs), CONNECT_S, 0.05)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def storm(options: Options) -> Outcome:
    """Run one storm against a running server."""
    plan = read_plan(options.plan)
    outcome = Outcome(options.kind)
    async with open_session(most=options.connections + 50) as session:
        fleet = _Fleet(session, options.url, plan, Random(options.seed))
        clock = await server_clock(session, options.url, plan.campus_id)
        try:
            await _wild_fixes(fleet, clock, options, outcome)
        finally:
            await fleet.leave()
        outcome.faults += [f"{text} ({count})" for text, count in fleet.figures.errors.items()]
    return outcome


async def _wild_fixes(fleet: _Fleet, clock: ServerClock, options: Options, outcome: Outcome) -> None:
    """Phones that jump 200 m and more, send twice, late and out of order: no watcher sees a dot go back in time."""
    operators = fleet.plan.of_role("operator")
    if not operators:
        raise ValueError("the plan has no operator to look on")
    await fleet.join(operators[0])
    fleet.hubs[0].follow(f"console:{fleet.plan.campus_id}")
    runners = fleet.plan.of_role("runner")[: options.connections]
    for who in runners:
        await fleet.join(who, is_runner=True)
    if not await fleet.all_connected():
        outcome.faults.append("not everybody could connect")
        return
    places = await campus_places(fleet.session, fleet.url, fleet.plan.campus_id)
    home = Point(places[0]["lat"], places[0]["lon"]) if places else Point(0.0, 0.0)
    sent = await _send_wildly(fleet, clock, options, home)
    await until(lambda: sum(fleet.acked) >= sent, 10.0, 0.05)
    back = sum(later[0] < earlier[0] for rows in fleet.positions.values() for earlier, later in pairwise(rows))
    outcome.lines += [
        f"runners                    {len(runners)}",
        f"fixes sent                 {sent}",
        f"accepted / refused         {fleet.acked[0]} / {fleet.acked[1]}",
        *(f"  {reason:<24} {count}" for reason, count in fleet.figures.refused_fixes.most_common()),
        f"steps back at the watcher  {back}",
    ]
    if back:
        outcome.faults.append(f"a dot went back in time {back} times")
    if sum(fleet.acked) != sent:
        outcome.faults.append(f"{sent - sum(fleet.acked)} fixes were never answered for")


async def _send_wildly(fleet: _Fleet, clock: ServerClock, options: Options, home: Point) -> int:
    """Steps of a walk, with spikes, doubles and (for a backlog) batches of old fixes; gives how many were sent."""
    luck, sent = fleet.luck, 0
    at = {hub: moved(home, luck.uniform(-200, 200), luck.uniform(-200, 200)) for hub in fleet.hubs[1:]}
    end_s = time.perf_counter() + options.seconds
    while time.perf_counter() < end_s:
        now_ms = clock.now_ms()
        for hub in fleet.hubs[1:]:
            at[hub] = moved(at[hub], luck.uniform(-1, 1), luck.uniform(-1, 1))
            place = at[hub]
            if luck.random() < 0.05:
                place = moved(place, luck.choice((-1, 1)) * luck.uniform(200, 2000), 0.0)
            fix = {"at": now_ms, "lat": place.lat, "lon": place.lon, "acc": 8.0}
            sent += hub.send({"t": "fix", "seq": sent, **fix})
            if luck.random() < 0.1:
                sent += hub.send({"t": "fix", "seq": sent, **fix})
            if options.kind == "backlog" and luck.random() < 0.1:
                old = [{**fix, "at": now_ms - luck.randint(1, 600) * 1000} for _ in range(luck.randint(60, 240))]
                sent += len(old) * hub.send({"t": "fixes", "seq": sent, "fixes": old})
        await asyncio.sleep(0.25)
    return sent


def printed(outcome: Outcome) -> str:
    return "\n".join([f"storm: {outcome.kind}", *outcome.lines, *(f"FAULT {fault}" for fault in outcome.faults)])
