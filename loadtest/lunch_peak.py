"""The lunch peak: a profile's students, runners and operators against a server, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from .actors.protocol import Call
from .api_client import ApiClient, campus_places, open_session, server_clock
from .asyncio_driver import World
from .books import Books
from .check import Finding, check
from .crowd import Crowd, Pace
from .eta_watch import Check, EtaWatch
from .figures import Figures, Usage
from .own_server import OwnServer, new_folder
from .people import PROFILES, PlanFile, Profile, read_plan
from .waiting import until

LUNCH = "11:00:00+08:00"
USAGE_EVERY_S = 2.0
#: Business seconds that the people have to finish what was ordered.
DRAIN_S = 2700.0
#: Real seconds that a later day is given to bring all that is due to its end.
SETTLE_REAL_S = 60.0
SIGN_IN_S = 120.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for; ``url`` empty: a server of its own; no ``campus``: the made-up one."""

    profile: Profile
    minutes: float
    time_scale: float
    url: str = ""
    plan: Path | None = None
    campus: Path | None = None
    folder: Path | None = None
    processes_url: str = ""
    seed: int = 1
    is_settled: bool = True
    #: The campus gives every student a coupon for the first order of the day.
    has_coupons: bool = False


@dataclass(slots=True)
class Outcome:
    """Everything that the report is made of."""

    options: Options
    figures: Figures
    holes: dict[str, int]
    real_s: float
    business_s: float
    findings: list[Finding]
    folder: Path | None
    arrivals: EtaWatch = field(default_factory=EtaWatch)

    def checks(self) -> list[Check]:
        """Figures that must keep to bounds. Chance has a part in them: they are no faults."""
        return [self.arrivals.check(self.figures.delivered_at_ms)]

    def faults(self) -> list[str]:
        """What should not have happened; nothing when all is well. A new epoch of a topic is a restart, no hole."""
        found = [f"books: {finding.rule}" for finding in self.findings if not finding.is_ok]
        found += [
            f"topics: {n} {name.replace('_', ' ')}" for name, n in self.holes.items() if n and name != "new_epochs"
        ]
        if errors := self.figures.errors.total():
            found.append(f"{errors} errors that were not expected")
        if self.figures.counts["wishes"] and not self.figures.counts["placed"]:
            found.append("nobody who wished for something could order it")
        return found


def lunch_pace(profile: Profile, length_s: float) -> Pace:
    """Orders per hour over the peak: up, an hour's rate on the plateau with one minute of burst, and down."""

    def pace(passed_s: float) -> float:
        share = passed_s / length_s
        if share >= 0.55 and passed_s < 0.55 * length_s + 60:
            return profile.burst_per_min * 60
        if share < 0.15:
            return profile.orders_per_hour * (0.3 + 0.7 * share / 0.15)
        if share > 0.85:
            return profile.orders_per_hour * max(0.1, (1 - share) / 0.15)
        return float(profile.orders_per_hour)

    return pace


async def lunch_peak(options: Options) -> Outcome:
    """Run the peak; with a server of its own also the day after, and the check of its books."""
    figures, arrivals = Figures(time.perf_counter), EtaWatch()
    if options.url:
        if options.plan is None:
            raise ValueError("--url needs --plan: the accounts that `dispatch load-accounts` made there")
        plan = read_plan(options.plan)
        holes, real_s, business_s = await run_peak(options, options.url, options.processes_url, plan, figures, arrivals)
        return Outcome(options, figures, holes, real_s, business_s, [], None, arrivals)
    folder = new_folder("lunch", options.folder)
    server = OwnServer(folder, options.time_scale, _day(0))
    counts = options.profile
    plan = server.prepare(
        options.campus,
        "Lunch peak campus",
        students=counts.students,
        runners=counts.runners,
        operators=counts.operators,
    )
    await server.start()
    try:
        holes, real_s, business_s = await run_peak(options, server.url, server.processes_url, plan, figures, arrivals)
    finally:
        await server.stop()
    if options.is_settled:
        await _settle(server)
    findings = check(folder)
    return Outcome(options, figures, holes, real_s, business_s, findings, folder, arrivals)


def _day(later: int) -> str:
    date = time.strftime("%Y-%m-%d", time.localtime(time.time() + later * 86_400))
    return f"{date}T{LUNCH}"


async def run_peak(
    options: Options, url: str, processes_url: str, plan: PlanFile, figures: Figures, arrivals: EtaWatch
) -> tuple[dict[str, int], float, float]:
    """Holes in topics, real seconds, business seconds."""
    luck = Random(options.seed)
    figures.begin()
    async with open_session() as session, _usage(session, processes_url, figures):
        clock = await server_clock(session, url, plan.campus_id)
        onlooker = ApiClient(session, url, plan.campus_id, plan.of_role("operator")[0], plan.password, figures)
        places = await campus_places(session, url, plan.campus_id)
        if options.has_coupons:
            await give_coupons(onlooker)
        world = World(session, url, plan, clock, figures)
        crowd = Crowd(world, plan, options.profile, places, luck)
        began_s, began_ms = time.perf_counter(), clock.now_ms()
        crowd.start()
        looking = asyncio.create_task(arrivals.run(onlooker, clock))
        try:
            await _signed_in(crowd)
            length_s = options.minutes * 60 * clock.rate
            print(f"{len(crowd.runners)} runners, {len(crowd.students)} students; orders begin …", flush=True)
            await crowd.wish(lunch_pace(options.profile, length_s), length_s)
            print("no more orders; what was ordered is carried out …", flush=True)
            await crowd.drain(DRAIN_S)
            return crowd.holes(), time.perf_counter() - began_s, (clock.now_ms() - began_ms) / 1000
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await crowd.stop()


async def give_coupons(operator: ApiClient) -> None:
    """Have every order paid today count as one of a quiet hour; raises ValueError where the server does not."""
    await operator.sign_in()
    rules = await operator.call(Call("coupon_rules", "GET", "/money/coupons"))
    version = rules.body["version"] if rules.is_ok else 0
    whole_day = {"is_on": True, "start": "00:00", "end": "23:59", "daily_fen": 10_000_000}
    wish = {"version": version, "off_peak": whole_day}
    answer = await operator.call(Call("coupon_rules", "PATCH", "/coupon-rules", wish))
    if not answer.is_ok:
        raise ValueError(f"the server gives no coupons: {answer.status} {answer.code}")


async def _signed_in(crowd: Crowd) -> None:
    """Wait until everybody is there, so that the peak does not begin with nobody to order or to carry."""

    def is_everybody_in() -> bool:
        return all(each.state is not None for each in crowd.runners) and all(
            each.state is not None for each in crowd.students
        )

    await until(is_everybody_in, SIGN_IN_S)


@contextlib.asynccontextmanager
async def _usage(session: aiohttp.ClientSession, url: str, figures: Figures) -> AsyncIterator[None]:
    """Read what the server's processes use while the block runs."""

    async def read() -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
                async with session.get(url) as response:
                    rows: list[dict[str, Any]] = await response.json(content_type=None)
                at_s = figures.watch() - figures.started_s
                for row in rows:
                    rss = int(row.get("rss", row.get("rss_bytes", 0)))
                    figures.usage.append(Usage(at_s, str(row["role"]), int(row["pid"]), float(row["cpu_s"]), rss))
            await asyncio.sleep(USAGE_EVERY_S)

    task = asyncio.create_task(read()) if url else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _settle(server: OwnServer) -> None:
    """Start the same server on later days: what was delivered is confirmed after one, and settled after another."""
    for day, statuses in ((2, ("delivered", "cancelled")), (4, ("confirmed", "cancelled"))):
        print(f"{day} days later …", flush=True)
        server.time_start = _day(day)
        await server.start()
        try:
            await until(partial(_none_of, server.folder, statuses), SETTLE_REAL_S, 1.0)
        finally:
            await server.stop()


def _none_of(folder: Path, statuses: tuple[str, ...]) -> bool:
    """Whether no order is in one of these states."""
    with Books(folder) as books:
        return not any(order["status"] in statuses for order in books.orders())


def profile_of(name: str) -> Profile:
    """Raises ValueError that lists the profiles."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(f"no profile {name!r}: there are {', '.join(PROFILES)}") from None
