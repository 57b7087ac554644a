"""A storm of faults against a server of its own: prepared, raged, ended, and everything that was seen recorded."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ..api_client import campus_places, open_session, server_clock
from ..own_server import OwnServer, new_folder
from ..people import PlanFile
from . import redis_raw
from .accounts import House
from .crowd import Crowd
from .errands import Bustle, Errand
from .faults import ALL, HARD, SOFT, Scene
from .histories import History
from .server import StormServer
from .truth import newest_seq

SET_UP_S = 90.0
LIVERS = 3
TABS_PER_OPERATOR = 10
#: Orders that a student's tab goes on following.
MOST_FOLLOWED = 10
QUIET_S = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """``minutes`` 0: every fault once, then the end; else round after round for so long."""

    runners: int = 60
    watchers: int = 180
    minutes: float = 0.0
    report_s: float = 1.0
    events_per_s: float = 4.0
    workers: int = 2
    steady_s: float = 4.0
    quiet_s: float = 3.0
    seed: int = 1
    faults: tuple[str, ...] = (*SOFT, *HARD)
    folder: Path | None = None


@dataclass(slots=True)
class Outcome:
    options: Options
    history: History
    data_dir: Path
    seconds: dict[str, float] = field(default_factory=dict)


async def storm(options: Options, say: Callable[[str], None] = print) -> Outcome:
    """Run it whole; the server is down again when this returns, its books stay."""
    _raise_open_files()
    folder = new_folder("storm", options.folder)
    own = OwnServer(folder, 1.0, time.strftime("%Y-%m-%dT11:00:00+08:00"), options.workers)
    began_s = time.monotonic()
    consoles = max(1, options.watchers // 15)
    plan = await asyncio.to_thread(
        own.prepare,
        None,
        "Storm campus",
        students=options.runners + LIVERS,
        runners=options.runners,
        operators=-(-consoles // TABS_PER_OPERATOR) + 1,
    )
    await own.start()
    try:
        async with open_session() as session:
            clock = await server_clock(session, own.url, plan.campus_id)
            house = House(session, own.url, plan, clock)
            rage = _Rage(options, StormServer(own, session), house, say)
            await rage.run(plan)
            rage.outcome.seconds["all"] = round(time.monotonic() - began_s, 1)
            return rage.outcome
    finally:
        await own.stop()


class _Rage:
    """One run against a started server."""

    def __init__(self, options: Options, server: StormServer, house: House, say: Callable[[str], None]) -> None:
        self._options, self._server, self._house, self._say = options, server, house, say
        self._luck = Random(options.seed)
        self._crowd = Crowd(house, Random(options.seed + 1), options.report_s)
        self._history = History(house.campus_id, options.runners, options.watchers, options.seed)
        self.outcome = Outcome(options, self._history, server.data_dir)
        self._began_s = time.monotonic()

    async def run(self, plan: PlanFile) -> None:
        try:
            async with self._timed("set up"):
                bustle = await self._set_up(plan)
            try:
                async with self._timed("faults"):
                    await self._trouble(bustle)
            finally:
                await bustle.end()
            async with self._timed("end"):
                await self._settle(bustle)
                await self._record()
        finally:
            await self._crowd.leave()

    @contextlib.asynccontextmanager
    async def _timed(self, name: str) -> AsyncIterator[None]:
        began_s = time.monotonic()
        self._say(f"{name} …")
        yield
        self.outcome.seconds[name] = round(time.monotonic() - began_s, 1)

    # --- before

    async def _set_up(self, plan: PlanFile) -> Bustle:
        options, crowd = self._options, self._crowd
        students = len(plan.of_role("student"))
        operators = len(plan.of_role("operator"))
        await crowd.sign_in(plan, students=students, runners=options.runners, operators=operators)
        await crowd.on_duty()
        places = await campus_places(self._house.session, self._house.url, self._house.campus_id)
        bustle = Bustle(crowd.operators, {one.id: one for one in crowd.runners}, places, self._luck)
        at_once = asyncio.Semaphore(16)
        await asyncio.gather(
            *(bustle.make(crowd.students[n], crowd.runners[n].id, at_once) for n in range(options.runners))
        )
        await crowd.until_true(lambda: self._server.waiting() == 0, 10.0)
        self._history.first_seq = newest_seq(self._server.data_dir)[0]
        await crowd.open_runners(places, hall_every=max(1, options.runners // 50))
        await crowd.open_tabs(bustle.errands, options.watchers)
        if await crowd.until_back(SET_UP_S) is None:
            raise TimeoutError(f"{len(crowd.missing())} could not connect and follow in the first place")
        return bustle

    # --- the storm

    async def _trouble(self, bustle: Bustle) -> None:
        options, crowd = self._options, self._crowd
        tabs = {one.id: crowd.open_life(one) for one in crowd.students[options.runners :]}

        def opened(errand: Errand) -> None:
            tab = tabs[errand.student.id]
            tab.follow(f"order:{errand.order_id}")
            for topic in tab.followed[:-MOST_FOLLOWED]:
                tab.unfollow(topic)

        bustle.begin(options.events_per_s, crowd.students[options.runners :], opened)
        for one in crowd.reporters:
            one.is_tricky = True
        await self._part("steady", options.steady_s)
        self._history.before = await self._server.sizes()
        scene = Scene(self._server, crowd, self._luck, options.steady_s, self._began_s)
        end_s = time.monotonic() + options.minutes * 60
        is_first = True
        while is_first or time.monotonic() < end_s:
            await self._round(scene, is_first=is_first, end_s=end_s)
            is_first = False
        await self._part("after", options.steady_s)

    async def _round(self, scene: Scene, *, is_first: bool, end_s: float) -> None:
        """Each fault once, in a new order. The short form lets what people do fall together; the long form measures the
        sizes after the first round too."""
        lots = [[name] for name in self._options.faults if name not in SOFT]
        soft = [name for name in self._options.faults if name in SOFT]
        lots += [[name] for name in soft] if self._options.minutes else [soft] if soft else []
        self._luck.shuffle(lots)
        for names in lots:
            if not is_first and time.monotonic() > end_s:
                return
            self._crowd.part = names[0] if len(names) == 1 else "what people do"
            await asyncio.gather(*(self._inject(scene, name) for name in names))
            await self._part("steady" if names[0] in SOFT else "recovering", self._options.steady_s / 2)
        if is_first and self._options.minutes:
            self._history.between = await self._server.sizes()

    async def _inject(self, scene: Scene, name: str) -> None:
        before = await self._server.cpu_s()
        happened = await ALL[name](scene)
        for pid, (role, used_s) in (await self._server.cpu_s()).items():
            if pid in before:
                happened.cpu_s[role] = round(happened.cpu_s.get(role, 0.0) + used_s - before[pid][1], 2)
        self._history.happened.append(happened)
        self._say(f"  {name}: everybody back after {happened.back_s} s  {happened.note}  {'; '.join(happened.faults)}")

    async def _part(self, name: str, seconds: float) -> None:
        self._crowd.part = name
        await asyncio.sleep(seconds)

    # --- after

    async def _settle(self, bustle: Bustle) -> None:
        """No more events, no more tricks: wait until everything that is true has been told, then the last fixes."""
        self._crowd.part = "settling"
        await bustle.end()
        crowd = self._crowd
        await crowd.until_true(lambda: self._server.waiting() == 0, 30.0)
        await crowd.until_back(30.0)
        await crowd.until_true(lambda: time.monotonic() - crowd.events_at_s > QUIET_S, 30.0)
        await asyncio.sleep(self._options.quiet_s)
        self._history.after = await self._server.sizes()
        await crowd.last_fixes()
        await asyncio.sleep(1.5)
        self._history.figures = {"done": dict(bustle.done), "http": dict(self._house.figures.counts)}

    async def _record(self) -> None:
        history, crowd = self._history, self._crowd
        socket = self._server.redis_socket
        runner_ids = [one.id for one in crowd.runners]
        history.presence = await redis_raw.presence(socket, history.campus_id)
        history.places = await redis_raw.places(socket, history.campus_id, runner_ids)
        history.seen = [one.seen() for one in (*crowd.reporters, *crowd.watchers)]
        history.reported = [one.reported for one in crowd.reporters]
        history.ages = crowd.measured()
        history.strays = await self._server.strays()
        history.log_faults = self._server.log_faults()


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(hard, 16_384)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
