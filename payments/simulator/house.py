"""One running simulator: journal, books, protocols, notifier, people and both ports, started and stopped together."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from aiohttp import web

from payments.simulator.admin import Administration
from payments.simulator.books import Books
from payments.simulator.channels import build
from payments.simulator.clock import ClockTerms, ScaledClock
from payments.simulator.desk import Desk
from payments.simulator.door import REQUEST_BYTES, Door
from payments.simulator.events import AnyEvent, NoticeQueued, OrderKey
from payments.simulator.faults import Fault, FaultPlan
from payments.simulator.journal import Journal
from payments.simulator.keys import KeyRing
from payments.simulator.notifier import Notifier
from payments.simulator.page import Pages
from payments.simulator.people import Habits, People
from payments.simulator.rules import WORK_S
from payments.simulator.wechat import WechatProtocol

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
#: Real seconds between two looks at what is due.
TICK_S = 0.02


class PortTaken(Exception):
    """Somebody listens there already."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulator is started with."""

    channels: Sequence[str] = ("wechat", "edupay")
    #: None keeps nothing.
    state: Path | None = None
    port: int = 0
    backup_port: int = 0
    seed: int = 1
    #: How many times faster the provider works and re-sends.
    rate: float = 1.0
    #: How fast its calendar runs.
    calendar_rate: float = 1.0
    #: When it begins; None: now, or where a kept one would be.
    calendar_start: datetime | None = None
    #: None keeps those of the state.
    faults: Sequence[Fault] | None = None
    habits: Habits = Habits()
    options: Mapping[str, Mapping[str, str]] = {}
    work_s: float = WORK_S


class House:
    """A provider house on loopback. UnknownChannel, BadOption, JournalUnreadable; ``start`` may say PortTaken."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._journal = Journal(plan.state)
        self.clock = self._clock()
        self.faults = self._faults()
        self.books = Books(self._journal, self.clock.now)
        self.desk = Desk(self.books, self.faults, self.clock, work_s=plan.work_s)
        self.by_channel = build(plan.channels, self.desk, KeyRing(self._journal), plan.options)
        #: By institution, as the books know them.
        self.protocols = {protocol.institution: protocol for protocol in self.by_channel.values()}
        self.books.tell = self._notices_of
        self.notifier = Notifier(self.desk, self.protocols)
        self.people = People(self.desk, plan.seed, plan.habits)
        self.door = Door(self.desk, self.protocols, self.notifier)
        self._runner: web.AppRunner | None = None
        self._sites: dict[str, web.TCPSite] = {}
        self._ports: dict[str, int] = {}
        self._ticking: asyncio.Task[None] | None = None

    def _clock(self) -> ScaledClock:
        start, kept = self.plan.calendar_start, self._journal.kept("clock")
        if start is None and kept is not None:
            # The calendar goes on from where it would be; how fast, this start says.
            start = ScaledClock(msgspec.json.decode(kept, type=ClockTerms)).now()
        return ScaledClock.started(rate=self.plan.rate, calendar_rate=self.plan.calendar_rate, start=start)

    def _faults(self) -> FaultPlan:
        plan = FaultPlan(self.plan.seed)
        if self.plan.faults is not None:
            for fault in self.plan.faults:
                plan.add(fault)
        else:
            plan.load(self._journal.kept("faults") or b"[]")
        return plan

    def _notices_of(self, event: AnyEvent) -> Sequence[NoticeQueued]:
        key: OrderKey | None = getattr(event, "key", None)
        protocol = None if key is None else self.protocols.get(key.institution)
        return () if protocol is None else protocol.notices(event)

    # -- start and stop -----------------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The provider's first domain."""
        return f"http://{HOST}:{self._ports['main']}"

    @property
    def backup_url(self) -> str:
        """Its second one."""
        return f"http://{HOST}:{self._ports['backup']}"

    def settings(self) -> dict[str, Mapping[str, str]]:
        """What a merchant configures, by channel."""
        return {name: p.settings(self.base_url, self.backup_url) for name, p in self.by_channel.items()}

    async def start(self) -> None:
        """Listen on both ports; PortTaken."""
        app = web.Application(client_max_size=REQUEST_BYTES)
        Administration(self).add_to(app)
        Pages(self).add_to(app)
        for protocol in self.protocols.values():
            if isinstance(protocol, WechatProtocol):
                protocol.oauth.add_to(app)
        app.router.add_route("*", "/{path:.*}", self.door.answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._ports = {"main": self.plan.port, "backup": self.plan.backup_port}
        try:
            for name in self._ports:
                await self.open_port(name)
        except (PortTaken, OSError):
            await self.stop()
            raise
        await self.notifier.start()
        self._keep_clock()
        self._ticking = asyncio.get_running_loop().create_task(self._tick_for_ever())

    async def open_port(self, name: str) -> None:
        """Listen on ``main`` or ``backup``."""
        if name in self._sites:
            return
        assert self._runner is not None, "the house was started"
        site = web.TCPSite(self._runner, HOST, self._ports[name], reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTaken(f"port {self._ports[name]} is taken; choose another one, or 0 for any") from error
        self._sites[name] = site
        server = site._server
        assert isinstance(server, asyncio.Server)
        self._ports[name] = server.sockets[0].getsockname()[1]
        self.door.backup_port = self._ports["backup"]

    async def shut_port(self, name: str) -> bool:
        """Refuse connections there; False when it would be the last open one."""
        if name not in self._sites:
            return True
        if len(self._sites) == 1:
            return False
        await self._sites.pop(name).stop()
        return True

    @property
    def open_ports(self) -> list[str]:
        """Which are open."""
        return sorted(self._sites)

    async def stop(self) -> None:
        """Stop; what was going on goes on after the next start from the same state."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        await self.notifier.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        self.close()

    def close(self) -> None:
        """Let go of the state; ``stop`` does it too."""
        self._keep_clock()
        self._keep_faults()
        self._journal.close()

    # -- what goes on by itself ---------------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        while True:
            try:
                self.tick()
            except Exception:
                log.exception("the simulator stumbled over something that was due")
            await asyncio.sleep(TICK_S)

    def tick(self) -> int:
        """Everything that is due; how much that was."""
        done = self.desk.work() + self.people.act() + self.notifier.begin_due()
        if self.faults.has_changed:
            self._keep_faults()
        return done

    def set_clock(self, *, rate: float, calendar_rate: float, now_ms: int | None) -> None:
        """From now on; what waits already keeps its time."""
        start_ms = round(self.clock.now().timestamp() * 1000) if now_ms is None else now_ms
        self.clock.terms = ClockTerms(
            start_ms=start_ms, origin_s=self.clock.wall_s(), calendar_rate=calendar_rate, rate=rate
        )
        self._keep_clock()

    def _keep_clock(self) -> None:
        self._journal.keep("clock", msgspec.json.encode(self.clock.terms))

    def _keep_faults(self) -> None:
        self._journal.keep("faults", self.faults.dump())
        self.faults.has_changed = False
