"""A campus as the use cases need it: its settings, its map and the ways across it, cached per process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from geo.campus import CampusMap
from geo.walkway import Walkways

from ..clock import Clock
from ..model.campus import Campus
from ..store.store import Store

#: A campus's settings are read again after this many real seconds, so an operator's change reaches every process.
REFRESH_S = 2.0
#: Maps kept in memory per process; the least recently used goes first.
CAPACITY = 64


@dataclass(frozen=True, slots=True)
class CampusGround:
    campus: Campus
    map: CampusMap
    walkways: Walkways


def parse_map(raw: bytes) -> tuple[CampusMap, Walkways]:
    """A stored map and the ways across it; takes a moment."""
    campus_map = CampusMap.from_bytes(raw)
    return campus_map, Walkways.of(campus_map)


class CampusGrounds:
    """Loads and caches what belongs to a campus. The map is parsed in a thread, once per version of the map."""

    def __init__(
        self, store: Store, clock: Clock, parse: Callable[[bytes], tuple[CampusMap, Walkways]] = parse_map
    ) -> None:
        self._store = store
        self._clock = clock
        self._parse = parse
        self._cache: OrderedDict[str, tuple[float, CampusGround]] = OrderedDict()
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
        if cached is None or self._clock.monotonic_s() - cached[0] >= REFRESH_S:
            return None
        self._cache.move_to_end(campus_id)
        return cached[1]

    async def _load(self, campus_id: str) -> CampusGround:
        campus = await self._store.read_global(lambda unit: unit.campuses.get(campus_id))
        cached = self._cache.get(campus_id)
        if cached is not None:
            ground = CampusGround(campus, cached[1].map, cached[1].walkways)
        else:
            raw = await self._store.read_global(lambda unit: unit.campuses.map_bytes(campus_id))
            campus_map, walkways = await asyncio.to_thread(self._parse, raw)
            ground = CampusGround(campus, campus_map, walkways)
        self._cache[campus_id] = (self._clock.monotonic_s(), ground)
        self._cache.move_to_end(campus_id)
        while len(self._cache) > CAPACITY:
            self._cache.popitem(last=False)
        return ground
