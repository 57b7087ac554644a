"""Everybody of one storm: runners who report, students at their tabs, operators at their consoles."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from random import Random
from typing import Any

from geo.point import Point

from ..actors.walk import moved
from ..figures import Durations
from ..people import PlanFile
from .accounts import House, Member
from .client import Client
from .errands import Errand
from .histories import Ages
from .reporter import Reporter
from .watcher import SentTimes, Watcher

SIGN_INS_AT_ONCE = 8
#: Connections that are opened in a second at the start, below the server's bound per address.
OPENED_PER_S = 150
TICK_S = 0.05
CONSOLE_AGE_SHARE = 0.05


class Crowd:
    """Holds all members and their sockets, and measures by the part of the storm that is on."""

    def __init__(self, house: House, luck: Random, report_s: float) -> None:
        self.house, self._luck, self._report_s = house, luck, report_s
        self.students: list[Member] = []
        self.runners: list[Member] = []
        self.operators: list[Member] = []
        self.reporters: list[Reporter] = []
        self.watchers: list[Watcher] = []
        self.part = "setting up"
        self.ages: dict[tuple[str, str], Durations] = {}
        self.events_at_s = 0.0
        self._sent: SentTimes = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def everybody(self) -> list[Client]:
        return [*self.reporters, *self.watchers]

    def on_age(self, kind: str, ms: float) -> None:
        if kind == "events":
            self.events_at_s = time.monotonic()
        key = (self.part, kind)
        if key not in self.ages:
            self.ages[key] = Durations()
        self.ages[key].add(ms)

    # --- coming

    async def sign_in(self, plan: PlanFile, *, students: int, runners: int, operators: int) -> None:
        at_once = asyncio.Semaphore(SIGN_INS_AT_ONCE)

        async def come(member: Member) -> None:
            async with at_once:
                await member.sign_in()

        self.students = [Member(self.house, who) for who in plan.of_role("student")[:students]]
        self.runners = [Member(self.house, who) for who in plan.of_role("runner")[:runners]]
        self.operators = [Member(self.house, who) for who in plan.of_role("operator")[:operators]]
        await asyncio.gather(*(come(one) for one in (*self.students, *self.runners, *self.operators)))

    async def on_duty(self) -> None:
        async def come(member: Member) -> None:
            body = {"is_on": True, "vehicle": "walk"}
            answer = await member.call("duty", "POST", "/runner/duty", body)
            if not answer.is_ok:
                raise ValueError(f"a runner cannot come on duty: {answer.status} {answer.code}")

        for start in range(0, len(self.runners), 20):
            await asyncio.gather(*(come(one) for one in self.runners[start : start + 20]))

    async def open_runners(self, places: list[dict[str, Any]], hall_every: int) -> None:
        """Every runner's socket; one in ``hall_every`` looks at the hall too."""
        for number, member in enumerate(self.runners):
            place = places[number % len(places)]
            home = moved(Point(place["lat"], place["lon"]), self._luck.uniform(-30, 30), self._luck.uniform(-30, 30))
            reporter = Reporter(
                member, f"runner {number}", self._own_luck(), self._sent, self.on_age, home, self._report_s
            )
            reporter.reported.runner_id = member.id
            reporter.follow(f"runner:{member.id}")
            if number % hall_every == 0:
                reporter.follow(f"hall:{self.house.campus_id}")
            self.reporters.append(reporter)
            await self._open(reporter)
        self._tasks.append(asyncio.create_task(self._report()))
        self._tasks.append(asyncio.create_task(self._mind_silence()))

    async def open_tabs(self, errands: list[Errand], watchers: int) -> None:
        """Two tabs for each order's student, a third for some, and the rest at the console."""
        consoles = max(1, watchers // 15)
        tabs = watchers - consoles
        for number in range(tabs):
            errand = errands[number % len(errands)]
            await self.open_tab(errand, f"tab {number}")
        for number in range(consoles):
            operator = self.operators[number % len(self.operators)]
            console = self._watcher(operator, f"console {number}", CONSOLE_AGE_SHARE)
            console.is_narrow = number < 2
            console.is_measured = not console.is_narrow
            console.follow(f"console:{self.house.campus_id}")
            await self._open(console)

    async def open_tab(self, errand: Errand, name: str) -> Watcher:
        tab = self._watcher(errand.student, name, 1.0)
        tab.follow(f"order:{errand.order_id}")
        await self._open(tab)
        return tab

    def open_life(self, student: Member) -> Watcher:
        """One tab of a student who orders again and again."""
        tab = self._watcher(student, f"life of {student.who.phone}", 1.0)
        tab.start()
        return tab

    def _watcher(self, member: Member, name: str, age_share: float) -> Watcher:
        watcher = Watcher(member, name, self._own_luck(), self._sent, self.on_age, age_share=age_share)
        self.watchers.append(watcher)
        return watcher

    async def _open(self, client: Client) -> None:
        client.start()
        await asyncio.sleep(1 / OPENED_PER_S)

    def _own_luck(self) -> Random:
        return Random(self._luck.getrandbits(64))

    # --- being there

    def missing(self) -> list[Client]:
        """Who is not connected, or has a topic that is not followed again yet."""
        return [one for one in self.everybody if not one.is_back]

    async def until_back(self, longest_s: float) -> float | None:
        """Wait until everybody is back; after how many seconds, None when somebody is not."""
        began_s = time.monotonic()
        while self.missing():
            if time.monotonic() - began_s > longest_s:
                return None
            await asyncio.sleep(0.05)
        return time.monotonic() - began_s

    async def until_true(self, holds: Callable[[], bool], longest_s: float) -> bool:
        end_s = time.monotonic() + longest_s
        while not holds():
            if time.monotonic() > end_s:
                return False
            await asyncio.sleep(0.1)
        return True

    async def _report(self) -> None:
        """One task for all phones: whoever is due reports."""
        while True:
            now_s = time.monotonic()
            for one in self.reporters:
                if one.due_s <= now_s:
                    one.due_s += one.every_s * max(1, math.ceil((now_s - one.due_s) / one.every_s))
                    one.report()
            await asyncio.sleep(TICK_S)

    async def _mind_silence(self) -> None:
        while True:
            await asyncio.sleep(5.0)
            now_s = asyncio.get_running_loop().time()
            for one in self.everybody:
                one.check_silence(now_s)

    # --- ending

    async def last_fixes(self) -> None:
        """Every phone sends good readings until the server has answered all, and is then put away."""
        for one in self.reporters:
            one.calm()
        await asyncio.sleep(2.5 * self._report_s)
        for one in self.reporters:
            one.due_s = float("inf")
        await asyncio.sleep(0.1)
        for one in self.reporters:
            one.report()
        await self.until_true(lambda: all(one.is_answered for one in self.reporters), 10.0)

    def measured(self) -> list[Ages]:
        found = []
        for (part, kind), one in self.ages.items():
            p50, p95, p99 = (round(one.percentile(share), 1) for share in (0.5, 0.95, 0.99))
            found.append(Ages(part, kind, one.count, p50, p95, p99, round(one.highest, 1)))
        return found

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for one in self.everybody:
            one.leave()
        await asyncio.sleep(0.1)
