"""A campus as the use cases need it: its settings, its map and the ways across it, cached per process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from geo.arrival_model import ArrivalModel
from geo.campus import CampusMap
from geo.walkway import Walkways

from ..clock import Clock
from ..model.campus import Campus
from ..store.store import Store
from ..store.unit_of_work import UnitOfWork
from .arrival_figures import Read, read_figures, take_in

#: A campus's settings are read again after this many real seconds, so an operator's change reaches every process.
REFRESH_S = 2.0
#: Maps kept in memory per process; the least recently used goes first.
CAPACITY = 64
#: Places to which the ways are worked out before anybody asks.
WARMED = 500
#: Real seconds until what is learned about arrivals is read again.
LEARNED_S = 10.0


@dataclass(frozen=True, slots=True)
class CampusGround:
    campus: Campus
    map: CampusMap
    walkways: Walkways
    #: What this process knows of what was learned; read again now and then.
    arrivals: ArrivalModel = field(default_factory=ArrivalModel)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A campus in the cache: when it was read, and when and up to when what is learned about it."""

    read_s: float
    ground: CampusGround
    learned_s: float
    learned_at: datetime | None


def parse_map(raw: bytes) -> tuple[CampusMap, Walkways]:
    """A stored map and the ways across it; takes a moment."""
    campus_map = CampusMap.from_bytes(raw)
    walkways = Walkways.of(campus_map)
    walkways.warm(place.point for place in islice(campus_map.places.values(), WARMED))
    return campus_map, walkways


class CampusGrounds:
    """Loads and caches what belongs to a campus. The map is parsed in a thread, once per version of the map."""

    def __init__(
        self, store: Store, clock: Clock, parse: Callable[[bytes], tuple[CampusMap, Walkways]] = parse_map
    ) -> None:
        self._store = store
        self._clock = clock
        self._parse = parse
        self._cache: OrderedDict[str, _Kept] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, campus_id: str) -> CampusGround:
        """The campus; raises ``NotFound`` where this server runs no such campus."""
        if (ground := self._fresh(campus_id)) is not None:
            return ground
        lock = self._locks.setdefault(campus_id, asyncio.Lock())
        try:
            async with lock:
                # Whoever waited here finds what the first one loaded.
                return self._fresh(campus_id) or await self._load(campus_id)
        finally:
            if not lock.locked():
                self._locks.pop(campus_id, None)

    def _fresh(self, campus_id: str) -> CampusGround | None:
        cached = self._cache.get(campus_id)
        if cached is None or self._clock.monotonic_s() - cached.read_s >= REFRESH_S:
            return None
        self._cache.move_to_end(campus_id)
        return cached.ground

    async def _load(self, campus_id: str) -> CampusGround:
        campus = await self._store.read_global(lambda unit: unit.campuses.get(campus_id))
        kept = self._cache.get(campus_id)
        if kept is not None:
            campus_map, walkways = kept.ground.map, kept.ground.walkways
        else:
            raw = await self._store.read_global(lambda unit: unit.campuses.map_bytes(campus_id))
            campus_map, walkways = await asyncio.to_thread(self._parse, raw)
        now_s = self._clock.monotonic_s()
        if kept is not None and now_s - kept.learned_s < LEARNED_S:
            learned_s, learned_at, arrivals = kept.learned_s, kept.learned_at, kept.ground.arrivals
        else:
            known = (kept.ground.arrivals, kept.learned_at) if kept is not None else (ArrivalModel(), None)
            arrivals, learned_at = await self._learned(campus_id, *known)
            learned_s = now_s
        ground = CampusGround(campus, campus_map, walkways, arrivals)
        self._cache[campus_id] = _Kept(now_s, ground, learned_s, learned_at)
        self._cache.move_to_end(campus_id)
        while len(self._cache) > CAPACITY:
            self._cache.popitem(last=False)
        return ground

    async def _learned(
        self, campus_id: str, known: ArrivalModel, since: datetime | None
    ) -> tuple[ArrivalModel, datetime | None]:
        """The campus's figures, and the runners of whom something was learned since then."""

        def read(uow: UnitOfWork) -> Read:
            return read_figures(uow, since)

        found = await self._store.read(campus_id, read)
        return take_in(known, found), found.newest or since
