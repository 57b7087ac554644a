"""Thousands of tabs in a process of their own: each follows one topic, loses its connection with all others, returns.

Told what to do by lines on its standard input, it answers with lines of JSON: ``open`` the tabs, ``cut`` them all at
once, ``end`` and say what each saw. A page knows no more of a refused handshake than that it failed, so ``--blind``
tabs come back as the pages do, and others obey ``Retry-After``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from . import fast_loop
from .hub_storm.frames import Closed, ErrorFrame, Event, Followed, SnapshotFrame, Welcome, decoded
from .hub_storm.wire import Ended, Wire
from .open_files import raise_open_files

#: Connections that are opened in a second at first; afterwards the server decides.
OPENED_PER_S = 250
LOST_S, REFUSED_S = (1.0, 30.0), (2.0, 60.0)
HANDSHAKE_S = 30.0


class Order(Struct):
    """What the tabs are, as the first line on the standard input says it."""

    host: str
    port: int
    address: str
    tabs: list[tuple[str, str]]
    """Token and topic of each."""
    seed: int = 1
    is_blind: bool = False


class Tally(Struct):
    """What came of it. ``ends``: of connections and handshakes, by name; times in seconds after the cut."""

    tabs: int
    back: int
    for_good: int
    recovered: int
    by_snapshot: int
    ends: dict[str, int]
    errors: dict[str, int]
    back_s: list[float]
    asked_s: dict[str, int]
    holes: list[str]
    doubles: list[str]
    newest: dict[str, tuple[int, int]]
    """Per topic the least and the greatest offset that its tabs stand at."""


class Tab:
    """One connection that is kept up, and the topic that it follows."""

    __slots__ = (
        "_attempt",
        "_epoch",
        "_mass",
        "_offset",
        "_token",
        "_topic",
        "_wire",
        "back_at_s",
        "doubles",
        "holes",
        "is_back",
        "is_for_good",
        "is_recovered",
    )  # fmt: skip

    def __init__(self, mass: Mass, token: str, topic: str) -> None:
        self._mass, self._token, self._topic = mass, token, topic
        self._wire: Wire | None = None
        self._attempt = 0
        self._epoch, self._offset = "", -1
        self.is_back = self.is_for_good = self.is_recovered = False
        self.back_at_s = 0.0
        self.holes = self.doubles = 0

    @property
    def stands_at(self) -> tuple[str, int]:
        return self._topic, self._offset

    async def come(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await loop.create_connection(self._new_wire, self._mass.order.host, self._mass.order.port)
        except (OSError, TimeoutError) as fault:
            self._gone(Ended(), type(fault).__name__)

    def cut(self) -> None:
        """As a phone in a lift: no word of good-bye."""
        if self._wire is not None:
            self._wire.abort()

    def _new_wire(self) -> Wire:
        self._wire = Wire(self._mass.order.address, self._opened, self._heard, self._ended)
        return self._wire

    def _opened(self) -> None:
        assert self._wire is not None
        self._wire.send({"t": "hello", "token": self._token})

    def _heard(self, payload: bytes) -> None:
        frame = decoded(payload)
        match frame:
            case Welcome():
                follow: dict[str, Any] = {"t": "follow", "topic": self._topic, "re": 1}
                if self._epoch:
                    follow |= {"epoch": self._epoch, "offset": self._offset}
                assert self._wire is not None
                self._wire.send(follow)
            case Followed():
                self.is_recovered = frame.recovered
                self._epoch = frame.epoch
                if not frame.recovered:
                    self._offset = frame.offset
                else:
                    self._in()
            case SnapshotFrame():
                self._in()
            case Event():
                self.holes += frame.offset > self._offset + 1
                self.doubles += frame.offset <= self._offset
                self._offset = max(self._offset, frame.offset)
            case ErrorFrame():
                self._mass.errors[frame.code] += 1
                if self._wire is not None:
                    self._wire.abort()
            case Closed():
                self._mass.errors[f"closed {frame.code}"] += 1

    def _in(self) -> None:
        if not self.is_back:
            self.is_back = True
            self._attempt = 0
            self.back_at_s = time.perf_counter()
            self._mass.came_back()

    def _ended(self, ended: Ended) -> None:
        self._gone(ended, ended.name)

    def _gone(self, ended: Ended, name: str) -> None:
        self._wire = None
        was_in, self.is_back = self.is_back, False
        mass = self._mass
        mass.went(was_in)
        if mass.is_leaving:
            return
        mass.ends[name] += 1
        if not ended.may_return:
            self.is_for_good = True
            return
        asked_s = ended.wait_s
        if ended.status and mass.order.is_blind:
            asked_s = 0.0
        mass.asked_s[round(asked_s)] += 1
        first_s, most_s = REFUSED_S if ended.status and mass.order.is_blind else LOST_S
        wait_s = asked_s + min(most_s, first_s * 2**self._attempt) * mass.luck.random()
        # Whoever was told when to come has not failed.
        self._attempt += 0 if asked_s else 1
        asyncio.get_running_loop().call_later(wait_s, mass.come, self)


class Mass:
    """All tabs."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.luck = Random(order.seed)
        self.ends: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.asked_s: Counter[int] = Counter()
        self.is_leaving = False
        self.back = 0
        self._all_back = asyncio.Event()
        self._coming: set[asyncio.Task[None]] = set()
        self._cut_at_s = 0.0
        self.tabs = [Tab(self, token, topic) for token, topic in order.tabs]

    def come(self, tab: Tab) -> None:
        if not self.is_leaving:
            task = asyncio.create_task(tab.come())
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    def came_back(self) -> None:
        self.back += 1
        if self.back == len(self.tabs):
            self._all_back.set()

    def went(self, was_in: bool) -> None:
        if was_in:
            self.back -= 1
            self._all_back.clear()

    async def open(self) -> None:
        for number, tab in enumerate(self.tabs):
            self.come(tab)
            if number % 10 == 9:
                await asyncio.sleep(10 / OPENED_PER_S)

    def watch(self) -> None:
        """From now on it counts who has lost the connection and come back."""
        for counts in (self.ends, self.errors, self.asked_s):
            counts.clear()
        self._cut_at_s = time.perf_counter()
        for tab in self.tabs:
            tab.is_back = False
        self.back = 0
        self._all_back.clear()

    def cut(self) -> None:
        """All at once."""
        self.watch()
        for tab in self.tabs:
            tab.cut()

    async def until_back(self, longest_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._all_back.wait()
        return self.back == len(self.tabs)

    def tally(self) -> Tally:
        newest: dict[str, tuple[int, int]] = {}
        for tab in self.tabs:
            topic, offset = tab.stands_at
            least, most = newest.get(topic, (offset, offset))
            newest[topic] = min(least, offset), max(most, offset)
        return Tally(
            tabs=len(self.tabs),
            back=self.back,
            for_good=sum(tab.is_for_good for tab in self.tabs),
            recovered=sum(tab.is_back and tab.is_recovered for tab in self.tabs),
            by_snapshot=sum(tab.is_back and not tab.is_recovered for tab in self.tabs),
            ends=dict(self.ends),
            errors=dict(self.errors),
            back_s=sorted(round(tab.back_at_s - self._cut_at_s, 3) for tab in self.tabs if tab.is_back),
            asked_s={str(wait_s): count for wait_s, count in sorted(self.asked_s.items())},
            holes=sorted({tab.stands_at[0] for tab in self.tabs if tab.holes}),
            doubles=sorted({tab.stands_at[0] for tab in self.tabs if tab.doubles}),
            newest=newest,
        )

    async def leave(self) -> None:
        self.is_leaving = True
        for task in self._coming:
            task.cancel()
        for tab in self.tabs:
            tab.cut()
        await asyncio.sleep(0.2)


def _say(answer: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


async def main() -> None:
    """Read the order and then words from standard input; answer on standard output."""
    loop = asyncio.get_running_loop()
    told = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    mass = Mass(msgspec.json.decode(await told.readline(), type=Order))
    while word := (await told.readline()).split():
        match word:
            case [b"open"]:
                await mass.open()
                _say({"is_whole": await mass.until_back(120.0), "back": mass.back})
            case [b"watch"]:
                mass.watch()
                _say({"watched": len(mass.tabs)})
            case [b"cut"]:
                mass.cut()
                _say({"cut": len(mass.tabs)})
            case [b"wait", longest_s]:
                _say({"is_whole": await mass.until_back(float(longest_s)), "back": mass.back})
            case [b"tally"]:
                _say(mass.tally())
    await mass.leave()


if __name__ == "__main__":
    raise_open_files()
    fast_loop.run(main())
