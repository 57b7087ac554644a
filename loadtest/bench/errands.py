"""Real orders for the rows that deliver: each is quoted, placed, paid at the sandbox and forced onto its runner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import aiohttp

from ..api_client import campus_places, open_session
from .passes import Pass, Passes

T = TypeVar("T")

AT_ONCE = 32
PATIENCE_S = 60.0


class ErrandFailed(Exception):
    """The server would not do what every row needs; the text has its answer."""


class Desk:
    """The HTTP of the bench's people."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/api/v1"

    async def ask(
        self, who: Pass, method: str, path: str, body: Any = None, key: str = "", expected: tuple[int, ...] = ()
    ) -> tuple[int, Any]:
        """Raises ErrandFailed for an answer that is neither a success nor expected."""
        headers = {"Authorization": f"Bearer {who.access_token}"}
        if key:
            headers["Idempotency-Key"] = key
        async with self._session.request(method, self._url + path, json=body, headers=headers) as response:
            answer = await response.json(content_type=None) if response.status != 204 else None
            if response.status >= 400 and response.status not in expected:
                raise ErrandFailed(f"{method} {path}: {response.status} {answer}")
            return response.status, answer


async def all_at_once(works: Sequence[Callable[[], Awaitable[T]]], at_once: int = AT_ONCE) -> list[T]:
    """Do them all, so many at a time; the first that fails ends the rest."""
    gate = asyncio.Semaphore(at_once)

    async def run(work: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await work()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(work)) for work in works]
    except* ErrandFailed as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def come_on_duty(url: str, runners: Sequence[Pass]) -> None:
    async with open_session() as session:
        desk = Desk(session, url)
        body = {"is_on": True, "vehicle": "walk"}
        await all_at_once([partial(desk.ask, one, "POST", "/runner/duty", body) for one in runners])


async def give_each_an_order(url: str, passes: Passes, count: int) -> list[str]:
    """One order for each of the first ``count`` runners, placed by the student of the same number; their ids."""
    students, runners, operators = (passes.people[role] for role in ("student", "runner", "operator"))
    async with open_session() as session:
        desk = Desk(session, url)
        places = await campus_places(session, url, passes.campus_id)
        works = [
            partial(_one, desk, places, students[n], runners[n], operators[n % len(operators)], n) for n in range(count)
        ]
        return await all_at_once(works)


async def _one(desk: Desk, places: list[dict[str, Any]], student: Pass, runner: Pass, operator: Pass, n: int) -> str:
    target = places[n % len(places)]
    source = places[(n + 1 + n % (len(places) - 1)) % len(places)]
    if source["id"] == target["id"]:
        source = places[(n + 1) % len(places)]
    draft = {
        "type_code": "parcel",
        "stops": [{"place_id": source["id"]}, {"place_id": target["id"], "floor": 1, "detail": "101"}],
        "weight_g": 500,
    }
    _, quote = await desk.ask(student, "POST", "/quotes", draft)
    body = {**draft, "description": "bench", "expected_total_fen": quote["total_fen"], "channel": "sandbox"}
    _, order = await desk.ask(student, "POST", "/orders", body, key=f"bench-{student.account_id}-{time.time_ns()}")
    path = f"/orders/{order['id']}"
    token = await _until(desk, student, path, lambda o: ((o.get("payment") or {}).get("credential") or {}).get("token"))
    await desk.ask(student, "POST", "/sandbox/pay", {"token": token, "outcome": "ok"})
    await _until(desk, student, path, lambda o: o["status"] in ("open", "assigned"))
    for _ in range(10):
        _, seen = await desk.ask(operator, "GET", path)
        force = {"runner_id": runner.account_id, "version": seen["version"], "reason": "other", "note": ""}
        status, _ = await desk.ask(operator, "POST", f"{path}/reassign", force, expected=(409,))
        if status < 300:
            return str(order["id"])
        if (seen.get("runner") or {}).get("id") == runner.account_id:
            return str(order["id"])
    raise ErrandFailed(f"{path} could not be given to its runner")


async def _until(desk: Desk, who: Pass, path: str, wanted: Any) -> Any:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        _, order = await desk.ask(who, "GET", path)
        if found := wanted(order):
            return found
        await asyncio.sleep(0.1)
    raise ErrandFailed(f"{path} did not get so far within {PATIENCE_S:.0f} s: {order}")
