"""How each runner's day has gone so far, read now and then: what they take, since when they wait, what they earned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ..clock import Clock
from ..model.order import Order
from ..store.store import Store
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .credit_limits import acceptance_of
from .order_view import ms

#: Real seconds: all of it moves slowly.
READ_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Standing:
    """``acceptance``: share of offers that they take, None: not known; ``last_done_ms``: their last delivery of the
    day; ``earned_s``: how long they worked for the deliveries of the day."""

    acceptance: float | None = None
    last_done_ms: int | None = None
    earned_s: float = 0.0


def read_standings(uow: UnitOfWork, since: datetime) -> dict[str, Standing]:
    """Of every runner on duty and everybody who has delivered something since then."""
    accepting = acceptance_of(uow)
    days = {day.runner_id: day for day in uow.statistics.days(since)}
    return {
        runner_id: Standing(
            accepting.get(runner_id),
            ms(days[runner_id].last_at) if runner_id in days else None,
            days[runner_id].worked_s if runner_id in days else 0.0,
        )
        for runner_id in accepting.keys() | days.keys()
    }


class Standings:
    """Remembers them per campus between ticks, and since when each runner has been seen on duty.

    ``orders`` are those of the last tick, by campus and id: most of them are the same in the next.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._read: dict[str, tuple[float, Mapping[str, Standing]]] = {}
        self._seen_ms: dict[str, dict[str, int]] = {}
        self.orders: dict[str, Mapping[str, Order]] = {}

    async def of(self, campus_id: str, ground: CampusGround) -> Mapping[str, Standing]:
        """At most a few seconds old."""
        now_s = self._clock.monotonic_s()
        known = self._read.get(campus_id)
        if known is not None and now_s - known[0] < READ_EVERY_S:
            return known[1]
        local = self._clock.now().astimezone(ZoneInfo(ground.campus.settings.time_zone))
        since = local.replace(hour=0, minute=0, second=0, microsecond=0)
        found = await self._store.read(campus_id, lambda uow: read_standings(uow, since))
        self._read[campus_id] = (now_s, found)
        return found

    def idle_since(self, campus_id: str, on_duty: Iterable[str], now_ms: int) -> Mapping[str, int]:
        """When each of these was first seen on duty; whoever is not among them is forgotten."""
        before = self._seen_ms.get(campus_id, {})
        self._seen_ms[campus_id] = seen = {runner_id: before.get(runner_id, now_ms) for runner_id in on_duty}
        return seen
