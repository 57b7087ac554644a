"""A thousand students order in the same second, each with a payment: what is accepted, how fast, and what it costs.

The server is one of its own. Every student places one order, at a moment drawn within the second; placing is the tap.
The page that shows the payment asks twice a second until there is something to pay with, as the real one does when the
hub is not heard; then the student pays, and the page asks until the order is paid. Afterwards the server's books are
read by the checker, which shares no code with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from geo.point import Point

from ..actors.protocol import Answer
from ..actors.student import Place, draw_errand
from ..api_client import campus_places, open_session, server_clock
from ..check import Finding, check
from ..figures import Durations
from ..hub_storm.accounts import House, Member
from ..own_server import OwnServer, new_folder

#: Real seconds between two questions of a page.
ASK_EVERY_S = 0.5
#: Real seconds after which an order that is not paid counts as lost.
LOST_AFTER_S = 120.0
SIGN_INS_AT_ONCE = 16
#: A tap that the server has no time for is repeated under the same key, as the page does it.
MOST_TAPS = 8


@dataclass(frozen=True, slots=True)
class Options:
    """``within_s``: real seconds in which all tap. ``database_url``: PostgreSQL instead of SQLite."""

    orders: int = 1000
    within_s: float = 1.0
    workers: int = 2
    seed: int = 1
    database_url: str = ""
    folder: Path | None = None


@dataclass(slots=True)
class Outcome:
    """What came of it. Times in milliseconds from the tap; ``cpu_s`` by part of the server."""

    options: Options
    accepted: int = 0
    credentials: int = 0
    paid: int = 0
    tapped_within_s: float = 0.0
    accepted_ms: Durations = field(default_factory=Durations)
    credential_ms: Durations = field(default_factory=Durations)
    paid_ms: Durations = field(default_factory=Durations)
    refusals: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    cpu_s: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What should not have happened."""
        found = [f"books: {finding.rule}" for finding in self.findings if not finding.is_ok]
        wanted = self.options.orders
        for name, count in (("accepted", self.accepted), ("given a credential", self.credentials), ("paid", self.paid)):
            if count != wanted:
                found.append(f"{wanted - count} of {wanted} orders were not {name}")
        return found

    def text(self) -> str:
        """The report, as printed."""
        lines = [
            f"{self.options.orders} orders, each with a payment, tapped within {self.tapped_within_s:.2f} s; "
            f"{self.options.workers} web workers, {'PostgreSQL' if self.options.database_url else 'SQLite'}",
            f"accepted {self.accepted}, with a credential {self.credentials}, paid {self.paid}, "
            f"taps repeated {self.repeats}",
            "",
            "ms from the tap          n      p50      p95      p99      max",
        ]
        for name, durations in (
            ("accepted", self.accepted_ms),
            ("credential there", self.credential_ms),
            ("paid", self.paid_ms),
        ):
            one = durations.summary()
            lines.append(
                f"{name:20} {one['n']:6.0f} {one['p50']:8.0f} {one['p95']:8.0f} {one['p99']:8.0f} {one['max']:8.0f}"
            )
        lines += ["", "CPU ms per payment, by part of the server"]
        for role, cpu_s in sorted(self.cpu_s.items()):
            lines.append(f"{role:12} {1000 * cpu_s / max(1, self.paid):8.2f}")
        lines.append(f"{'all':12} {1000 * sum(self.cpu_s.values()) / max(1, self.paid):8.2f}")
        lines += [f"refused: {count} x {text}" for text, count in self.refusals.most_common(10)]
        lines.append("")
        lines += [finding.line() for finding in self.findings]
        return "\n".join(lines)


async def burst(options: Options) -> Outcome:
    """Prepare a server, let everybody tap, wait until all is paid or lost, and check the books."""
    folder = new_folder("payments", options.folder)
    extra = {"DATABASE_URL": options.database_url} if options.database_url else {}
    noon = time.strftime("%Y-%m-%dT12:00:00+08:00")
    server = OwnServer(folder, 1.0, noon, options.workers, extra)
    plan = server.prepare(None, "Burst campus", students=options.orders, runners=1, operators=1)
    await server.start()
    outcome = Outcome(options)
    try:
        async with open_session(most=2 * options.orders + 100) as session:
            house = House(session, server.url, plan, await server_clock(session, server.url, plan.campus_id))
            found = await campus_places(session, server.url, plan.campus_id)
            places = [Place(each["id"], Point(each["lat"], each["lon"])) for each in found]
            students = [Member(house, who) for who in plan.of_role("student")]
            print(f"{len(students)} students sign in …", flush=True)
            await in_turn(students, Member.sign_in, SIGN_INS_AT_ONCE)
            before = await cpu_by_role(session, server.processes_url)
            await _tap(outcome, students, places, Random(options.seed))
            after = await cpu_by_role(session, server.processes_url)
            outcome.cpu_s = {role: after[role] - before.get(role, 0.0) for role in after}
    finally:
        await server.stop()
    outcome.findings = check(folder, options.database_url)
    return outcome


async def _tap(outcome: Outcome, students: list[Member], places: list[Place], luck: Random) -> None:
    errands = [draw_errand(places, luck) for _ in students]
    totals: dict[int, int] = {}

    async def quote(index: int) -> None:
        answer = await students[index].call("quote", "POST", "/quotes", errands[index])
        if answer.is_ok:
            totals[index] = answer.body["total_fen"]
        else:
            outcome.refusals[f"quote {answer.status} {answer.code}"] += 1

    await in_turn(list(range(len(students))), quote, SIGN_INS_AT_ONCE)
    print(f"{len(totals)} know the price; all tap …", flush=True)
    loop = asyncio.get_running_loop()
    began_s = loop.time() + 0.5

    async def one(index: int, at_s: float) -> float:
        await asyncio.sleep(max(0.0, at_s - loop.time()))
        tapped_s = loop.time()
        body = {**errands[index], "description": "午饭高峰", "expected_total_fen": totals[index], "channel": "sandbox"}
        await _order_and_pay(outcome, students[index], body, f"burst-{index}")
        return tapped_s

    within_s = outcome.options.within_s
    taps = [one(index, began_s + luck.random() * within_s) for index in totals]
    if tapped := await asyncio.gather(*taps):
        outcome.tapped_within_s = max(tapped) - min(tapped)


async def _order_and_pay(outcome: Outcome, student: Member, body: dict[str, Any], key: str) -> None:
    tapped_s = time.perf_counter()

    def passed_ms() -> float:
        return 1000 * (time.perf_counter() - tapped_s)

    answer = await _placed(outcome, student, body, key)
    if answer is None:
        return
    outcome.accepted += 1
    outcome.accepted_ms.add(passed_ms())
    order = answer.body

    async def looked(is_there: Callable[[Any], bool]) -> Any:
        seen = order
        while not is_there(seen):
            if passed_ms() > 1000 * LOST_AFTER_S:
                return None
            await asyncio.sleep(ASK_EVERY_S)
            again = await student.call("order", "GET", f"/orders/{order['id']}")
            seen = again.body if again.is_ok else seen
        return seen

    payable = await looked(lambda seen: bool((seen.get("payment") or {}).get("credential")))
    if payable is None:
        return
    outcome.credentials += 1
    outcome.credential_ms.add(passed_ms())
    token = payable["payment"]["credential"]["token"]
    await student.call("sandbox_pay", "POST", "/sandbox/pay", {"token": token, "outcome": "ok"})
    if await looked(lambda seen: seen["status"] != "awaiting_payment") is not None:
        outcome.paid += 1
        outcome.paid_ms.add(passed_ms())


async def _placed(outcome: Outcome, student: Member, body: dict[str, Any], key: str) -> Answer | None:
    for tap in range(MOST_TAPS):
        answer = await student.call("place", "POST", "/orders", body, key=key)
        if answer.is_ok:
            return answer
        outcome.refusals[f"{answer.status} {answer.code}"] += 1
        if answer.status not in (0, 429, 503):
            return None
        outcome.repeats += 1
        await asyncio.sleep(min(5.0, 0.25 * 2**tap))
    return None


async def in_turn(things: list[Any], do: Callable[[Any], Awaitable[Any]], at_once: int) -> None:
    """Do it to all, so many at once."""
    gate = asyncio.Semaphore(at_once)

    async def one(thing: Any) -> None:
        async with gate:
            await do(thing)

    await asyncio.gather(*(one(thing) for thing in things))


async def cpu_by_role(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    """CPU seconds so far of each part of the server."""
    used: Counter[str] = Counter()
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(url) as response:
            for row in await response.json(content_type=None):
                used[str(row["role"])] += float(row["cpu_s"])
    return dict(used)
