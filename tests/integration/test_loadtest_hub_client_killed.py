"""The load test's connection against `dispatch serve` whose worker is killed with -9 under it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from loadtest.actors.protocol import Call
from loadtest.api_client import ApiClient, open_session, server_clock
from loadtest.figures import Figures
from loadtest.hub_client import HubClient
from loadtest.people import PlanFile, read_plan
from tests.e2e_server import Server, running_server

pytestmark = [pytest.mark.usefixtures("uncounted"), pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path, students=1, runners=1, time_scale=1) as made:
        yield made


async def until(holds: Callable[[], object], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


class Someone:
    """An account's HTTP and its socket, and the frames that came."""

    def __init__(self, session: aiohttp.ClientSession, server: Server, plan: PlanFile, role: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self.figures = Figures(time.perf_counter)
        (who, *_) = plan.of_role(role)
        self.api = ApiClient(session, server.url, plan.campus_id, who, plan.password, self.figures)
        self.hub = HubClient(
            session, server.url, self.api.socket_token, self.heard.append, self.figures, Random(3),
            wants_acks=role == "runner",
        )  # fmt: skip

    async def duty(self, *, is_on: bool) -> None:
        """Each change is an event at the console."""
        answer = await self.api.call(Call("duty", "POST", "/runner/duty", {"is_on": is_on, "vehicle": "walk"}))
        assert answer.is_ok, answer


def duties(server: Server) -> list[str]:
    with sqlite3.connect(f"file:{server.data_dir / 'dispatch.db'}?mode=ro", uri=True, timeout=10) as books:
        rows = books.execute("SELECT id FROM events WHERE kind LIKE 'runner_o%_duty' ORDER BY at, id")
        return [row[0] for row in rows]


async def test_nothing_is_missed_and_the_fixes_of_the_gap_arrive(server: Server) -> None:
    plan = read_plan(Path(server.plan["path"]))
    async with open_session() as session:
        clock = await server_clock(session, server.url, plan.campus_id)
        runner, operator = (Someone(session, server, plan, role) for role in ("runner", "operator"))
        for one in (runner, operator):
            await one.api.sign_in()
        operator.hub.follow(f"console:{plan.campus_id}")
        running = [asyncio.create_task(one.hub.run()) for one in (runner, operator)]
        try:
            await until(lambda: any(frame["t"] == "snapshot" for frame in operator.heard))
            before = set(duties(server))
            await runner.duty(is_on=True)
            await until(runner.hub.connected.is_set)
            server.kill("web")
            await until(lambda: not runner.hub.connected.is_set() and not operator.hub.connected.is_set())
            places = [(clock.now_ms() - 500 * n, 30.5 + 1e-6 * n) for n in range(20, 0, -1)]
            for at, lat in places:
                assert not runner.hub.report({"at": at, "lat": lat, "lon": 114.4})
            await until(server.is_ready)
            for is_on in (False, True, False, True):
                await runner.duty(is_on=is_on)
            await until(lambda: operator.hub.connected.is_set() and runner.hub.connected.is_set())
            await until(lambda: len(runner.hub.fixes) == 0)

            def events() -> list[str]:
                return [frame["id"] for frame in operator.heard if frame["t"] == "event" and "duty" in frame["kind"]]

            await until(lambda: set(duties(server)) - before <= set(events()))
            assert len(set(duties(server)) - before) == 5
            assert len(events()) == len(set(events()))
            assert operator.hub.order.holes == operator.hub.order.back == 0
            newest = places[-1][0]
            await until(lambda: any(row[3] == newest for f in operator.heard if f["t"] == "pos" for row in f["p"]))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
