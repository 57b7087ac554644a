"""Geofences: circles and polygons that runners enter, leave and dwell in, judged with the accuracy of the fix.

One enters where the position lies inside. One leaves only when the position, minus its inaccuracy, lies further
outside than a tenth of the fence's size and than 20 m: a dot that trembles on the line makes one crossing, not twenty.
Who crosses a whole fence between two fixes is noticed by the straight line between them.

A batch is judged in one vectorised pass: a raster says which fences surround a point, and only those runners are
looked at one by one whose fences are others than before, who are near an edge, or whose dwell is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from .errors import BadFence
from .fence_raster import FenceRaster, Kind
from .fence_shape import Circle as Circle
from .fence_shape import Geofence as Geofence
from .fence_shape import LaidFence
from .fence_shape import Outline as Outline
from .fix import Fix
from .point import LocalPlane, Point

#: Two fixes farther apart than this are joined by a line that may cross whole fences ...
LINE_FROM_M = 30.0
#: ... unless so much time passed between them that nobody knows which way was taken.
LINE_UP_TO_MS = 30_000

_UNSETTLED = -1
_NEVER = np.iinfo(np.int64).max
_LONG_AGO = -(2**60)
_FIRST_SLOTS = 256


class CrossingKind(StrEnum):
    ENTER = "enter"
    EXIT = "exit"
    DWELL = "dwell"


class Crossing(NamedTuple):
    """Somebody entered, left or stayed in a fence. ``inside_s`` is how long they had been in it (0 for entering)."""

    runner_id: str
    fence_id: str
    kind: CrossingKind
    at_ms: int
    point: Point
    inside_s: float


class Seen(NamedTuple):
    """Where somebody was last seen, by the clock of their device."""

    at_ms: int
    point: Point


@dataclass(slots=True)
class Stay:
    """Somebody is in a fence since then."""

    entered_at_ms: int
    has_dwelled: bool = False


class Geofences:
    """The fences of one campus and who is in which; batches of fixes in, crossings out.

    A runner has a slot: a row in the arrays that the vectorised pass works on. ``_settled`` holds the kind of square
    in which the runner's stays are what they should be, so that there is nothing to do as long as they are in such a
    square; ``_due`` the time of the next dwell to tell.
    """

    def __init__(self, fences: Iterable[Geofence], origin: Point) -> None:
        self._plane = LocalPlane(origin)
        self._laid = [LaidFence(fence, self._plane) for fence in fences]
        self._rows = {laid.fence.id: row for row, laid in enumerate(self._laid)}
        if len(self._rows) != len(self._laid):
            raise BadFence("two geofences share an id", "id")
        self._raster = FenceRaster(self._laid)
        self._tree = shapely.STRtree([laid.shape for laid in self._laid])
        self._slots: dict[str, int] = {}
        self._stays: list[dict[int, Stay]] = []
        self._free: list[int] = []
        self._x, self._y = np.zeros(_FIRST_SLOTS), np.zeros(_FIRST_SLOTS)
        self._at = np.full(_FIRST_SLOTS, _LONG_AGO, np.int64)
        self._due = np.full(_FIRST_SLOTS, _NEVER, np.int64)
        self._settled = np.full(_FIRST_SLOTS, _UNSETTLED, np.int32)
        self._seen_s = np.zeros(_FIRST_SLOTS)

    def __len__(self) -> int:
        return len(self._laid)

    @property
    def runner_ids(self) -> set[str]:
        """Those who are watched."""
        return set(self._slots)

    def containing(self, point: Point) -> list[Geofence]:
        """The fences around one point."""
        x, y = self._plane.xy(point)
        kind = self._raster.kinds[int(self._raster.look_up(np.array([x]), np.array([y]))[0])]
        return [self._laid[row].fence for row in sorted(self._inside(kind, x, y))]

    def inside(self, runner_id: str) -> dict[str, Stay]:
        """The stays of a runner by the fences' ids."""
        slot = self._slots.get(runner_id)
        return {} if slot is None else {self._laid[row].fence.id: stay for row, stay in self._stays[slot].items()}

    # --- who is watched

    def admit(self, runner_id: str, stays: Iterable[tuple[str, Stay]] = (), seen: Seen | None = None) -> None:
        """Watch this runner from now on; ``stays``: the fences that they are in already, ``seen``: where they were."""
        slot = self._slots.get(runner_id)
        if slot is None:
            if not self._free:
                self._add_slot()
            slot = self._slots[runner_id] = self._free.pop()
        self._stays[slot] = {self._rows[fence_id]: stay for fence_id, stay in stays if fence_id in self._rows}
        self._settled[slot] = _UNSETTLED
        self._due[slot] = self._next_due(slot)
        self._at[slot] = _LONG_AGO
        if seen is not None:
            self._at[slot] = seen.at_ms
            self._x[slot], self._y[slot] = self._plane.xy(seen.point)

    def forget(self, runner_id: str) -> Seen | None:
        """Watch this runner no more; where they were last seen."""
        slot = self._slots.pop(runner_id, None)
        if slot is None:
            return None
        self._free.append(slot)
        self._stays[slot] = {}
        self._seen_s[slot] = np.inf
        return self._seen(slot)

    def last_seen(self, runner_id: str) -> Seen | None:
        """Where a runner who is watched was last seen."""
        slot = self._slots.get(runner_id)
        return None if slot is None else self._seen(slot)

    def silent(self, before_s: float) -> list[str]:
        """Who was not judged since ``before_s`` (in the caller's time of ``judge``)."""
        if not (self._seen_s[: len(self._stays)] < before_s).any():
            return []
        return [runner_id for runner_id, slot in self._slots.items() if self._seen_s[slot] < before_s]

    def take_over(self, former: Geofences) -> None:
        """Watch whom ``former`` watched, with their stays in the fences that both have."""
        for runner_id, slot in former._slots.items():
            self.admit(runner_id, former.inside(runner_id).items(), former._seen(slot))
            self._seen_s[self._slots[runner_id]] = former._seen_s[slot]

    # --- judging

    def observe(self, batch: Sequence[tuple[str, Fix]], now_s: float = 0.0) -> list[Crossing]:
        """Judge fixes in their order; whoever is new is admitted, outside of everything."""
        crossings: list[Crossing] = []
        for runner_id, fix in batch:
            if runner_id not in self._slots:
                self.admit(runner_id)
            crossings += self.judge([runner_id], [fix], now_s)[0]
        return crossings

    def judge(
        self, runner_ids: Sequence[str], fixes: Sequence[Fix], now_s: float = 0.0
    ) -> tuple[list[Crossing], list[int]]:
        """Judge one fix for each of these different runners: the crossings, and the rows of runners whom nobody has
        admitted yet. For each runner exits come before entries."""
        slots = list(map(self._slots.get, runner_ids))
        strangers: list[int] = []
        if None in slots:
            strangers = [row for row, slot in enumerate(slots) if slot is None]
            known = [row for row, slot in enumerate(slots) if slot is not None]
            slots, fixes = [slots[row] for row in known], [fixes[row] for row in known]
            runner_ids = [runner_ids[row] for row in known]
        if not self._laid or not slots:
            return [], strangers
        return self._judge_known(runner_ids, np.array(slots, np.intp), fixes, now_s), strangers

    def _judge_known(
        self, runner_ids: Sequence[str], slots: NDArray[np.intp], fixes: Sequence[Fix], now_s: float
    ) -> list[Crossing]:
        plane = self._plane
        x = plane.east_m(np.array([fix.lon for fix in fixes]))
        y = plane.north_m(np.array([fix.lat for fix in fixes]))
        at = np.array([fix.fixed_at_ms for fix in fixes], np.int64)
        kinds = self._raster.look_up(x, y)
        dx, dy = x - self._x[slots], y - self._y[slots]
        is_far = dx * dx + dy * dy > LINE_FROM_M * LINE_FROM_M
        lines: dict[int, list[_Line]] = {}
        if is_far.any():
            took_ms = at - self._at[slots]
            is_far &= (took_ms > 0) & (took_ms <= LINE_UP_TO_MS)
            lines = self._lines(np.flatnonzero(is_far), slots, x, y)
        to_look = (kinds != self._settled[slots]) | (at >= self._due[slots])
        if lines:
            to_look[list(lines)] = True
        crossings: list[Crossing] = []
        for row in np.flatnonzero(to_look).tolist():
            here = _Here(runner_ids[row], fixes[row], float(x[row]), float(y[row]))
            self._look_at(int(slots[row]), here, int(kinds[row]), lines.get(row, ()), crossings)
        self._x[slots], self._y[slots], self._at[slots], self._seen_s[slots] = x, y, at, now_s
        return crossings

    def _lines(self, far: NDArray[Any], slots: NDArray[np.intp], x: Any, y: Any) -> dict[int, list[_Line]]:
        """Which fences the ways of these rows touch, and where each way began."""
        if not len(far):
            return {}
        from_slots = slots[far]
        ends = np.stack((self._x[from_slots], self._y[from_slots], x[far], y[far]), axis=1).reshape(-1, 2, 2)
        found: dict[int, list[_Line]] = {}
        ways, fences = self._tree.query(shapely.linestrings(ends), predicate="intersects")
        for way, fence in zip(ways.tolist(), fences.tolist(), strict=True):
            start = (float(ends[way, 0, 0]), float(ends[way, 0, 1]))
            line = _Line(fence, start, int(self._at[from_slots[way]]))
            found.setdefault(int(far[way]), []).append(line)
        return found

    def _look_at(
        self, slot: int, here: _Here, kind_row: int, lines: Sequence[_Line], crossings: list[Crossing]
    ) -> None:
        """Judge one runner exactly."""
        stays, kind = self._stays[slot], self._raster.kinds[kind_row]
        inside = self._inside(kind, here.x, here.y)
        if not stays and not inside and not lines:  # passing by, as most do
            self._settled[slot] = _UNSETTLED if kind.edge else kind_row
            return
        at_ms = here.fix.fixed_at_ms
        before = set(stays)
        for row in sorted(before - inside):
            if self._laid[row].is_left(here.x, here.y, here.fix.accuracy_m or 0.0):
                crossings.append(here.crossing(self._laid[row], CrossingKind.EXIT, at_ms, stays.pop(row)))
        for line in lines:
            if line.fence not in inside and line.fence not in before:
                self._pass(here, line, stays, crossings)
        for row in sorted(inside - before):
            stays[row] = Stay(at_ms)
            crossings.append(here.crossing(self._laid[row], CrossingKind.ENTER, at_ms, stays[row]))
        for row, stay in stays.items():
            dwell_ms = self._laid[row].dwell_ms
            if dwell_ms is not None and not stay.has_dwelled and at_ms - stay.entered_at_ms >= dwell_ms:
                stay.has_dwelled = True
                crossings.append(here.crossing(self._laid[row], CrossingKind.DWELL, at_ms, stay))
        self._due[slot] = self._next_due(slot)
        self._settled[slot] = kind_row if kind.is_settled(stays) else _UNSETTLED

    def _pass(self, here: _Here, line: _Line, stays: dict[int, Stay], crossings: list[Crossing]) -> None:
        """Somebody was before this fence and is behind it: they entered and left in between."""
        laid = self._laid[line.fence]
        parts = laid.passed(line.start, (here.x, here.y))
        if parts is None:
            return
        took_ms = here.fix.fixed_at_ms - line.started_at_ms
        entered_at_ms, left_at_ms = (line.started_at_ms + round(part * took_ms) for part in parts)
        stay = Stay(entered_at_ms)
        (way_in, way_out) = (self._plane.point(*line.at(part, here)) for part in parts)
        crossings.append(here.crossing(laid, CrossingKind.ENTER, entered_at_ms, stay, way_in))
        if laid.is_left(here.x, here.y, here.fix.accuracy_m or 0.0):
            crossings.append(here.crossing(laid, CrossingKind.EXIT, left_at_ms, stay, way_out))
        else:
            stays[line.fence] = stay

    def _inside(self, kind: Kind, x: float, y: float) -> set[int]:
        """The fences (rows) around a point in a square of this kind."""
        return {*kind.inside, *(row for row in kind.edge if self._laid[row].covers(x, y))}

    # --- slots

    def _next_due(self, slot: int) -> int:
        due = _NEVER
        for row, stay in self._stays[slot].items():
            dwell_ms = self._laid[row].dwell_ms
            if dwell_ms is not None and not stay.has_dwelled:
                due = min(due, stay.entered_at_ms + dwell_ms)
        return due

    def _seen(self, slot: int) -> Seen | None:
        at_ms = int(self._at[slot])
        if at_ms == _LONG_AGO:
            return None
        return Seen(at_ms, self._plane.point(float(self._x[slot]), float(self._y[slot])))

    def _add_slot(self) -> None:
        slot = len(self._stays)
        self._stays.append({})
        self._free.append(slot)
        if slot >= len(self._x):
            self._x, self._y = _doubled(self._x), _doubled(self._y)
            self._at, self._due = _doubled(self._at), _doubled(self._due)
            self._settled, self._seen_s = _doubled(self._settled), _doubled(self._seen_s)


class _Line(NamedTuple):
    """The straight way from where somebody was to where they are touches a fence (row)."""

    fence: int
    start: tuple[float, float]
    started_at_ms: int

    def at(self, part: float, here: _Here) -> tuple[float, float]:
        return self.start[0] + part * (here.x - self.start[0]), self.start[1] + part * (here.y - self.start[1])


class _Here(NamedTuple):
    """A runner's fix on the plane."""

    runner_id: str
    fix: Fix
    x: float
    y: float

    def crossing(
        self, laid: LaidFence, kind: CrossingKind, at_ms: int, stay: Stay, point: Point | None = None
    ) -> Crossing:
        inside_s = max(0.0, (at_ms - stay.entered_at_ms) / 1000)
        return Crossing(self.runner_id, laid.fence.id, kind, at_ms, point or self.fix.point, inside_s)


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate((array, array))
