"""Drives simulated people over real HTTP and real sockets, in one asyncio process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Generic, TypeVar

import aiohttp

from .actors.protocol import (
    Action,
    Arrived,
    Ask,
    Call,
    Follow,
    Frame,
    Heard,
    Note,
    SendFix,
    Started,
    Step,
    Tell,
    Unfollow,
    Wake,
    Woke,
)
from .api_client import ApiClient, SignInRefused
from .figures import Figures
from .hub_client import HubClient
from .people import Account, PlanFile
from .server_clock import ServerClock

log = logging.getLogger(__name__)

S = TypeVar("S")
MOST_ARRIVALS = 1000
MOST_CALLS = 4
MOST_PINS = 20_000
CONNECT_S = 60.0


class Blackboard:
    """What people say to each other at the door; it never crosses the server."""

    def __init__(self) -> None:
        self._pins: OrderedDict[str, str] = OrderedDict()

    def tell(self, order_id: str, pin: str) -> None:
        self._pins[order_id] = pin
        while len(self._pins) > MOST_PINS:
            self._pins.popitem(last=False)

    def ask(self, order_id: str) -> str | None:
        return self._pins.get(order_id)


class World:
    """What all people of one run share."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, plan: PlanFile, clock: ServerClock, figures: Figures
    ) -> None:
        self.session = session
        self.url = url
        self.campus_id = plan.campus_id
        self.password = plan.password
        self.clock = clock
        self.figures = figures
        self.blackboard = Blackboard()
        self.signing_in = asyncio.Semaphore(4)


class Person(Generic[S]):
    """One actor with its HTTP, its socket and its timer."""

    def __init__(self, world: World, who: Account, make: Callable[[str], S], step: Step[S], luck: Random) -> None:
        self._world = world
        self._make = make
        self._step = step
        self._luck = luck
        self._arrivals: asyncio.Queue[Arrived] = asyncio.Queue(MOST_ARRIVALS)
        self._timer: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._calling = asyncio.Semaphore(MOST_CALLS)
        self.api = ApiClient(world.session, world.url, world.campus_id, who, world.password, world.figures)
        self.hub = HubClient(
            world.session, world.url, self.api.socket_token, self._on_frame, world.figures, luck,
            wants_acks=who.role == "runner",
        )  # fmt: skip
        self.state: S | None = None

    async def run(self) -> None:
        """Live until cancelled."""
        try:
            async with self._world.signing_in:
                account_id = await self.api.sign_in()
        except SignInRefused as refusal:
            self._world.figures.problem(f"sign-in refused: {refusal}")
            return
        self.state = self._make(account_id)
        socket = asyncio.create_task(self.hub.run())
        try:
            async with asyncio.timeout(CONNECT_S):
                await self.hub.connected.wait()
            self.arrive(Started())
            while True:
                self._move(await self._arrivals.get())
        except TimeoutError:
            self._world.figures.problem("no connection to the hub")
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await _end([socket, *self._calls])

    def arrive(self, arrived: Arrived) -> None:
        """Put something before the person; one that is hopelessly behind misses it."""
        try:
            self._arrivals.put_nowait(arrived)
        except asyncio.QueueFull:
            self._world.figures.tick("arrivals_missed")

    def _on_frame(self, frame: dict[str, Any]) -> None:
        if frame.get("t") in ("event", "snapshot", "welcome", "closed", "report"):
            self.arrive(Frame(frame))

    def _move(self, arrived: Arrived) -> None:
        assert self.state is not None
        now_ms = self._world.clock.now_ms()
        try:
            self.state, actions = self._step(self.state, arrived, now_ms, self._luck)
        except Exception as fault:  # one confused person must not end the run; the report names it
            log.exception("a simulated person stumbled over %s", type(arrived).__name__)
            self._world.figures.problem(f"actor: {type(fault).__name__} on {type(arrived).__name__}: {fault}")
            return
        for action in actions:
            self._do(action, now_ms)

    def _do(self, action: Action, now_ms: int) -> None:
        match action:
            case Call():
                self._spawn(self._call(action))
            case SendFix():
                self._send_fix(action)
            case Wake(at_ms):
                if self._timer is not None:
                    self._timer.cancel()
                delay_s = self._world.clock.real_s(at_ms)
                self._timer = asyncio.get_running_loop().call_later(delay_s, self.arrive, Woke())
            case Follow(topic):
                self.hub.follow(topic)
            case Unfollow(topic):
                self.hub.unfollow(topic)
            case Tell(order_id, pin):
                self._world.blackboard.tell(order_id, pin)
            case Ask(order_id):
                self.arrive(Heard(order_id, self._world.blackboard.ask(order_id)))
            case Note(kind, subject, value, text):
                self._world.figures.note(kind, subject, value, text, now_ms)

    def _send_fix(self, fix: SendFix) -> None:
        reading: dict[str, Any] = {"at": fix.at_ms, "lat": fix.lat, "lon": fix.lon, "acc": fix.acc}
        if fix.spd is not None:
            reading["spd"] = fix.spd
        if fix.brg is not None:
            reading["brg"] = fix.brg
        # What waits for the network is no measure of the way from here to a viewer.
        if self.hub.report(reading):
            self._world.figures.fix_sent(self.api.account_id, fix.at_ms)
        else:
            self._world.figures.tick("fixes_kept")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, call: Call) -> None:
        async with self._calling:
            try:
                answer = await self.api.call(call)
            except SignInRefused as refusal:
                self._world.figures.problem(f"signed out: {refusal}")
                return
        self.arrive(answer)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
