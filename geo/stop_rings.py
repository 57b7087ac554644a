"""Rings around the stops that each runner has before them: who comes near, who is there, who has left again.

A stop concerns its own runner and nobody else, and changes with every step of an errand; so there is no map of rings as
there is of geofences, but one row per runner and stop, and a batch of fixes is judged by one pass over the rows of its
runners. Accuracy counts as it does for geofences: one is inside by position, and outside only beyond doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .fence_shape import exit_margin_m
from .fix import Fix
from .point import LocalPlane, Point

_FIRST_ROWS = 256


@dataclass(frozen=True, slots=True)
class RingRules:
    """``near_m``: somebody will be at the door within a minute. ``there_m``: they are at the door, once they have been
    for ``dwell_s``, which who only passes by is not. A reading coarser than ``coarse_m`` brings nobody in."""

    near_m: float = 60.0
    there_m: float = 40.0
    dwell_s: float = 10.0
    coarse_m: float = 100.0


class Target(NamedTuple):
    """A stop that somebody has before them. ``id`` is the runner's own: no two of theirs are alike."""

    id: str
    point: Point


class ApproachKind(StrEnum):
    NEAR = "near"
    THERE = "there"
    LEFT = "left"


class Approach(NamedTuple):
    """Somebody came near a stop, is there since ``since_ms``, or has left it again; by their device's clock."""

    runner_id: str
    target_id: str
    kind: ApproachKind
    at_ms: int
    since_ms: int


class StopRings:
    """Who is where around their own stops; batches of fixes in, approaches out."""

    def __init__(self, origin: Point, rules: RingRules | None = None) -> None:
        self.rules = rules or RingRules()
        self._plane = LocalPlane(origin)
        self._leave_m = self.rules.there_m + exit_margin_m(self.rules.there_m)
        self._rows: dict[str, list[int]] = {}
        self._targets: list[Target | None] = []
        self._free: list[int] = []
        self._x, self._y = np.zeros(_FIRST_ROWS), np.zeros(_FIRST_ROWS)
        self._since = np.zeros(_FIRST_ROWS, np.int64)
        self._is_near = np.zeros(_FIRST_ROWS, np.bool_)
        self._is_inside = np.zeros(_FIRST_ROWS, np.bool_)
        self._is_told = np.zeros(_FIRST_ROWS, np.bool_)

    def __len__(self) -> int:
        """How many rows there are: stops that somebody has before them."""
        return len(self._targets) - len(self._free)

    @property
    def runner_ids(self) -> set[str]:
        """Those whose stops are known, also when they have none."""
        return set(self._rows)

    def targets(self, runner_id: str) -> list[Target]:
        """What this runner has before them."""
        found = (self._targets[row] for row in self._rows.get(runner_id, ()))
        return [target for target in found if target is not None]

    # --- who has what before them

    def aim(self, runner_id: str, targets: Iterable[Target]) -> None:
        """The runner has these stops before them from now on; what is known of those they had before stays."""
        known = {self._targets[row]: row for row in self._rows.get(runner_id, ())}
        rows = []
        for target in dict.fromkeys(targets):
            row = known.pop(target, None)
            rows.append(self._add(target) if row is None else row)
        for row in known.values():
            self._drop(row)
        self._rows[runner_id] = rows

    def forget(self, runner_id: str) -> None:
        """Nothing is known of this runner any more."""
        for row in self._rows.pop(runner_id, ()):
            self._drop(row)

    # --- judging

    def judge(self, runner_ids: Sequence[str], fixes: Sequence[Fix]) -> tuple[list[Approach], list[int]]:
        """Judge one fix for each of these different runners: what came of it, and the rows of the call whose runners'
        stops nobody has told yet."""
        rows: list[int] = []
        owners: list[int] = []
        strangers: list[int] = []
        for number, runner_id in enumerate(runner_ids):
            mine = self._rows.get(runner_id)
            if mine is None:
                strangers.append(number)
            else:
                for row in mine:
                    rows.append(row)
                    owners.append(number)
        if not rows:
            return [], strangers
        return self._judge_rows(np.array(rows, np.intp), owners, runner_ids, fixes), strangers

    def _judge_rows(
        self, rows: NDArray[np.intp], owners: list[int], runner_ids: Sequence[str], fixes: Sequence[Fix]
    ) -> list[Approach]:
        mine = [fixes[owner] for owner in owners]
        at = np.array([fix.fixed_at_ms for fix in mine], np.int64)
        accuracy = np.array([fix.accuracy_m or 0.0 for fix in mine])
        away = np.hypot(
            self._plane.east_m(np.array([fix.lon for fix in mine])) - self._x[rows],
            self._plane.north_m(np.array([fix.lat for fix in mine])) - self._y[rows],
        )
        rules, was_inside = self.rules, self._is_inside[rows]
        is_fine = accuracy <= rules.coarse_m
        comes_near = is_fine & (away <= rules.near_m) & ~self._is_near[rows]
        enters = is_fine & (away <= rules.there_m) & ~was_inside
        leaves = was_inside & (away - accuracy > self._leave_m)
        self._since[rows[enters]] = at[enters]
        is_inside = (was_inside | enters) & ~leaves
        has_dwelled = at - self._since[rows] >= round(rules.dwell_s * 1000)
        arrives = is_inside & ~self._is_told[rows] & has_dwelled
        departs = leaves & self._is_told[rows]
        self._is_near[rows] |= comes_near
        self._is_inside[rows] = is_inside
        self._is_told[rows] = (self._is_told[rows] | arrives) & ~leaves
        found: list[Approach] = []
        for kind, which in (
            (ApproachKind.LEFT, departs),
            (ApproachKind.NEAR, comes_near),
            (ApproachKind.THERE, arrives),
        ):
            for number in np.flatnonzero(which).tolist():
                target = self._targets[int(rows[number])]
                assert target is not None, "a row that is judged has a target"
                since_ms = int(at[number]) if kind is ApproachKind.NEAR else int(self._since[rows[number]])
                found.append(Approach(runner_ids[owners[number]], target.id, kind, int(at[number]), since_ms))
        return found

    # --- rows

    def _add(self, target: Target) -> int:
        if not self._free:
            self._grow()
        row = self._free.pop()
        self._targets[row] = target
        self._x[row], self._y[row] = self._plane.xy(target.point)
        self._is_near[row] = self._is_inside[row] = self._is_told[row] = False
        self._since[row] = 0
        return row

    def _drop(self, row: int) -> None:
        self._targets[row] = None
        self._free.append(row)

    def _grow(self) -> None:
        row = len(self._targets)
        self._targets.append(None)
        self._free.append(row)
        if row >= len(self._x):
            for name in ("_x", "_y", "_since", "_is_near", "_is_inside", "_is_told"):
                array: NDArray[Any] = getattr(self, name)
                setattr(self, name, np.concatenate((array, array)))
