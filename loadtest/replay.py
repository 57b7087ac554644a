"""Recorded tracks streamed over real sockets while watchers follow, and an account of every single fix."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from geo.point import Point, distance_m

from .actors.protocol import Call
from .api_client import ApiClient, open_session, server_clock
from .figures import Figures
from .hub_client import HubClient
from .own_server import OwnServer, new_folder
from .people import Account, PlanFile, read_plan
from .redis_look import geo_position, socket_of
from .replay_account import LEAST_SHARE, Streamed, Tally, Watched, tally_of
from .server_clock import ServerClock
from .tracks import BOX, PersonDay, Reading, box_campus, read_tracks, without_long_gaps
from .waiting import until

#: Real seconds between the sign-in of everybody and the first fix, and after the last one.
START_S, END_S = 3.0, 3.0
ACK_S = 10.0
EVERY_FLUSH_MS = 50
INDEX_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """``url`` empty: a server of its own. ``days`` 0: all person-days."""

    tracks: Path
    speed: float = 60.0
    watchers: int = 3
    days: int = 0
    longest_gap_s: float = 300.0
    spread_s: float = 240.0
    most_fixes: int = 0
    url: str = ""
    plan: Path | None = None
    data_dir: Path | None = None
    least_share: float = LEAST_SHARE


async def replay(options: Options) -> Tally:
    """Stream every person-day, each fix at its own time; the days begin within ``spread_s`` real seconds of each other,
    the fullest first, as runners do not all come on duty in the same instant."""
    days = [without_long_gaps(day, options.longest_gap_s) for day in read_tracks(options.tracks)]
    days = sorted(days, key=lambda day: -len(day.readings))[: options.days or len(days)]
    if options.most_fixes:
        days = [PersonDay(day.name, day.readings[: options.most_fixes]) for day in days]
    if options.url:
        if options.plan is None:
            raise ValueError("--url needs --plan: the accounts that `dispatch load-accounts` made there")
        return await _stream(options, days, options.url, read_plan(options.plan), options.data_dir)
    server = OwnServer(new_folder("replay", options.data_dir), options.speed)
    server.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    campus = server.folder / "box.geojson"
    campus.write_text(box_campus(BOX))
    plan = server.prepare(campus, "Track box", students=0, runners=len(days), operators=options.watchers)
    await server.start()
    try:
        return await _stream(options, days, server.url, plan, server.folder)
    finally:
        await server.stop()


async def _stream(options: Options, days: list[PersonDay], url: str, plan: PlanFile, data_dir: Path | None) -> Tally:
    figures = Figures(time.perf_counter)
    figures.begin()
    luck = Random(1)
    runners, operators = plan.of_role("runner"), plan.of_role("operator")[: options.watchers]
    if len(runners) < len(days) or not operators:
        raise ValueError(
            f"the plan has {len(runners)} runners and {len(operators)} operators; {len(days)} and 1 are needed"
        )
    streams = [Streamed(day) for day in days]
    watchers = [Watched() for _ in operators]
    redis = socket_of(data_dir) if data_dir is not None else None
    async with open_session() as session:
        clock = await server_clock(session, url, plan.campus_id, asks=15)
        if abs(clock.rate - options.speed) > 1e-6:
            raise ValueError(
                f"the server's time runs {clock.rate:g} times as fast; --speed {options.speed:g} needs the same"
            )
        join = _Joining(session, url, plan, figures, luck)
        for who, watched in zip(operators, watchers, strict=True):
            await join.watch(who, watched)
        riding = [await join.ride(who, stream) for who, stream in zip(runners, streams, strict=False)]
        begin_ms = clock.now_ms() + int(START_S * 1000 * clock.rate)
        began_s = time.perf_counter()
        print(f"{len(streams)} runners and {len(watchers)} watchers are connected; streaming …", flush=True)
        try:
            look = _Index(redis, plan.campus_id)
            step_ms = int(options.spread_s * 1000 * clock.rate / len(streams))
            begins = [begin_ms + i * step_ms for i in range(len(streams))]
            trios = zip(streams, riding, begins, strict=True)
            await asyncio.gather(*(_ride(stream, hub, clock, at_ms, look) for stream, hub, at_ms in trios))
            await asyncio.sleep(END_S)
        finally:
            await join.leave()
    tally = tally_of(streams, watchers)
    tally.real_s = time.perf_counter() - began_s
    tally.errors = figures.errors
    return tally


class _Joining:
    """Brings everybody onto the server, and home again."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, plan: PlanFile, figures: Figures, luck: Random
    ) -> None:
        self._session, self._url, self._plan, self._figures, self._luck = session, url, plan, figures, luck
        self._tasks: list[asyncio.Task[None]] = []

    async def watch(self, who: Account, watched: Watched) -> HubClient:
        hub, _ = await self._join(who, lambda frame: watched.frame(frame, time.perf_counter()), wants_acks=False)
        # Every fix is to be accounted for: at a console's own rhythm several of them would be one.
        hub.follow(f"console:{self._plan.campus_id}", every_ms=EVERY_FLUSH_MS)
        return hub

    async def ride(self, who: Account, stream: Streamed) -> HubClient:
        hub, api = await self._join(who, lambda frame: _answered(stream, frame), wants_acks=True)
        duty = await api.call(Call("duty", "POST", "/runner/duty", {"is_on": True, "vehicle": "walk"}))
        if not duty.is_ok:
            raise ValueError(f"a runner cannot come on duty: {duty.status} {duty.code}")
        stream.account_id = api.account_id
        return hub

    async def _join(self, who: Account, on_frame: Any, *, wants_acks: bool) -> tuple[HubClient, ApiClient]:
        api = ApiClient(self._session, self._url, self._plan.campus_id, who, self._plan.password, self._figures)
        await api.sign_in()
        hub = HubClient(
            self._session, self._url, api.socket_token, on_frame, self._figures, self._luck, wants_acks=wants_acks
        )
        self._tasks.append(asyncio.create_task(hub.run()))
        async with asyncio.timeout(30):
            await hub.connected.wait()
        return hub, api

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Index:
    """The Redis that is asked where a runner is."""

    socket: Path | None
    campus_id: str


async def _ride(stream: Streamed, hub: HubClient, clock: ServerClock, begin_ms: int, look: _Index) -> None:
    """Send each reading when its time comes, then ask the index for the last one that was believed."""
    shift_ms = begin_ms - stream.day.readings[0].at_ms
    for seq, reading in enumerate(stream.day.readings, start=1):
        at_ms = reading.at_ms + shift_ms
        wait_s = clock.real_s(at_ms)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        _send(stream, hub, reading, at_ms, seq)
    await until(lambda: stream.acked + stream.acked_refused >= stream.sent, ACK_S, 0.01)
    stream.is_index_due = look.socket is not None and bool(stream.accepted)
    if stream.is_index_due:
        await _look(stream, look)


def _send(stream: Streamed, hub: HubClient, reading: Reading, at_ms: int, seq: int) -> None:
    if not hub.send({"t": "fix", "at": at_ms, "lat": reading.lat, "lon": reading.lon, "seq": seq}):
        stream.unsent += 1
        return
    stream.sent += 1
    if at_ms not in stream.sent_s:
        stream.sent_s[at_ms] = time.perf_counter()
        stream.places[at_ms] = Point(reading.lat, reading.lon)


async def _look(stream: Streamed, look: _Index) -> None:
    """The index is written once per flush: it is asked until it shows the fix or a second is over."""
    assert look.socket is not None
    wanted = stream.places[stream.accepted[-1]]
    end_s = time.perf_counter() + INDEX_S
    while True:
        found = await geo_position(look.socket, look.campus_id, stream.account_id)
        stream.index_missing = found is None
        stream.index_off_m = distance_m(found, wanted) if found is not None else None
        if (stream.index_off_m is not None and stream.index_off_m <= 1.0) or time.perf_counter() >= end_s:
            return
        await asyncio.sleep(0.02)


def _answered(stream: Streamed, frame: dict[str, Any]) -> None:
    match frame.get("t"):
        case "ack":
            stream.acked += frame["accepted"]
            stream.acked_refused += frame["refused"]
        case "refused" if frame["code"] != "duplicate":
            stream.refused[frame["at"]] = str(frame["code"])
