"""Track a runner: judge each fix as it arrives and keep what the next flush carries on; nothing here waits.

The table is one worker's: a runner's connection lives on one worker at a time, so its filter state does too.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from geo.filters import DEFAULT_RULES, FilterRules, FilterState, Reason, Verdict, check
from geo.fix import Fix

#: Fixes kept for the tracks until the next flush, for all runners of a campus together; beyond them the track has a
#: hole, never the map.
MAX_LATE = 20_000

_LIVE, _LATE = Verdict.LIVE, Verdict.LATE

Fixes = list[tuple[str, Fix]]


class Flushed(NamedTuple):
    """What one flush takes: per campus the newest fix of each runner that moved, and all fixes for the tracks."""

    newest: dict[str, Fixes]
    track: dict[str, Fixes]


class _Campus:
    """What waits for the next flush, and what became of the fixes of one campus."""

    __slots__ = ("dirty", "dropped", "late", "live", "refused", "track")

    def __init__(self) -> None:
        self.dirty: dict[str, Fix] = {}
        self.track: Fixes = []
        self.live = self.late = self.dropped = 0
        self.refused: Counter[Reason] = Counter()


class RunnerTrack:
    """One runner as this worker knows it; whoever reads the runner's socket holds it and judges by it."""

    __slots__ = ("_campus", "_rules", "holders", "newest", "runner_id", "state")

    def __init__(self, campus: _Campus, runner_id: str, rules: FilterRules) -> None:
        self._campus = campus
        self._rules = rules
        self.runner_id = runner_id
        self.holders = 0
        self.state = FilterState()
        self.newest: Fix | None = None

    def judge(self, fix: Fix) -> Verdict | Reason:
        """Judge one fix at its time of receipt; an accepted one waits for the next flush."""
        verdict = check(self.state, fix, fix.received_at_ms, self._rules)
        campus = self._campus
        if verdict is _LIVE:
            campus.live += 1
            self.newest = campus.dirty[self.runner_id] = fix
        elif verdict is _LATE:
            campus.late += 1
        else:
            campus.refused[verdict] += 1  # type: ignore[index]
            return verdict
        if len(campus.track) < MAX_LATE:
            campus.track.append((self.runner_id, fix))
        else:
            campus.dropped += 1
        return verdict


class LiveTable:
    """Filter state and newest fix of each runner that reports to this worker."""

    def __init__(self, rules: FilterRules = DEFAULT_RULES) -> None:
        self._rules = rules
        self._campuses: dict[str, _Campus] = {}
        self._runners: dict[tuple[str, str], RunnerTrack] = {}

    def __len__(self) -> int:
        return len(self._runners)

    @property
    def dropped(self) -> int:
        """Readings that no track has because too many came within one flush."""
        return sum(campus.dropped for campus in self._campuses.values())

    def hold(self, campus_id: str, runner_id: str) -> RunnerTrack:
        """The runner's track for somebody who will report to it, until ``release``."""
        runner = self._runner(campus_id, runner_id)
        runner.holders += 1
        return runner

    def release(self, campus_id: str, runner_id: str) -> None:
        """One who held the runner's track has gone; what is known stays for their return."""
        runner = self._runners.get((campus_id, runner_id))
        if runner is not None and runner.holders:
            runner.holders -= 1

    def _runner(self, campus_id: str, runner_id: str) -> RunnerTrack:
        key = (campus_id, runner_id)
        runner = self._runners.get(key)
        if runner is None:
            campus = self._campuses.get(campus_id)
            if campus is None:
                campus = self._campuses[campus_id] = _Campus()
            runner = self._runners[key] = RunnerTrack(campus, runner_id, self._rules)
        return runner

    def seed(self, campus_id: str, runner_id: str, fix: Fix) -> None:
        """Where the runner was last seen, as another worker knew it: an older fix will not move the dot back."""
        runner = self._runner(campus_id, runner_id)
        is_newer = runner.newest is None or fix.fixed_at_ms > runner.newest.fixed_at_ms
        if is_newer and check(runner.state, fix, fix.received_at_ms, self._rules) is Verdict.LIVE:
            runner.newest = fix

    def forget(self, campus_id: str, runner_id: str) -> None:
        """This runner's position is nobody's business any more; what is on its way into the track belongs there."""
        runner = self._runners.pop((campus_id, runner_id), None)
        if runner is not None:
            self._campuses[campus_id].dirty.pop(runner_id, None)

    def newest(self, campus_id: str, runner_id: str) -> Fix | None:
        runner = self._runners.get((campus_id, runner_id))
        return runner.newest if runner else None

    def forget_silent(self, before_ms: int) -> int:
        """Drop what is known of runners who are not connected and of whom nothing was believed since ``before_ms``;
        how many there were."""
        silent = [
            key
            for key, runner in self._runners.items()
            if not runner.holders and (runner.newest is None or runner.newest.received_at_ms < before_ms)
        ]
        for key in silent:
            del self._runners[key]
        return len(silent)

    def everybody(self, since_ms: int) -> dict[str, Fixes]:
        """The newest fix of all who were heard of since ``since_ms``, to fill an empty Redis again."""
        found: dict[str, Fixes] = {}
        for (campus_id, runner_id), runner in self._runners.items():
            if runner.newest is not None and runner.newest.received_at_ms >= since_ms:
                found.setdefault(campus_id, []).append((runner_id, runner.newest))
        return found

    def flush(self) -> Flushed:
        """Take what has come since the last flush."""
        newest: dict[str, Fixes] = {}
        track: dict[str, Fixes] = {}
        for campus_id, campus in self._campuses.items():
            if campus.dirty:
                newest[campus_id] = list(campus.dirty.items())
                campus.dirty = {}
            if campus.track:
                track[campus_id], campus.track = campus.track, []
        return Flushed(newest, track)

    def counts(self) -> dict[str, int]:
        """What became of all fixes: ``live``, ``late``, and the refused by reason."""
        found: Counter[str] = Counter()
        for campus in self._campuses.values():
            found["live"] += campus.live
            found["late"] += campus.late
            found.update({reason.value: count for reason, count in campus.refused.items()})
        return dict(found)
