"""The watchers: connections that receive positions and events, and note how old each was on arrival."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np

from .crew import WatchReport, wall_ms
from .links import Fleet, FleetSpec, Link, Opening, heard


class _PlainFix(msgspec.Struct):
    """What a server that passes fixes on unchanged delivers."""

    at: int


_plain = msgspec.msgpack.Decoder(_PlainFix).decode


class _Watch:
    """One fleet of watchers with what it has received: (due time, age) of each position, the same of each event."""

    def __init__(self, spec: FleetSpec, kind: str, offset_ms: int) -> None:
        takes: dict[str, Callable[[Link, int, bytes], None]] = {
            "hub": self._take_hub, "plain": self._take_plain, "none": self._take_none,
        }  # fmt: skip
        self.fleet = Fleet(spec, takes[kind])
        self.offset_ms = offset_ms
        self.frames = 0
        self.due: list[float] = []
        self.ages: list[float] = []
        self.events: list[float] = []
        self.event_ages: list[float] = []
        self.now = 0.0

    def poll(self, wait_s: float) -> None:
        self.now = wall_ms() + self.offset_ms
        self.fleet.poll(wait_s)

    def _take_hub(self, link: Link, opcode: int, payload: bytes) -> None:
        self.frames += 1
        frame = heard(payload)
        now = wall_ms() + self.offset_ms
        if frame.t == "pos":
            for row in frame.p:
                at: float = row[3]  # type: ignore[assignment]
                self.due.append(at)
                self.ages.append(now - at)
        elif frame.t == "event":
            self.events.append(frame.at)
            self.event_ages.append(now - frame.at)

    def _take_plain(self, link: Link, opcode: int, payload: bytes) -> None:
        self.frames += 1
        at = _plain(payload).at
        self.due.append(at)
        self.ages.append(wall_ms() + self.offset_ms - at)

    def _take_none(self, link: Link, opcode: int, payload: bytes) -> None:
        self.frames += 1


class Watcher:
    """Runs in a process of its own; see ``crew.Hand``."""

    def __init__(self) -> None:
        self._watches: dict[str, _Watch] = {}

    def idle(self) -> None:
        """Read what comes. With one fleet the kernel wakes us; with more we look around."""
        watches = list(self._watches.values())
        if len(watches) == 1:
            watches[0].poll(0.01)
            return
        had = 0
        for watch in watches:
            had += watch.fleet.poll(0)
        if not had:
            time.sleep(0.0005 if watches else 0.005)

    def open(self, name: str, spec: FleetSpec, kind: str = "hub", offset_ms: int = 0) -> Opening:
        """``kind``: what is delivered there, ``hub`` or ``plain``; ``offset_ms``: its time minus the wall clock."""
        self.close(name)
        watch = self._watches[name] = _Watch(spec, kind, offset_ms)
        return watch.fleet.open()

    def close(self, name: str) -> None:
        if (watch := self._watches.pop(name, None)) is not None:
            watch.fleet.close()

    def collect(self, name: str, from_ms: float, to_ms: float, is_events: bool = False) -> WatchReport:
        """What was due in this window of wall-clock time; everything received so far is then forgotten."""
        watch = self._watches[name]
        due = np.array(watch.events if is_events else watch.due, dtype=np.float64) - watch.offset_ms
        ages = np.array(watch.event_ages if is_events else watch.ages, dtype=np.float32)
        within = (due >= from_ms) & (due < to_ms)
        frames, watch.frames = watch.frames, 0
        for kept in (watch.due, watch.ages, watch.events, watch.event_ages):
            kept.clear()
        return WatchReport(int(within.sum()), frames, ages[within], Counter(watch.fleet.faults))
