"""Everybody loses the connection at once and comes back, while others watch on: how long it takes, what they notice.

The server is one of its own. Those who lose their connection are tabs at students' orders, in a process apart; beside
them runners stream and a few hundred watchers stay connected, and orders are handed from runner to runner all the time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from .api_client import campus_places, open_session, server_clock
from .figures import Durations
from .hub_storm.accounts import House
from .hub_storm.crowd import Crowd
from .hub_storm.errands import Bustle, Errand
from .hub_storm.server import StormServer
from .hub_storm.truth import read_truth
from .mass import Order, Tally
from .open_files import raise_open_files
from .own_server import OwnServer, new_folder

#: Below the 20 connections that an account may have.
TABS_PER_STUDENT = 18
WATCHERS_STAY_S, BACK_S = 5.0, 120.0


@dataclass(frozen=True, slots=True)
class Options:
    """``how``: ``cut`` - the network fails, ``drain`` - the one worker is replaced by another (SIGHUP).

    ``is_blind``: the tabs do as pages do, who are not told why a handshake failed."""

    connections: int = 9_000
    watchers: int = 200
    runners: int = 100
    events_per_s: float = 4.0
    report_s: float = 2.0
    how: str = "cut"
    is_blind: bool = True
    within_s: float = 10.0
    age_ms: float = 250.0
    seed: int = 1
    folder: Path | None = None


@dataclass(slots=True)
class Outcome:
    """What came of it; ``faults`` says what should not have happened."""

    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


class _MassProcess:
    """The tabs' process: a word in, a line of JSON out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, order: Order) -> _MassProcess:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest.mass",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=256 * 1024 * 1024,
        )  # fmt: skip
        mass = cls(process)
        await mass.tell(msgspec.json.encode(order))
        return mass

    async def tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()

    async def ask(self, word: str) -> Any:
        assert self._process.stdout is not None
        await self.tell(word.encode())
        return msgspec.json.decode(await self._process.stdout.readline())

    async def tally(self) -> Tally:
        return msgspec.convert(await self.ask("tally"), Tally)

    async def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 10.0)
            return
        self._process.kill()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``storm reconnect``."""
    given = Options()
    parser.add_argument("--connections", type=int, default=given.connections, help="who lose it (%(default)s)")
    parser.add_argument("--watchers", type=int, default=given.watchers, help="who stay connected (%(default)s)")
    parser.add_argument("--runners", type=int, default=given.runners, help="who stream (%(default)s)")
    parser.add_argument("--events-per-s", type=float, default=given.events_per_s, help="(%(default)g)")
    parser.add_argument("--report-s", type=float, default=given.report_s, help="between two fixes (%(default)g)")
    parser.add_argument(
        "--how", choices=("cut", "drain"), default=given.how, help="the network fails, or the worker is replaced"
    )
    parser.add_argument(
        "--obeys", action="store_true", help="clients that read Retry-After, which pages cannot (%(default)s)"
    )
    parser.add_argument("--within-s", type=float, default=given.within_s, help="all must be back (%(default)g)")
    parser.add_argument(
        "--age-ms", type=float, default=given.age_ms, help="how old positions may be meanwhile, p99 (%(default)g)"
    )
    parser.add_argument("--seed", type=int, default=given.seed)
    parser.add_argument("--data-dir", type=Path, help="folder of the server (a temporary one)")
    parser.add_argument("--json", type=Path, help="write the figures there")


def run(told: argparse.Namespace) -> int:
    """Exit code 1 when something was not as it should be."""
    outcome = asyncio.run(
        reconnect(
            Options(
                connections=told.connections,
                watchers=told.watchers,
                runners=told.runners,
                events_per_s=told.events_per_s,
                report_s=told.report_s,
                how=told.how,
                is_blind=not told.obeys,
                within_s=told.within_s,
                age_ms=told.age_ms,
                seed=told.seed,
                folder=told.data_dir.absolute() if told.data_dir else None,
            )
        )
    )
    print("\n".join(["storm: reconnect", *outcome.lines, *(f"FAULT {fault}" for fault in outcome.faults)]))
    if told.json is not None:
        told.json.write_bytes(msgspec.json.format(msgspec.json.encode(outcome.figures)) + b"\n")
    return 1 if outcome.faults else 0


async def reconnect(options: Options, say: Callable[[str], None] = print) -> Outcome:
    """Run it whole; the server is down again when this returns."""
    raise_open_files()
    own = OwnServer(new_folder("storm", options.folder), 1.0, time.strftime("%Y-%m-%dT11:00:00+08:00"))
    students = -(-options.connections // TABS_PER_STUDENT)
    consoles = max(1, options.watchers // 15)
    plan = await asyncio.to_thread(
        own.prepare, None, "Storm campus",
        students=students, runners=options.runners, operators=-(-consoles // 10) + 1,
    )  # fmt: skip
    await own.start()
    try:
        async with open_session() as session:
            house = House(session, own.url, plan, await server_clock(session, own.url, plan.campus_id))
            storm = _Storm(options, StormServer(own, session), house, say)
            try:
                await storm.set_up(students)
                await storm.rage()
                return await storm.judge()
            finally:
                await storm.end()
    finally:
        await own.stop()


class _Storm:
    def __init__(self, options: Options, server: StormServer, house: House, say: Callable[[str], None]) -> None:
        self._options, self._server, self._house, self._say = options, server, house, say
        self._luck = Random(options.seed)
        self._crowd = Crowd(house, Random(options.seed + 1), options.report_s)
        self._bustle: Bustle | None = None
        self._mass: _MassProcess | None = None
        self._cpu_s: dict[str, float] = {}

    async def set_up(self, students: int) -> None:
        """Everybody in, an order for each student and a runner for each order, all connected and following."""
        options, crowd, house = self._options, self._crowd, self._house
        self._say(f"{students} students with an order each, {options.runners} runners …")
        plan = house.plan
        operators = len(plan.of_role("operator"))
        await crowd.sign_in(plan, students=students, runners=options.runners, operators=operators)
        await crowd.on_duty()
        places = await campus_places(house.session, house.url, house.campus_id)
        self._bustle = bustle = Bustle(crowd.operators, {one.id: one for one in crowd.runners}, places, self._luck)
        at_once = asyncio.Semaphore(16)
        runner_ids = [one.id for one in crowd.runners]
        errands = await asyncio.gather(
            *(bustle.make(who, runner_ids[n % len(runner_ids)], at_once) for n, who in enumerate(crowd.students))
        )
        await crowd.open_runners(places, hall_every=max(1, options.runners // 50))
        for number in range(options.watchers):
            await crowd.open_tab(errands[number % len(errands)], f"tab {number}")
        if await crowd.until_back(60.0) is None:
            raise TimeoutError(f"{len(crowd.missing())} could not connect and follow in the first place")
        self._say(f"{options.connections} tabs …")
        self._mass = await _MassProcess.start(await self._order(errands))
        opened = await self._mass.ask("open")
        if not opened["is_whole"]:
            raise TimeoutError(f"only {opened['back']} of {options.connections} tabs could be opened")

    async def _order(self, errands: list[Errand]) -> Order:
        house, options = self._house, self._options
        tokens = {errand.order_id: await errand.student.socket_token() for errand in errands}
        tabs = [
            (tokens[errand.order_id], f"order:{errand.order_id}")
            for errand in (errands[number % len(errands)] for number in range(options.connections))
        ]
        self._luck.shuffle(tabs)
        return Order(house.host, house.port, house.address, tabs, options.seed, options.is_blind)

    async def rage(self) -> None:
        options, crowd = self._options, self._crowd
        assert self._mass is not None and self._bustle is not None
        self._bustle.begin(options.events_per_s, [], lambda _: None)
        await self._part("before", WATCHERS_STAY_S)
        cpu_s = await self._cpu()
        crowd.part = "storm"
        if options.how == "drain":
            await self._mass.ask("watch")
            await self._server.replace()
        else:
            await self._mass.ask("cut")
        await self._mass.ask(f"wait {BACK_S:.0f}")
        after_s = await self._cpu()
        if options.how == "cut":  # a process that was replaced has taken its account with it
            self._cpu_s = {role: round(spent_s - cpu_s.get(role, 0.0), 2) for role, spent_s in after_s.items()}
        await self._part("after", WATCHERS_STAY_S)
        await self._bustle.end()
        crowd.part = "settling"
        await crowd.until_true(lambda: self._server.waiting() == 0, 30.0)
        await asyncio.sleep(1.0)

    async def judge(self) -> Outcome:
        assert self._mass is not None
        options, outcome = self._options, Outcome()
        tally = await self._mass.tally()
        truth = read_truth(self._server.data_dir, self._house.campus_id)
        behind = [
            topic
            for topic, (least, most) in tally.newest.items()
            if least != most or most != len(truth.topics.get(topic, ()))
        ]
        ages = {part: self._crowd.ages.get((part, "positions"), Durations()) for part in ("before", "storm", "after")}
        back_s = tally.back_s or [0.0]
        outcome.figures = {
            "connections": tally.tabs, "back": tally.back, "for_good": tally.for_good, "back_last_s": back_s[-1],
            "back_p50_s": back_s[len(back_s) // 2], "back_p99_s": back_s[int(len(back_s) * 0.99)],
            "recovered": tally.recovered, "by_snapshot": tally.by_snapshot, "ends": tally.ends,
            "errors": tally.errors, "asked_s": tally.asked_s, "cpu_s": self._cpu_s,
            **{
                f"age_{part}": {
                    "count": one.count, "p50_ms": round(one.percentile(0.5), 1),
                    "p99_ms": round(one.percentile(0.99), 1), "highest_ms": round(one.highest, 1),
                }
                for part, one in ages.items()
            },
            "events_handed_on": dict(self._bustle.done) if self._bustle else {},
        }  # fmt: skip
        outcome.lines = [f"{name:<18} {value}" for name, value in outcome.figures.items()]
        p99_ms = ages["storm"].percentile(0.99)
        for is_wrong, text in (
            (tally.back < tally.tabs, f"{tally.tabs - tally.back} did not come back within {BACK_S:.0f} s"),
            (tally.for_good > 0, f"{tally.for_good} were refused for good"),
            (back_s[-1] > options.within_s, f"the last was back after {back_s[-1]:.1f} s"),
            (p99_ms > options.age_ms, f"positions of the connected were {p99_ms:.0f} ms old (p99)"),
            (bool(tally.holes), f"events were missing at {len(tally.holes)} topics"),
            (bool(tally.doubles), f"events came twice at {len(tally.doubles)} topics"),
            (bool(behind), f"{len(behind)} topics do not stand where the books say"),
        ):
            if is_wrong:
                outcome.faults.append(text)
        return outcome

    async def end(self) -> None:
        if self._bustle is not None:
            await self._bustle.end()
        if self._mass is not None:
            await self._mass.end()
        await self._crowd.leave()

    async def _part(self, name: str, seconds: float) -> None:
        self._crowd.part = name
        await asyncio.sleep(seconds)

    async def _cpu(self) -> dict[str, float]:
        spent: dict[str, float] = {}
        for role, seconds in (await self._server.cpu_s()).values():
            spent[role] = spent.get(role, 0.0) + seconds
        return spent
