"""Arrival ranges as people were told them, beside when the errands were done: how many fell within."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple

from .actors.protocol import Call
from .api_client import ApiClient
from .server_clock import ServerClock

#: Business seconds between two looks.
EVERY_S = 60.0
MOST_ORDERS, MOST_PER_ORDER = 20_000, 180
#: The middle of the range lies so many seconds ahead.
HORIZONS_S = (300.0, 600.0, 1_200.0)
_LIVE = ("assigned", "carrying")
_THIRDS = ("first", "second", "last")
#: The share of arrivals that has to lie within the 80 % range.
LEAST_COVERED, MOST_COVERED = 0.75, 0.85
#: Of fewer predictions the share says nothing.
LEAST_PREDICTIONS = 300
#: Business milliseconds at which an order was delivered; 0: it was not.
DeliveredAt = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of one order at one moment; business milliseconds."""

    now_ms: int
    status: str
    from_ms: int
    at_ms: int
    to_ms: int
    is_doubtful: bool

    @property
    def ahead_s(self) -> float:
        """Until the middle of the range."""
        return (self.at_ms - self.now_ms) / 1000


class Promise(NamedTuple):
    """Made at ``placed_ms``, kept until ``until_ms``; business milliseconds."""

    placed_ms: int
    until_ms: int


class Check(NamedTuple):
    """A share with the bounds that it must keep to; None: not measured."""

    what: str
    share: float | None
    least: float
    most: float
    of: int

    @property
    def verdict(self) -> str:
        if self.share is None:
            return "not measured"
        return "ok" if self.least <= self.share <= self.most else "misses"

    def row(self) -> list[str]:
        """Under ``CHECK_HEAD``."""
        share = "-" if self.share is None else f"{100 * self.share:.1f} %"
        return [self.what, str(self.of), share, f"{100 * self.least:.0f}–{100 * self.most:.0f} %", self.verdict]


@dataclass(slots=True)
class EtaWatch:
    """Every range that a console was told, by order."""

    told: OrderedDict[str, list[Told]] = field(default_factory=OrderedDict)
    promised: dict[str, Promise] = field(default_factory=dict)

    def see(self, console: Mapping[str, Any]) -> None:
        """Take in one answer of the console."""
        for order in console["orders"]:
            eta = order.get("eta")
            if eta is None or order["status"] not in _LIVE:
                continue
            self.promised[order["id"]] = Promise(order["placed_at_ms"], order["promised_at_ms"])
            told = self.told.setdefault(order["id"], [])
            if len(told) < MOST_PER_ORDER:
                doubtful = {"stale_position", "off_route", "low_confidence"} & set(eta["warnings"])
                told.append(
                    Told(console["now_ms"], order["status"], eta["from_ms"], eta["at_ms"], eta["to_ms"], bool(doubtful))
                )
        while len(self.told) > MOST_ORDERS:
            self.promised.pop(self.told.popitem(last=False)[0], None)

    async def run(self, api: ApiClient, clock: ServerClock) -> None:
        """Look once a business minute until cancelled."""
        await api.sign_in()
        while True:
            answer = await api.call(Call("console", "GET", "/console"))
            if answer.is_ok and isinstance(answer.body, dict):
                self.see(answer.body)
            await asyncio.sleep(EVERY_S / clock.rate)

    def rows(self, delivered_at_ms: DeliveredAt) -> list[list[str]]:
        """A row per kind of moment; ``delivered_at_ms`` gives 0 for what was not delivered."""
        return [_row(name, pairs) for name, pairs in self._groups(delivered_at_ms) if pairs]

    def coverage(self, delivered_at_ms: DeliveredAt) -> float:
        """The share of all arrivals within the ranges told every minute before; NaN of none."""
        every = self._pairs(delivered_at_ms)
        return covered(every) if every else float("nan")

    def check(self, delivered_at_ms: DeliveredAt) -> Check:
        """Whether the ranges told every minute are as wide as they say; not measured of a few."""
        every = self._pairs(delivered_at_ms)
        share = covered(every) if len(every) >= LEAST_PREDICTIONS else None
        return Check("arrivals in the 80 % range, every minute", share, LEAST_COVERED, MOST_COVERED, len(every))

    def _pairs(self, delivered_at_ms: DeliveredAt) -> list[tuple[Told, float]]:
        found = []
        for order_id, told in self.told.items():
            at_ms = delivered_at_ms(order_id)
            found += [(one, at_ms) for one in told if one.now_ms < at_ms]
        return found

    def _first(self, status: str, delivered_at_ms: DeliveredAt) -> list[tuple[Told, float]]:
        """What was told first of each order in that state."""
        found = []
        for order_id, told in self.told.items():
            at_ms, first = delivered_at_ms(order_id), next((one for one in told if one.status == status), None)
            if first is not None and first.now_ms < at_ms:
                found.append((first, at_ms))
        return found

    def _groups(self, delivered_at_ms: DeliveredAt) -> list[tuple[str, list[tuple[Told, float]]]]:
        every = self._pairs(delivered_at_ms)
        if not every:
            return []
        groups = [
            ("at assignment", self._first("assigned", delivered_at_ms)),
            ("at pick-up", self._first("carrying", delivered_at_ms)),
            ("every minute", every),
        ]
        for least, most in pairwise((0.0, *HORIZONS_S, inf)):
            name = (
                f"… {least / 60:.0f}–{most / 60:.0f} min ahead" if most < inf else f"… over {least / 60:.0f} min ahead"
            )
            groups.append((name, [(one, at) for one, at in every if least <= one.ahead_s < most]))
        began_ms = min(one.now_ms for one, _ in every)
        length_ms = 1 + max(one.now_ms for one, _ in every) - began_ms
        for third in range(3):
            some = [(one, at) for one, at in every if 3 * (one.now_ms - began_ms) // length_ms == third]
            groups.append((f"… in the {_THIRDS[third]} third of the peak", some))
        return [*groups, ("… without a warning", [(one, at) for one, at in every if not one.is_doubtful])]

    def promises(self, delivered_at_ms: DeliveredAt) -> list[list[str]]:
        """How the promises made at payment were kept, by everything that was delivered."""
        kept = [(promise, at) for order_id, promise in self.promised.items() if (at := delivered_at_ms(order_id))]
        if not kept:
            return []
        early_s = sorted((promise.until_ms - at) / 1000 for promise, at in kept)
        lengths_s = sorted((promise.until_ms - promise.placed_ms) / 1000 for promise, _ in kept)
        return [
            ["delivered, seen under way", str(len(kept))],
            ["on time", f"{100 * sum(early >= 0 for early in early_s) / len(kept):.1f} %"],
            ["promised within, median min", f"{lengths_s[len(kept) // 2] / 60:.1f}"],
            ["earlier than promised, median min", f"{early_s[len(kept) // 2] / 60:.1f}"],
            ["… the worst of a hundred", f"{early_s[len(kept) // 100] / 60:.1f}"],
        ]


HEAD = ("", "predictions", "in the 80 % range", "earlier", "later", "mean width s", "median error s")
CHECK_HEAD = ("", "n", "measured", "must", "verdict")


def covered(pairs: Sequence[tuple[Told, float]]) -> float:
    """The share of arrivals within their range."""
    return sum(one.from_ms <= at <= one.to_ms for one, at in pairs) / len(pairs)


def _row(name: str, pairs: Sequence[tuple[Told, float]]) -> list[str]:
    count = len(pairs)
    errors = sorted(abs(one.at_ms - at) / 1000 for one, at in pairs)
    return [
        name,
        str(count),
        f"{100 * covered(pairs):.1f} %",
        f"{100 * sum(at < one.from_ms for one, at in pairs) / count:.1f} %",
        f"{100 * sum(at > one.to_ms for one, at in pairs) / count:.1f} %",
        f"{sum(one.to_ms - one.from_ms for one, _ in pairs) / count / 1000:.0f}",
        f"{errors[count // 2]:.0f}",
    ]
