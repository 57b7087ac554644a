"""A thousand students order in the same second, each with a payment: what is accepted, how fast, and what it costs.

The server is one of its own. Every student places one order, at a moment drawn within the second; placing is the tap.
The page that shows the payment asks twice a second until there is something to pay with, as the real one does when the
hub is not heard; then the student pays, and the page asks until the order is paid. Afterwards the server's books are
read by the checker, which shares no code with it.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from ..api_client import open_session
from ..check import Finding, check
from ..own_server import OwnServer, new_folder
from .shopper import Shoppers, Tally, arrive, look_around

#: Real seconds after which an order that is not paid counts as lost.
LOST_AFTER_S = 120.0


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
    """What came of it; ``cpu_s`` by part of the server."""

    options: Options
    tally: Tally = field(default_factory=Tally)
    tapped_within_s: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What should not have happened."""
        found = [f"books: {finding.rule}" for finding in self.findings if not finding.is_ok]
        wanted, tally = self.options.orders, self.tally
        counts = (("accepted", tally.accepted), ("given a credential", tally.credentials), ("paid", tally.paid))
        return found + [f"{wanted - n} of {wanted} orders were not {name}" for name, n in counts if n != wanted]

    def text(self) -> str:
        """The report, as printed."""
        tally = self.tally
        lines = [
            f"{self.options.orders} orders, each with a payment, tapped within {self.tapped_within_s:.2f} s; "
            f"{self.options.workers} web workers, {'PostgreSQL' if self.options.database_url else 'SQLite'}",
            f"accepted {tally.accepted}, with a credential {tally.credentials}, paid {tally.paid}, "
            f"taps repeated {tally.repeats}",
            "",
            *tally.lines(),
            "",
        ]
        each = max(1, tally.paid)
        lines.append(f"CPU ms per payment, by part of the server; its page asked {tally.asks / each:.1f} times")
        lines += [f"{role:12} {1000 * used_s / each:8.2f}" for role, used_s in sorted(self.cpu_s.items())]
        lines += [f"{'all':12} {1000 * sum(self.cpu_s.values()) / each:8.2f}", ""]
        return "\n".join(lines + [finding.line() for finding in self.findings])


async def burst(options: Options) -> Outcome:
    """Prepare a server, let everybody tap, wait until all is paid or lost, and check the books."""
    folder = new_folder("payments", options.folder)
    extra = {"DATABASE_URL": options.database_url} if options.database_url else {}
    noon = time.strftime("%Y-%m-%dT12:00:00+08:00")
    server = OwnServer(folder, 1.0, noon, options.workers, extra)
    plan = server.prepare(None, "Burst campus", students=options.orders, runners=1, operators=1)
    await server.start()
    outcome, luck = Outcome(options), Random(options.seed)
    try:
        async with open_session(most=2 * options.orders + 100) as session:
            house, places = await look_around(session, server, plan)
            print(f"{options.orders} students sign in …", flush=True)
            members = await arrive(house, plan)

            async def wallet(credential: Mapping[str, Any]) -> bool:
                body = {"token": credential["token"], "outcome": "ok"}
                return (await members[0].call("sandbox_pay", "POST", "/sandbox/pay", body)).is_ok

            shoppers = Shoppers(members, outcome.tally, wallet, "sandbox", LOST_AFTER_S)
            await shoppers.ask_prices(places, luck)
            print("everybody knows the price; all tap …", flush=True)
            before = await cpu_by_role(session, server.processes_url)
            outcome.tapped_within_s = await shoppers.tap(options.within_s, luck)
            after = await cpu_by_role(session, server.processes_url)
            outcome.cpu_s = {role: after[role] - before.get(role, 0.0) for role in after}
    finally:
        await server.stop()
    outcome.findings = check(folder, options.database_url)
    return outcome


async def cpu_by_role(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    """CPU seconds so far of each part of the server."""
    used: defaultdict[str, float] = defaultdict(float)
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(url) as response:
            for row in await response.json(content_type=None):
                used[str(row["role"])] += float(row["cpu_s"])
    return dict(used)
