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
        is_newer = runner.newest is None or fix.fixed_at_ms > runner.newest.fixed_at_ms
        if is_newer and check(runner.state, fix, fix.received_at_ms, self._rules) is Verdict.LIVE:
            runner.newest = fix

    def forget(self, campus_id: str, runner_id: str) -> None:
        """This runner's position is nobody's business any more; what is on its way into the track belongs there."""
        self._runners.pop((campus_id, runner_id), None)
        self._dirty.pop((campus_id, runner_id), None)

    def newest(self, campus_id: str, runner_id: str) -> Fix | None:
        runner = self._runners.get((campus_id, runner_id))
        return runner.newest if runner else None

    def forget_silent(self, before_ms: int) -> int:
        """Drop what is known of runners of whom nothing was believed since ``before_ms``; how many there were."""
        silent = [k for k, r in self._runners.items() if r.newest is None or r.newest.received_at_ms < before_ms]
        for key in silent:
            del self._runners[key]
        return len(silent)

    def everybody(self, since_ms: int) -> dict[str, list[tuple[str, Fix]]]:
        """The newest fix of all who were heard of since ``since_ms``, to fill an empty Redis again."""
        found: dict[str, list[tuple[str, Fix]]] = {}
        for (campus_id, runner_id), runner in self._runners.items():
            if runner.newest is not None and runner.newest.received_at_ms >= since_ms:
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
