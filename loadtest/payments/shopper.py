"""A student who orders one thing and pays for it, and what all of them together saw."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from geo.point import Point

from ..actors.protocol import Answer
from ..actors.student import Place, draw_errand
from ..api_client import campus_places, server_clock
from ..figures import Durations
from ..hub_storm.accounts import House, Member
from ..own_server import OwnServer
from ..people import PlanFile
from .habits import SIMPLE, Habits, Manner, Payer, Wallet

#: Real seconds between two questions of a page.
ASK_EVERY_S = 0.5
#: A tap that the server has no time for is repeated under the same key, as the page does it.
MOST_TAPS = 8
SIGN_INS_AT_ONCE = 16


@dataclass(slots=True)
class Tally:
    """What came of all orders. Times in milliseconds from the tap."""

    accepted: int = 0
    credentials: int = 0
    paid: int = 0
    repeats: int = 0
    asks: int = 0
    accepted_ms: Durations = field(default_factory=Durations)
    credential_ms: Durations = field(default_factory=Durations)
    paid_ms: Durations = field(default_factory=Durations)
    refusals: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """A table for the report."""
        found = ["ms from the tap          n      p50      p95      p99      max"]
        for name, durations in (
            ("accepted", self.accepted_ms),
            ("credential there", self.credential_ms),
            ("paid", self.paid_ms),
        ):
            one = durations.summary()
            found.append(
                f"{name:20} {one['n']:6.0f} {one['p50']:8.0f} {one['p95']:8.0f} {one['p99']:8.0f} {one['max']:8.0f}"
            )
        found += [f"refused: {count} x {text}" for text, count in self.refusals.most_common(10)]
        return found


class Shoppers:
    """Students who are signed in and know what their errand costs. ``channel``: the one they choose, "" for none;
    ``lost_after_s``: real seconds after which an order that is not paid is given up."""

    def __init__(
        self,
        members: Sequence[Member],
        tally: Tally,
        wallet: Wallet,
        channel: str,
        lost_after_s: float,
        habits: Habits = SIMPLE,
    ) -> None:
        self._members = members
        self._tally = tally
        self._wallet = wallet
        self._channel = channel
        self._lost_after_s = lost_after_s
        self._habits = habits
        self._orders: dict[int, dict[str, Any]] = {}

    async def ask_prices(self, places: Sequence[Place], luck: Random) -> None:
        """Everybody's errand and its price, so that a tap is one request."""
        errands = [draw_errand(places, luck) for _ in self._members]

        async def ask(index: int) -> None:
            answer = await self._members[index].call("quote", "POST", "/quotes", errands[index])
            if not answer.is_ok:
                self._tally.refusals[f"quote {answer.status} {answer.code}"] += 1
                return
            body = {**errands[index], "description": "午饭高峰", "expected_total_fen": answer.body["total_fen"]}
            self._orders[index] = body | ({"channel": self._channel} if self._channel else {})

        await in_turn(list(range(len(self._members))), ask, SIGN_INS_AT_ONCE)

    async def tap(self, within_s: float, luck: Random) -> float:
        """All order within this time and pay; gives how long the taps took."""
        loop = asyncio.get_running_loop()
        began_s = loop.time() + 0.5

        async def one(index: int, manner: Manner, at_s: float) -> float:
            await asyncio.sleep(max(0.0, at_s - loop.time()))
            tapped_s = loop.time()
            await self._order_and_pay(index, manner)
            return tapped_s

        taps = [one(index, self._habits.draw(luck), began_s + luck.random() * within_s) for index in self._orders]
        tapped = await asyncio.gather(*taps)
        return max(tapped) - min(tapped) if tapped else 0.0

    async def _order_and_pay(self, index: int, manner: Manner) -> None:
        tally, student, tapped_s = self._tally, self._members[index], time.perf_counter()

        def passed_ms() -> float:
            return 1000 * (time.perf_counter() - tapped_s)

        answer = await self._placed(index)
        if answer is None:
            return
        tally.accepted += 1
        tally.accepted_ms.add(passed_ms())
        payer, is_shown = Payer(student, self._wallet, manner, self._habits.tries, answer.body), False
        while passed_ms() < 1000 * self._lost_after_s and payer.is_to_pay:
            if payer.looks():
                if not is_shown:
                    tally.credentials += 1
                    tally.credential_ms.add(passed_ms())
                    is_shown = True
                tally.channels[payer.channel] += 1
            await payer.act()
            await asyncio.sleep(ASK_EVERY_S)
            await payer.ask()
            tally.asks += 1
        tally.ends[payer.status] += 1
        if payer.status in ("open", "assigned", "carrying"):
            tally.paid += 1
            tally.paid_ms.add(passed_ms())
            await payer.leave()

    async def _placed(self, index: int) -> Answer | None:
        for tap in range(MOST_TAPS):
            answer = await self._members[index].call(
                "place", "POST", "/orders", self._orders[index], key=f"tap-{index}"
            )
            if answer.is_ok:
                return answer
            self._tally.refusals[f"{answer.status} {answer.code}"] += 1
            if answer.status not in (0, 429, 502, 503):
                return None
            self._tally.repeats += 1
            await asyncio.sleep(min(5.0, 0.25 * 2**tap))
        return None


async def arrive(house: House, plan: PlanFile) -> list[Member]:
    """All students, signed in."""
    members = [Member(house, who) for who in plan.of_role("student")]
    await in_turn(members, Member.sign_in, SIGN_INS_AT_ONCE)
    return members


async def look_around(session: Any, server: OwnServer, plan: PlanFile) -> tuple[House, list[Place]]:
    """The server as its guests know it, and the places of its campus."""
    house = House(session, server.url, plan, await server_clock(session, server.url, plan.campus_id))
    found = await campus_places(session, server.url, plan.campus_id)
    return house, [Place(each["id"], Point(each["lat"], each["lon"])) for each in found]


async def in_turn(things: list[Any], do: Callable[[Any], Awaitable[Any]], at_once: int) -> None:
    """Do it to all, so many at once."""
    gate = asyncio.Semaphore(at_once)

    async def one(thing: Any) -> None:
        async with gate:
            await do(thing)

    await asyncio.gather(*(one(thing) for thing in things))
