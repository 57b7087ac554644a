"""Recorded tracks streamed over real sockets while watchers follow, and an account of every single fix."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from geo.point import Point, distance_m

from .actors.protocol import Call
from .api_client import ApiClient, open_session, server_clock
from .figures import Durations, Figures
from .hub_client import HubClient
from .own_server import OwnServer, new_folder
from .people import Account, PlanFile, read_plan
from .redis_look import geo_position, socket_of
from .server_clock import ServerClock
from .tracks import BOX, PersonDay, Reading, box_campus, read_tracks, without_long_gaps
from .waiting import until

FLUSH_S = 0.050
#: Real seconds between the sign-in of everybody and the first fix, and after the last one.
START_S, END_S = 3.0, 3.0
ACK_S = 10.0
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


@dataclass(slots=True)
class Streamed:
    """One person-day as it was sent and what the server said to it."""

    day: PersonDay
    account_id: str = ""
    sent_s: dict[int, float] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    places: dict[int, Point] = field(default_factory=dict)
    sent: int = 0
    unsent: int = 0
    acked: int = 0
    acked_refused: int = 0
    index_off_m: float | None = None
    index_missing: bool = False

    @property
    def accepted(self) -> list[int]:
        """Times of the fixes that were not refused by name, ascending."""
        return sorted(at for at in self.sent_s if at not in self.refused)

    @property
    def unnamed(self) -> int:
        """Refusals beyond those that the server names one by one."""
        return max(0, self.acked_refused - len(self.refused) - self.doubles)

    @property
    def doubles(self) -> int:
        """Readings with the time of another one: sent, and refused as duplicates under the same time."""
        return self.sent - len(self.sent_s)

    @property
    def is_slow(self) -> bool:
        """Whether this runner reports more slowly than the hub flushes, one report in a hundred apart."""
        gaps = sorted(b - a for a, b in pairwise(sorted(self.sent_s.values())))
        return bool(gaps) and gaps[len(gaps) // 100] > FLUSH_S


@dataclass(slots=True)
class Watched:
    """What one watcher received."""

    seen: dict[str, dict[int, float]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    out_of_order: int = 0
    rows: int = 0

    def frame(self, frame: dict[str, Any], now_s: float) -> None:
        if frame.get("t") != "pos":
            return
        for row in frame["p"]:
            runner, at = row[0], row[3]
            self.rows += 1
            if at < self.last.get(runner, 0):
                self.out_of_order += 1
            self.last[runner] = max(at, self.last.get(runner, 0))
            self.seen.setdefault(runner, {}).setdefault(at, now_s)


@dataclass(slots=True)
class Tally:
    """The account over all runners and watchers."""

    runners: int = 0
    watchers: int = 0
    real_s: float = 0.0
    sent: int = 0
    unsent: int = 0
    acked: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unnamed: int = 0
    due: int = 0
    one_by_one: int = 0
    conflated: int = 0
    lost: int = 0
    out_of_order: int = 0
    slow_runners: int = 0
    slow_due: int = 0
    slow_seen: int = 0
    spaced_due: int = 0
    spaced_seen: int = 0
    ages_ms: Durations = field(default_factory=Durations)
    index_checked: int = 0
    index_off_m: float = 0.0
    index_wrong: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


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
        hub.follow(f"console:{self._plan.campus_id}")
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
    if look.socket is not None and stream.accepted:
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


def tally_of(streams: list[Streamed], watchers: list[Watched]) -> Tally:
    """Add everything up. A fix that was believed and not delivered was conflated when a newer one of its runner was
    delivered after it, and lost when none was."""
    total = Tally(runners=len(streams), watchers=len(watchers))
    for stream in streams:
        total.sent += stream.sent
        total.unsent += stream.unsent
        total.acked += stream.acked
        total.refused.update(stream.refused.values())
        if stream.doubles:
            total.refused["duplicate"] += stream.doubles
        total.unnamed += stream.unnamed
        total.slow_runners += stream.is_slow
        _index(total, stream)
        for watched in watchers:
            _delivered(total, stream, watched.seen.get(stream.account_id, {}))
    total.out_of_order = sum(watched.out_of_order for watched in watchers)
    return total


def _delivered(total: Tally, stream: Streamed, seen: dict[int, float]) -> None:
    accepted = stream.accepted
    newest = max(seen, default=0)
    hit = sum(at in seen for at in accepted)
    missed_before = sum(at not in seen and at < newest for at in accepted)
    # Refusals that were only counted are among those never delivered.
    conflated = max(0, missed_before - stream.unnamed)
    total.due += hit + conflated + sum(at > newest for at in accepted)
    total.one_by_one += hit
    total.conflated += conflated
    total.lost += sum(at > newest for at in accepted)
    if stream.is_slow:
        total.slow_due += len(accepted) - min(stream.unnamed, missed_before)
        total.slow_seen += hit
    for at, following in pairwise(accepted):
        if stream.sent_s[following] - stream.sent_s[at] > FLUSH_S:
            total.spaced_due += 1
            total.spaced_seen += at in seen
    for at, received_s in seen.items():
        if at in stream.sent_s:
            total.ages_ms.add((received_s - stream.sent_s[at]) * 1000)


def _index(total: Tally, stream: Streamed) -> None:
    if stream.index_off_m is None and not stream.index_missing:
        return
    total.index_checked += 1
    if stream.index_off_m is None:
        total.index_wrong.append(f"{stream.day.name}: not in the index")
        return
    total.index_off_m = max(total.index_off_m, stream.index_off_m)
    if stream.index_off_m > 1.0:
        total.index_wrong.append(f"{stream.day.name}: {stream.index_off_m:.1f} m off")


def printed(tally: Tally, options: Options) -> str:
    """What is printed at the end."""
    ages = tally.ages_ms

    def share(part: int, whole: int) -> str:
        return f"{100 * part / whole:.2f} %" if whole else "-"

    lines = [
        f"runners (person-days)        {tally.runners}, at {options.speed:g} x, {tally.real_s / 60:.1f} minutes",
        f"watchers                     {tally.watchers}, each following every runner",
        f"sent                         {tally.sent}",
        f"accepted                     {tally.acked}  ({share(tally.acked, tally.sent)})",
        f"refused                      {sum(tally.refused.values()) + tally.unnamed}",
        *(f"  {reason:<26} {count}" for reason, count in tally.refused.most_common()),
    ]
    if tally.unnamed:
        lines.append(f"  counted, not named         {tally.unnamed}")
    lines += [
        f"deliveries due               {tally.due}",
        f"delivered one by one         {tally.one_by_one}  ({share(tally.one_by_one, tally.due)})",
        f"conflated                    {tally.conflated}",
        f"lost                         {tally.lost}",
        f"out of order                 {tally.out_of_order}",
        f"runners slower than a flush  {tally.slow_runners}, {share(tally.slow_seen, tally.slow_due)} one by one",
        f"next fix a flush later       {tally.spaced_due}, {share(tally.spaced_seen, tally.spaced_due)} one by one",
        "age, send to receipt, ms     "
        f"p50 {ages.percentile(0.5):.1f}  p95 {ages.percentile(0.95):.1f}  p99 {ages.percentile(0.99):.1f}",
        f"index at each track's end    {tally.index_checked} asked, at most {tally.index_off_m:.2f} m off, "
        f"{len(tally.index_wrong)} wrong",
        *(f"  {text}" for text in tally.index_wrong[:10]),
        *(f"error: {text} ({count})" for text, count in tally.errors.most_common(10)),
    ]
    if tally.unsent:
        lines.append(f"without a connection         {tally.unsent}")
    return "\n".join(lines)


def is_well(tally: Tally) -> bool:
    """Whether the replay shows what it should: nothing lost, nothing out of order, the index right."""
    return not tally.lost and not tally.out_of_order and not tally.index_wrong and tally.sent > 0
