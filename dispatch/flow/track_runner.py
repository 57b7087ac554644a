"""Track a runner: judge each fix as it arrives and keep what the next flush carries on; nothing here waits.

The table is one worker's: a runner's connection lives on one worker at a time, so its filter state does too.
"""

from __future__ import annotations

from typing import NamedTuple

from geo.filters import DEFAULT_RULES, FilterRules, FilterState, Reason, Verdict, check
from geo.fix import Fix

#: Late fixes kept until the next flush, for all runners together; beyond them the track has a hole, never the map.
MAX_LATE = 20_000


class Flushed(NamedTuple):
    """What one flush takes: per campus the newest fix of each runner that moved, and all fixes for the tracks."""

    newest: dict[str, list[tuple[str, Fix]]]
    track: dict[str, list[tuple[str, Fix]]]


class _Runner:
    __slots__ = ("campus_id", "newest", "state")

    def __init__(self, campus_id: str) -> None:
        self.campus_id = campus_id
        self.state = FilterState()
        self.newest: Fix | None = None


class LiveTable:
    """Filter state and newest fix of each runner that reports to this worker."""

    def __init__(self, rules: FilterRules = DEFAULT_RULES) -> None:
        self._rules = rules
        self._runners: dict[tuple[str, str], _Runner] = {}
        self._dirty: dict[tuple[str, str], Fix] = {}
        self._track: dict[str, list[tuple[str, Fix]]] = {}
        self._track_size = 0
        self._off_duty: set[tuple[str, str]] = set()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._runners)

    def track(self, campus_id: str, runner_id: str, fix: Fix) -> Verdict | Reason:
        """Judge one fix at its time of receipt; an accepted one waits for the next flush."""
        key = (campus_id, runner_id)
        runner = self._runners.get(key)
        if runner is None:
            runner = self._runners[key] = _Runner(campus_id)
        verdict = check(runner.state, fix, fix.received_at_ms, self._rules)
        if verdict is Verdict.LIVE:
            runner.newest = fix
            if key not in self._off_duty:
                self._dirty[key] = fix
        elif verdict is not Verdict.LATE:
            return verdict
        if self._track_size < MAX_LATE:
            self._track_size += 1
            self._track.setdefault(campus_id, []).append((runner_id, fix))
        else:
            self.dropped += 1
        return verdict

    def seed(self, campus_id: str, runner_id: str, fix: Fix) -> None:
        """Where the runner was last seen, as another worker knew it: an older fix will not move the dot back."""
        runner = self._runners.setdefault((campus_id, runner_id), _Runner(campus_id))
        if runner.newest is None or fix.fixed_at_ms > runner.newest.fixed_at_ms:
            if check(runner.state, fix, fix.received_at_ms, self._rules) is Verdict.LIVE:
                runner.newest = fix

    def newest(self, campus_id: str, runner_id: str) -> Fix | None:
        runner = self._runners.get((campus_id, runner_id))
        return runner.newest if runner else None

    def go_off_duty(self, campus_id: str, runner_id: str) -> None:
        """Fixes still fill the track, and move no dot until the runner is on duty again."""
        key = (campus_id, runner_id)
        self._off_duty.add(key)
        self._dirty.pop(key, None)

    def go_on_duty(self, campus_id: str, runner_id: str) -> None:
        self._off_duty.discard((campus_id, runner_id))

    def forget(self, campus_id: str, runner_id: str) -> None:
        """The runner's last connection here has gone; what it reported is flushed all the same."""
        self._runners.pop((campus_id, runner_id), None)
        self._off_duty.discard((campus_id, runner_id))

    def everybody(self) -> dict[str, list[tuple[str, Fix]]]:
        """The newest fix of all who are on duty here, to fill an empty Redis again."""
        found: dict[str, list[tuple[str, Fix]]] = {}
        for (campus_id, runner_id), runner in self._runners.items():
            if runner.newest is not None and (campus_id, runner_id) not in self._off_duty:
                found.setdefault(campus_id, []).append((runner_id, runner.newest))
        return found

    def flush(self) -> Flushed:
        """Take what has come since the last flush."""
        newest: dict[str, list[tuple[str, Fix]]] = {}
        for (campus_id, runner_id), fix in self._dirty.items():
            newest.setdefault(campus_id, []).append((runner_id, fix))
        track, self._track = self._track, {}
        self._dirty = {}
        self._track_size = 0
        return Flushed(newest, track)
