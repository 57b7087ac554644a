"""Recorded ticks looked up again, with the ways that they were planned on: for whoever asks why."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from geo.campus import CampusMap
from geo.errors import BadMap
from geo.walkway import Walkways

from ..assign.state import Ways
from .files import NoTicks, TickFiles, read_map
from .record import TickRecord

#: Maps kept in memory; the least recently used goes first.
MOST_MAPS = 4


class RecordedTick(NamedTuple):
    """A tick's input and outcome; with ``ways`` it can be planned, and asked about, again."""

    tick: TickRecord
    ways: Ways


class TickArchive:
    """Blocks: ask it in a thread. Several may ask at once."""

    def __init__(self, files: TickFiles) -> None:
        self.files = files
        self._walkways: OrderedDict[tuple[str, str], Walkways] = OrderedDict()
        self._lock = Lock()

    def find(self, campus_id: str, tick_id: str) -> RecordedTick | None:
        """One tick; None where it is not kept any more, or was recorded on another machine."""
        return self._with_ways(self.files.find(campus_id, tick_id))

    def latest(self, campus_id: str) -> RecordedTick | None:
        """The newest tick of a campus."""
        return self._with_ways(self.files.latest(campus_id))

    def _with_ways(self, tick: TickRecord | None) -> RecordedTick | None:
        if tick is None:
            return None
        key = (tick.campus_id, tick.map_id)
        with self._lock:
            walkways = self._walkways.get(key)
            if walkways is None:
                try:
                    walkways = Walkways.of(CampusMap.from_bytes(read_map(self.files.map_path(*key))))
                except (NoTicks, BadMap):
                    return None
                self._walkways[key] = walkways
            self._walkways.move_to_end(key)
            if len(self._walkways) > MOST_MAPS:
                self._walkways.popitem(last=False)
        return RecordedTick(tick, walkways.among)
