"""A whole campus of simulated people: signed in over the wire, students wishing at a given pace, all counted."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from geo.point import Point

from .actors import operator, runner, runner_state, student
from .actors.operator import Operator
from .actors.protocol import Wish
from .actors.runner_state import Runner
from .actors.student import Student
from .asyncio_driver import Person, World
from .people import PlanFile, Profile

#: Orders per business hour at a moment (business seconds since the start).
Pace = Callable[[float], float]


class Crowd:
    """All people of one run."""

    def __init__(
        self, world: World, plan: PlanFile, profile: Profile, places: list[dict[str, Any]], luck: Random
    ) -> None:
        self._world = world
        self._luck = luck
        self._home = [Point(p["lat"], p["lon"]) for p in places]
        self._tasks: list[asyncio.Task[None]] = []
        self.students: list[Person[Student]] = []
        self.runners: list[Person[Runner]] = []
        self.operators: list[Person[Operator]] = []
        photo = small_png()
        for account in plan.of_role("runner")[: profile.runners]:
            make_runner = self._runner_maker(photo, profile, account.vehicle)
            self.runners.append(Person(world, account, make_runner, runner.step, self._own_luck()))
        for account in plan.of_role("operator")[: profile.operators]:
            self.operators.append(Person(world, account, self._operator, operator.step, self._own_luck()))
        for account in plan.of_role("student")[: profile.students]:
            self.students.append(Person(world, account, self._student, student.step, self._own_luck()))

    def _own_luck(self) -> Random:
        return Random(self._luck.getrandbits(64))

    def _runner_maker(self, photo: bytes, profile: Profile, vehicle: str) -> Callable[[str], Runner]:
        luck = self._own_luck()
        habits = runner_state.Habits(grabs_every_s=120 if luck.random() < 0.15 else 0)

        def make(account_id: str) -> Runner:
            home = luck.choice(self._home) if self._home else Point(0.0, 0.0)
            made = runner_state.new_runner(account_id, self._world.campus_id, home, luck, vehicle, habits)
            return replace(
                runner_state.with_photo(made, photo, self._world.clock.rate), report_every_ms=profile.report_s * 1000
            )

        return make

    def _operator(self, account_id: str) -> Operator:
        return Operator(account_id, self._world.campus_id)

    def _student(self, account_id: str) -> Student:
        return Student(account_id, self._world.campus_id)

    def _everybody(self) -> list[Person[Any]]:
        return [*self.runners, *self.operators, *self.students]

    def start(self) -> None:
        """Everybody comes: runners first, so that there is somebody to carry."""
        for person in self._everybody():
            self._tasks.append(asyncio.create_task(person.run()))

    async def wish(self, pace: Pace, until_s: float) -> None:
        """Let idle students wish for something at that pace for ``until_s`` business seconds, as people do: each on
        their own, whatever the server does. Nobody idle: the wish is counted as dropped."""
        clock = self._world.clock
        began_ms = clock.now_ms()
        while (passed_s := (clock.now_ms() - began_ms) / 1000) < until_s:
            per_hour = pace(passed_s)
            gap_s = self._luck.expovariate(per_hour / 3600) if per_hour > 0 else 30.0
            # A gap longer than 30 s is drawn anew after 30 s: arrivals have no memory, and the pace may have changed.
            await asyncio.sleep(min(gap_s, 30.0) / clock.rate)
            if per_hour <= 0 or gap_s > 30.0:
                continue
            idle = [p for p in self.students if p.state is not None and p.state.is_idle]
            if idle:
                self._world.figures.tick("wishes")
                self._luck.choice(idle).arrive(Wish())
            else:
                self._world.figures.tick("wishes_dropped")

    async def drain(self, longest_s: float) -> None:
        """Wait until nothing is carried or waits to be delivered, or the business seconds are over."""
        until_ms = self._world.clock.now_ms() + longest_s * 1000
        while self._world.clock.now_ms() < until_ms:
            if not any(s.state is not None and s.state.phase in ("choosing", "ordered") for s in self.students):
                return
            await asyncio.sleep(0.5)

    def holes(self) -> dict[str, int]:
        """Over all sockets: events that never came, came twice or out of order."""
        orders = [person.hub.order for person in self._everybody()]
        return {
            "holes": sum(o.holes for o in orders),
            "out_of_order": sum(o.back for o in orders),
            "doubled": sum(o.doubled for o in orders),
            "new_epochs": sum(o.epochs for o in orders),
        }

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


def small_png(width: int = 64, height: int = 48) -> bytes:
    """A picture that a runner could have taken: a few hundred bytes of grey."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))
    rows = b"".join(b"\0" + bytes((x * 3 + y) % 256 for x in range(width)) for y in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
