"""The server itself under test: ``dispatch serve`` as it comes, with people, fences and orders made over its API."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from dispatch.embedded import running_socket

from ..own_server import OwnServer
from ..websocket_bytes import SUBPROTOCOL
from .errands import come_on_duty, give_each_an_order
from .fences import draw_fences
from .frames import message
from .links import FleetSpec, LinkSpec
from .machine import Cores, pin
from .passes import Pass, Passes, sign_in_all
from .servers import fetch

#: The bench's names for what the hub counts in ``/metrics``.
COUNTED = {
    "reads": "reads", "frames": "frames", "accepted": "live", "members": "positions_written",
    "delivered": "positions_delivered", "conflated": "positions_conflated", "late_flushes": "late_flushes",
    "refused_jump": "impossible_jump", "refused_off_duty": "off_duty", "over_rate": "frames_over_rate",
    "events": "events_delivered", "follows": "follows",
}  # fmt: skip
#: Counters that the hub always has; Prometheus shows a counter only once it has counted something.
_NOTHING_YET = {"conflated": 0.0, "late_flushes": 0.0}
_COUNT = re.compile(rb'^dispatch_hub_events_total\{what="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)


class HubUnderTest:
    """``orders``: so many runners get an order of their own, that students can follow; ``on_duty``: so many come
    on duty (all)."""

    NAME = "dispatch serve"
    kind = "hub"

    def __init__(
        self,
        *,
        name: str = NAME,
        runners: int,
        orders: int = 0,
        operators: int = 1,
        fences: int = 50,
        workers: int = 1,
        settings: dict[str, str] | None = None,
        acks: bool = False,
        on_duty: int | None = None,
    ) -> None:
        self.name = name
        self._folder = Path(tempfile.mkdtemp(prefix="bench-hub-"))
        self._counts = {"students": orders, "runners": runners, "operators": operators}
        self._wanted_orders, self._wanted_fences, self._acks = orders, fences, acks
        self._on_duty = runners if on_duty is None else on_duty
        extra = {"DISPATCH_LOG_LEVEL": "info"} | (settings or {})
        self.server = OwnServer(self._folder, 1.0, f"{time.strftime('%Y-%m-%d')}T11:00:00+08:00", workers, extra)
        self.passes: Passes | None = None
        self.orders: list[str] = []
        self.fences: int | None = None
        self.offset_ms = 0

    # --- its life

    async def start(self, cores: Cores) -> None:
        counts = {
            "students": max(1, self._counts["students"]),
            **{k: self._counts[k] for k in ("runners", "operators")},
        }
        await asyncio.to_thread(self.server.prepare, None, "Bench campus", **counts)
        await self.server.start()
        self.passes = await sign_in_all(
            self.server.environ(), self._folder / "plan.json", ("student", "runner", "operator")
        )
        self.offset_ms = await self._offset_ms()
        self.fences = await draw_fences(self.server.url, self.passes, self._wanted_fences)
        await come_on_duty(self.server.url, self.passes.people["runner"][: self._on_duty])
        if self._wanted_orders:
            self.orders = await give_each_an_order(self.server.url, self.passes, self._wanted_orders)
        for column, pids in self.processes().items():
            for pid in pids:
                pin(pid, cores.server if column == "server" else cores.others)

    async def _offset_ms(self) -> int:
        """How far the server's business time is from the wall clock; it runs at the same rate."""
        assert self.passes is not None
        url = f"{self.server.url}/api/v1/campuses/{self.passes.campus_id}"
        before = time.time_ns()
        now_ms: int = json.loads(await asyncio.to_thread(fetch, url))["now_ms"]
        return round(now_ms - (before + time.time_ns()) / 2e6)

    async def stop(self) -> None:
        await self.server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def processes(self) -> dict[str, list[int]]:
        columns: dict[str, list[int]] = {"server": []}
        for row in json.loads(fetch(self.server.processes_url)):
            name = {"web": "server", "jobs": "jobs (relay)"}.get(row["role"], row["role"])
            columns.setdefault(name, []).append(row["pid"])
        return columns

    # --- connections

    def hello(self, one: Pass, *, acks: bool = False) -> bytes:
        assert self.passes is not None
        body: dict[str, object] = {"t": "hello", "token": self.passes.socket_token(one)}
        if acks:
            body["acks"] = True
        return message(body)

    def fleet(self, links: list[LinkSpec], awaited: tuple[str, ...], answers: int, **bounds: Any) -> FleetSpec:
        return FleetSpec("127.0.0.1", self.server.port, tuple(links), SUBPROTOCOL, awaited, answers, **bounds)

    def people(self, role: str) -> list[Pass]:
        assert self.passes is not None, "start it first"
        return list(self.passes.people[role])

    async def runners(self, count: int) -> FleetSpec:
        links = [LinkSpec("/ws", self.hello(one, acks=self._acks)) for one in self.people("runner")[:count]]
        return self.fleet(links, ("welcome",), 1)

    async def watchers(self, runners: int, each: int) -> FleetSpec:
        """Each runner's order is followed by its student's phones."""
        links = []
        for student, order_id in zip(self.people("student"), self.orders[:runners], strict=False):
            follow = message({"t": "follow", "topic": f"order:{order_id}"})
            links += [LinkSpec("/ws", self.hello(student) + follow) for _ in range(each)]
        return self.fleet(links, ("followed",), 1)

    def own_topics(self, begin: int, count: int) -> FleetSpec:
        """So many runners, each follows what is told to them alone."""
        links = []
        for one in self.people("runner")[begin : begin + count]:
            follow = message({"t": "follow", "topic": f"runner:{one.account_id}"})
            links.append(LinkSpec("/ws", self.hello(one) + follow, f"runner:{one.account_id}"))
        return self.fleet(links, ("followed",), 1)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the report says about how it was set up."""
        fences = "the server has no geofences" if self.fences is None else f"{self.fences} geofences on the campus"
        return (fences,)

    @property
    def redis_url(self) -> str:
        """Where its private Redis listens."""
        socket = running_socket(self._folder / "run")
        assert socket is not None, "it runs, so it has noted its Redis"
        return f"unix://{socket}"

    # --- figures

    async def counts(self) -> dict[str, float]:
        """The hub's counters reach ``/metrics`` once a second."""
        await asyncio.sleep(1.2)
        page = await asyncio.to_thread(fetch, self.server.processes_url.replace("/processes", "/metrics"))
        said = {name.decode(): float(value) for name, value in _COUNT.findall(page)}
        return _NOTHING_YET | {ours: said[theirs] for ours, theirs in COUNTED.items() if theirs in said}


class ConsolesUnderTest(HubUnderTest):
    """The same, watched by operators who each see the whole campus, on as many screens as an account may have."""

    PER_ACCOUNT = 20

    async def watchers(self, runners: int, each: int) -> FleetSpec:
        """``each`` consoles, and every one sees all runners."""
        assert self.passes is not None
        follow = message({"t": "follow", "topic": f"console:{self.passes.campus_id}"})
        operators = self.people("operator")
        links = [LinkSpec("/ws", self.hello(operators[n // self.PER_ACCOUNT]) + follow) for n in range(each)]
        return self.fleet(links, ("followed",), 1)
