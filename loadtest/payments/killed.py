"""Payments while providers fail at random and the server is killed every few seconds: are both sides' books the same?

Students order and pay over two simulated providers that delay, drop, fail and call back wrongly; some of them change
the channel and pay both codes, some cancel before or after paying. All processes of the server are killed at once,
again and again, and started anew; so are single ones of them, and the providers. When nobody orders any more the
providers are mended, and once everything has come to rest the books are compared order by order: what a provider kept
of each of its orders, and what the server believes of it. The server's own books are read by the checker.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from ..api_client import open_session, server_clock
from ..books import Books
from ..check import Finding, check
from ..own_server import OwnServer, new_folder
from .habits import Habits
from .killing import Killing
from .providers import Provider
from .rehearsal import MAIN, SPARE, server_with, wallet_at
from .shopper import Shoppers, Tally, arrive, look_around

LOST_AFTER_S = 60.0
REST_S = 180.0
MOST_SHOWN = 10

FAULTS: tuple[dict[str, Any], ...] = (
    {"fault": "delay", "operation": "create", "probability": 0.1, "value": "1500"},
    {"fault": "delay_after", "operation": "create", "probability": 0.05, "value": "1500"},
    {"fault": "drop_before", "probability": 0.03},
    {"fault": "drop_after", "probability": 0.05},
    {"fault": "error", "probability": 0.05},
    {"fault": "error_after", "probability": 0.03},
    {"fault": "no_effect", "operation": "close", "probability": 0.3},
    {"fault": "absent", "operation": "query", "probability": 0.05},
    {"fault": "pay_before_close", "probability": 0.3},
    {"fault": "pays_closed", "probability": 0.5},
    {"fault": "refund_pending", "probability": 0.2, "value": "20"},
    {"fault": "notice_lost", "probability": 0.3},
    {"fault": "notice_doubled", "probability": 0.2},
    {"fault": "notice_reordered", "probability": 0.1},
)


#: Most pay what they are shown; the others go the ways on which money could be taken twice or be lost.
HABITS = Habits({"change": 0.1, "both": 0.1, "give_up": 0.05, "regret": 0.1}, tries=2)

#: What a provider must have kept of an attempt that the server believes to be so; of all others nothing.
RELEASED = "paid, released"
_BELIEVED = {"paid": "kept", RELEASED: "given back", "refunded": "given back", "paid_duplicate": "given back"}
#: Once everything is at rest nothing is left in these: the provider answers, and its answer ends them.
_UNSETTLED = ("creating", "closing", "unknown")


@dataclass(frozen=True, slots=True)
class Options:
    """``orders`` come within ``over_s`` real seconds."""

    orders: int = 1000
    over_s: float = 180.0
    workers: int = 2
    seed: int = 1
    database_url: str = ""
    folder: Path | None = None


@dataclass(slots=True)
class Outcome:
    """What came of it. ``standing``: (what the provider kept, what the server believes) → attempts; ``charged``: how
    often an order was charged for good → orders."""

    options: Options
    tally: Tally = field(default_factory=Tally)
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    rest_s: float = 0.0
    standing: Counter[tuple[str, str]] = field(default_factory=Counter)
    charged: Counter[int] = field(default_factory=Counter)
    given_back: int = 0
    differences: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What should not have happened."""
        return self.differences + [f"{each.rule}: {fault}" for each in self.findings for fault in each.faults]

    def compare(
        self,
        theirs: Mapping[str, Mapping[str, Any]],
        attempts: Mapping[str, Mapping[str, Any]],
        under_way: Container[str],
        intents: Mapping[str, str] | None = None,
    ) -> None:
        """Order by order, in both directions; ``theirs`` and ``attempts`` by the number that both know it by;
        ``intents``: how the money of each is held."""
        held = intents or {}
        self.standing, self.charged, self.differences = Counter(), Counter(), []
        self.given_back = sum(row["state"] == "refunded" for row in attempts.values())
        kept: defaultdict[str, int] = defaultdict(int)
        for number in sorted(theirs.keys() | attempts.keys()):
            attempt = attempts.get(number)
            if attempt is None:
                self.differences.append(f"{number}: the provider has it, the server never made it")
                continue
            standing, state = kept_of(theirs.get(number), int(attempt["amount_fen"])), str(attempt["state"])
            if state == "paid" and held.get(str(attempt["intent_id"])) == "released":
                state = RELEASED
            self.standing[standing, state] += 1
            kept[str(attempt["intent_id"])] += standing == "kept"
            if _BELIEVED.get(state, "nothing") != standing or state in _UNSETTLED:
                more = ", under way" if number in under_way else ""
                self.differences.append(f"{number}: the provider {standing}, the server {state}{more}")
        for intent_id in sorted(kept.keys() | held.keys()):
            self.charged[kept[intent_id]] += 1
            if kept[intent_id] > 1:
                self.differences.append(f"{intent_id}: charged {kept[intent_id]} times")

    def text(self) -> str:
        """The report, as printed."""
        where = "PostgreSQL" if self.options.database_url else "SQLite"
        rows = [f"  {theirs:22} {ours:16} {count:6}" for (theirs, ours), count in sorted(self.standing.items())]
        return "\n".join(
            [
                f"== killed: {self.options.orders} orders in {self.options.over_s:.0f} s on {where}, seed "
                f"{self.options.seed}; {self.seconds:.0f} s, the last {self.rest_s:.0f} s at rest",
                "kill -9: " + ", ".join(f"{victim} {count} times" for victim, count in sorted(self.kills.items())),
                f"accepted {self.tally.accepted}, with a credential {self.tally.credentials}, "
                f"paid while the student waited {self.tally.paid}",
                "attempts: what the provider kept, what the server believes",
                *rows,
                f"second payments given back: {self.given_back}",
                "charged for good: " + ", ".join(f"{n} orders {t} times" for t, n in sorted(self.charged.items())),
                f"differences between the books: {len(self.differences)}",
                *(f"  {each}" for each in self.differences[:MOST_SHOWN]),
                *(finding.line() for finding in self.findings),
            ]
        )


async def kill_and_compare(options: Options) -> Outcome:
    """The whole of it."""
    folder = new_folder("killed", options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    providers = {code: Provider(code, folder, students=0.0) for code in (MAIN, SPARE)}
    outcome, began_s = Outcome(options), time.monotonic()
    server: OwnServer | None = None
    try:
        for provider in providers.values():
            await provider.start()
        extra = {"DATABASE_URL": options.database_url} if options.database_url else {}
        server = server_with(folder, providers, options.workers, **extra)
        plan = server.prepare(None, "Killed campus", students=options.orders, runners=1, operators=1)
        await server.start()
        async with open_session(most=2 * options.orders + 100) as session:
            clock = await server_clock(session, server.url, plan.campus_id)
            for provider in providers.values():
                await provider.set_calendar(session, clock.now_ms())
            await _shop(outcome, session, server, plan, list(providers.values()))
            for provider in providers.values():
                await provider.mend(session)
            await _come_to_rest(outcome, session, server, list(providers.values()))
            await server.stop()
            await _compare(outcome, session, server, list(providers.values()))
    finally:
        outcome.seconds = time.monotonic() - began_s
        if server is not None:
            await server.stop()
        for provider in providers.values():
            await provider.stop()
    return outcome


async def _shop(
    outcome: Outcome, session: aiohttp.ClientSession, server: OwnServer, plan: Any, providers: list[Provider]
) -> None:
    options, luck = outcome.options, Random(outcome.options.seed)
    house, places = await look_around(session, server, plan)
    members = await arrive(house, plan)
    shoppers = Shoppers(members, outcome.tally, wallet_at(session, providers), "", LOST_AFTER_S, HABITS)
    await shoppers.ask_prices(places, luck)
    for provider in providers:
        for fault in FAULTS:
            await provider.add_fault(session, fault)
    print(f"{options.orders} students order within {options.over_s:.0f} s; the server is killed …", flush=True)
    killing = Killing(session, server, providers, Random(options.seed + 1))
    going_on = asyncio.create_task(killing.go_on())
    try:
        await shoppers.tap(options.over_s, luck)
    finally:
        outcome.kills = killing.kills
        was_broken = going_on.done()
        going_on.cancel()
        await asyncio.gather(going_on, return_exceptions=not was_broken)
    await killing.put_right()


async def _come_to_rest(
    outcome: Outcome, session: aiohttp.ClientSession, server: OwnServer, providers: list[Provider]
) -> None:
    """Wait until the books agree, or until it is certain enough that they never will."""
    print("nobody orders any more, the providers are mended; the books come to rest …", flush=True)
    began_s = time.monotonic()
    while time.monotonic() - began_s < REST_S:
        await _compare(outcome, session, server, providers)
        if not outcome.faults():
            break
        await asyncio.sleep(2.0)
    outcome.rest_s = time.monotonic() - began_s


async def _compare(
    outcome: Outcome, session: aiohttp.ClientSession, server: OwnServer, providers: list[Provider]
) -> None:
    """Order by order, in both directions."""
    theirs: dict[str, dict[str, Any]] = {}
    for provider in providers:
        theirs |= {order["number"]: order for order in await provider.books(session)}
    database_url = outcome.options.database_url
    folder = None if database_url else server.folder
    with Books(folder, database_url, has_bank=False) as books:
        attempts = {str(row["id"]): row for row in books.attempts()}
        intents = {str(row["id"]): str(row["hold_state"]) for row in books.intents()}
        under_way = books.instructions_under_way()
    outcome.compare(theirs, attempts, under_way, intents)
    outcome.findings = check(folder, database_url, has_bank=False)


def kept_of(order: Mapping[str, Any] | None, amount_fen: int) -> str:
    """What a provider has of an order for good, in words; "nothing", "kept" and "given back" are as they should be."""
    if order is None or not order["times_charged"]:
        return "nothing"
    if order["times_charged"] > 1 or order["paid_fen"] != amount_fen:
        return f"charged {order['times_charged']} times, {order['paid_fen']} of {amount_fen} fen"
    return "given back" if order["refunded_fen"] == order["paid_fen"] else "kept"
