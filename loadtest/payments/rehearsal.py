"""Payments over two providers of which the first is in trouble: who waits, who can pay, and who does not get through.

The server is one of its own, its two channels are simulated providers in processes of their own. Students order over a
while, as they do at noon; each pays what the page shows, at whichever provider it is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from ..api_client import open_session, server_clock
from ..books import Books
from ..own_server import OwnServer, new_folder
from .providers import Provider
from .shopper import Shoppers, Tally, arrive, look_around

MAIN, SPARE = "wechat_main", "wechat_spare"
LOST_AFTER_S = 60.0

#: What is wrong with the first provider, and what of it must hold.
TROUBLES: dict[str, tuple[dict[str, Any], ...]] = {
    "well": (),
    "stalled": ({"fault": "delay", "operation": "create", "value": "5000"},),
    "failing": ({"fault": "error", "operation": "create", "probability": 0.23},),
}
#: 95 of 100 students have something to pay with after so many milliseconds, whatever the first provider does.
CREDENTIAL_P95_MS = 2000.0
#: So many of a hundred payments may not come about while 23 of 100 calls of the first provider fail.
FAILED_PERCENT = 1.0
#: So many payments, or so many of a hundred, may wait in vain for a provider that stalls, until its breaker opens and
#: when it is tried again.
WAITED, WAITED_PERCENT = 30, 15.0


@dataclass(frozen=True, slots=True)
class Options:
    """``orders`` come within ``over_s`` real seconds."""

    trouble: str
    orders: int = 300
    over_s: float = 60.0
    workers: int = 2
    seed: int = 1
    folder: Path | None = None


@dataclass(slots=True)
class Outcome:
    """What came of it. ``charged``: how often each order was charged at all providers together, less what they gave
    back, by the number of orders. ``tried``: payments for which the first provider was asked; ``in_vain``: those of
    them for which it made no credential, which without a second provider would have failed."""

    options: Options
    tally: Tally = field(default_factory=Tally)
    charged: dict[int, int] = field(default_factory=dict)
    tried: int = 0
    in_vain: int = 0

    @property
    def failed_percent(self) -> float:
        """Orders of a hundred that were not paid."""
        return 100 * (1 - self.tally.paid / self.options.orders)

    @property
    def alone_percent(self) -> float:
        """Payments of a hundred that fail where the first provider is the only one: of those for which it was asked."""
        return 100 * self.in_vain / self.tried if self.tried else 0.0

    def compared(self) -> str:
        """What failover is worth, in words."""
        with_it, alone = self.failed_percent, self.alone_percent
        less = f", {alone / with_it:.1f} times less" if with_it else ", none" if alone else ""
        return (
            f"the first provider alone: {alone:.2f} % not paid ({self.in_vain} of {self.tried} asked for); "
            f"with failover: {with_it:.2f} %{less}"
        )

    def faults(self) -> list[str]:
        """What should not have happened."""
        found = []
        p95 = self.tally.credential_ms.percentile(0.95)
        if p95 > CREDENTIAL_P95_MS:
            found.append(f"95 % have a credential only after {p95:.0f} ms, not {CREDENTIAL_P95_MS:.0f}")
        if self.failed_percent > FAILED_PERCENT:
            found.append(f"{self.failed_percent:.1f} % of the payments failed")
        if self.options.trouble == "stalled" and self.in_vain > max(WAITED, WAITED_PERCENT * self.options.orders / 100):
            found.append(f"{self.in_vain} payments waited in vain for a provider whose breaker should have been open")
        twice = {times: orders for times, orders in self.charged.items() if times > 1}
        return found + [f"{orders} orders were charged {times} times for good" for times, orders in twice.items()]

    def text(self) -> str:
        """The report, as printed."""
        by = ", ".join(f"{name} {count}" for name, count in sorted(self.tally.channels.items()))
        return "\n".join(
            [
                f"== {self.options.trouble}: {self.options.orders} orders in {self.options.over_s:.0f} s",
                f"paid {self.tally.paid}, not paid {self.failed_percent:.2f} %; shown by channel: {by}",
                self.compared(),
                *self.tally.lines(),
                "charged for good: " + ", ".join(f"{n} orders {t} times" for t, n in sorted(self.charged.items())),
            ]
        )


async def rehearse(options: Options) -> Outcome:
    """Start providers and server, let the trouble begin, and see."""
    folder = new_folder("rehearsal", options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    providers = {code: Provider(code, folder, students=0.0) for code in (MAIN, SPARE)}
    outcome = Outcome(options)
    server: OwnServer | None = None
    try:
        for provider in providers.values():
            await provider.start()
        server = server_with(folder, providers, options.workers)
        plan = server.prepare(None, "Rehearsal campus", students=options.orders, runners=1, operators=1)
        await server.start()
        async with open_session(most=2 * options.orders + 100) as session:
            clock = await server_clock(session, server.url, plan.campus_id)
            for provider in providers.values():
                await provider.set_calendar(session, clock.now_ms())
            for fault in TROUBLES[options.trouble]:
                await providers[MAIN].add_fault(session, fault)
            await _shop(outcome, session, server, plan, providers)
            outcome.charged = await charged(session, list(providers.values()))
        with Books(server.folder, has_bank=False) as books:
            first = [str(attempt["state"]) for attempt in books.attempts() if attempt["channel"] == MAIN]
        outcome.tried, outcome.in_vain = len(first), sum(state in ("abandoned", "refused") for state in first)
    finally:
        if server is not None:
            await server.stop()
        for provider in providers.values():
            await provider.stop()
    return outcome


def server_with(folder: Path, providers: Mapping[str, Provider], workers: int, **extra: str) -> OwnServer:
    """A server whose channels are these providers, in this order."""
    server = OwnServer(folder / "server", 1.0, time.strftime("%Y-%m-%dT12:00:00+08:00"), workers)
    told = {"PAYMENTS_ENVIRONMENT": "simulator", "PAYMENTS_CHANNELS": ",".join(providers)}
    for provider in providers.values():
        told |= provider.settings(f"{server.url}/api/v1/payments/callbacks")
    server.extra = told | extra
    return server


async def _shop(
    outcome: Outcome, session: aiohttp.ClientSession, server: OwnServer, plan: Any, providers: Mapping[str, Provider]
) -> None:
    options, luck = outcome.options, Random(outcome.options.seed)
    house, places = await look_around(session, server, plan)
    members = await arrive(house, plan)
    shoppers = Shoppers(members, outcome.tally, wallet_at(session, list(providers.values())), "", LOST_AFTER_S)
    await shoppers.ask_prices(places, luck)
    print(f"{options.trouble}: {options.orders} students order within {options.over_s:.0f} s …", flush=True)
    await shoppers.tap(options.over_s, luck)


def wallet_at(session: aiohttp.ClientSession, providers: list[Provider]) -> Any:
    """The phone: knows the order by the code that is shown, and pays it at whichever provider made it."""

    async def pay(credential: Mapping[str, Any]) -> bool:
        token = str(credential.get("code_url", "")).rpartition("pr=")[2]
        for provider in providers:
            try:
                async with session.post(f"{provider.url}/pay/{token}", json={"how": "pay"}) as response:
                    if response.status == 200:
                        return True
            except (aiohttp.ClientError, TimeoutError):
                continue
        return False

    return pay


async def charged(session: aiohttp.ClientSession, providers: list[Provider]) -> dict[int, int]:
    """How many orders were charged how often for good, by the providers' own books: an order's numbers at all of them
    differ only in the attempt behind them."""
    times: dict[str, int] = {}
    for provider in providers:
        for order in await provider.books(session):
            kept = order["times_charged"] if order["paid_fen"] > order["refunded_fen"] else 0
            times[order["number"][:26]] = times.get(order["number"][:26], 0) + kept
    return {n: sum(each == n for each in times.values()) for n in sorted(set(times.values()))}
