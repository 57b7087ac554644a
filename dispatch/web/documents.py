"""Answers that are made once and served many times: the campus maps as drawn by pages."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

import orjson

from geo.campus import CampusMap
from geo.datum import Datum

#: Maps kept per process; a big one is about 400 kB, and 80 kB packed.
_MAX_KEPT = 64


@dataclass(frozen=True, slots=True)
class Document:
    """A body in both forms, with its tag."""

    plain: bytes
    packed: bytes
    tag: str


@dataclass(slots=True)
class Documents:
    """Keeps the newest document of each (campus, datum), as long as it was made from the same map."""

    _kept: OrderedDict[tuple[str, str], tuple[CampusMap, Document]] = field(default_factory=OrderedDict)

    async def map(self, campus_id: str, campus_map: CampusMap, datum: Datum) -> Document:
        """The campus's map as GeoJSON; drawn and packed in a thread when it is asked for the first time."""
        name = (campus_id, str(datum))
        kept = self._kept.get(name)
        if kept is None or kept[0] is not campus_map:
            kept = (campus_map, await asyncio.to_thread(_draw, campus_map, datum))
            self._kept[name] = kept
        self._kept.move_to_end(name)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return kept[1]


def _draw(campus_map: CampusMap, datum: Datum) -> Document:
    plain = orjson.dumps(campus_map.to_geojson(datum))
    tag = f'"{hashlib.sha256(plain).hexdigest()[:32]}"'
    return Document(plain, gzip.compress(plain, 6, mtime=0), tag)
