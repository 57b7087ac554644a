"""The runner's side of a connection: readings in, to be judged; acknowledgements, refusals and a rhythm out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from geo.filters import Reason, Verdict
from geo.fix import Fix

from .frames import Ack, Reading, Refused, ReportEvery, ReportFix, ReportFixes
from .reporting import Reporting
from .rules import Standing

if TYPE_CHECKING:
    from .connection import Connection
    from .host import Host

#: Real milliseconds for which the newest fix of somebody who is not on duty is kept in memory, for when they come on.
HELD_MS = 10_000

#: Fixes that wait while it is found out where the runner was last seen.
MAX_WAITING = 1_000

OFF_DUTY = "off_duty"

_LIVE: Final = Verdict.LIVE
_LATE: Final = Verdict.LATE


class Reporter:
    """Made when a runner says hello. Until it is known where this runner was last seen, fixes wait here."""

    __slots__ = (
        "_accepted",
        "_ack_seq",
        "_connection",
        "_held",
        "_host",
        "_judge_live",
        "_refused",
        "_refused_in_second",
        "_second",
        "_told",
        "_waiting",
        "is_busy",
        "is_tracked",
        "wants_acks",
    )

    def __init__(self, host: Host, connection: Connection) -> None:
        self._host = host
        self._connection = connection
        self.is_tracked = True
        self.is_busy = False
        self.wants_acks = False
        self._told: Reporting | None = None
        self._waiting: list[Fix] | None = []
        self._held: Fix | None = None  # the newest that came while not tracked
        #: judges a fix at once; None while there is anything else to consider about this runner's fixes
        self._judge_live: Callable[[Fix], Verdict | Reason] | None = None
        self._ack_seq = self._accepted = self._refused = 0
        self._second = self._refused_in_second = 0

    # --- who it is

    def begin(self, *, wants_acks: bool) -> None:
        """A hello was answered; its welcome names a rhythm that the books may know better."""
        self.wants_acks = wants_acks
        self._told = None

    def stand(self, standing: Standing) -> None:
        """The books have answered."""
        if not standing.is_tracked:
            self._host.release(self._connection)
        was_tracked, self.is_tracked = self.is_tracked, standing.is_tracked
        self.is_busy = standing.is_busy
        self.tell_rhythm()
        if was_tracked and not self.is_tracked:
            self._host.hide(self._connection)
        held, self._held = self._held, None
        if self.is_tracked and held is not None:
            age_ms = self._host.now_ms - held.received_at_ms
            if age_ms <= HELD_MS * self._host.rules.time_scale:
                self._judge(held)

    def tell_rhythm(self) -> None:
        """Tell the runner how often to report, if that has changed."""
        wanted = self._host.reporting(is_busy=self.is_busy)
        if wanted != self._told:
            self._told = wanted
            self._connection.put(ReportEvery(*wanted))

    def stop_judging(self) -> bool:
        """From now on each fix is considered anew; whether fixes were judged at once until now."""
        was_judging, self._judge_live = self._judge_live is not None, None
        return was_judging

    # --- fixes

    def report(self, frame: ReportFix) -> None:
        """One reading. What is done with a fix before its flush stands here as a whole: it runs for every fix there
        is."""
        judge = self._judge_live
        if judge is None:
            self._judge_or_wait(self._fix(frame))
            return
        lat, lon = frame.lat, frame.lon
        look = self._connection.look
        if not look.is_wgs84:
            lat, lon = look.inside(lat, lon)
        fix = Fix(lat, lon, frame.at, frame.acc, frame.spd, frame.brg, frame.bat, frame.seq, self._host.now_ms)
        verdict = judge(fix)
        if verdict is not _LIVE and verdict is not _LATE:
            self._refuse(verdict.value, fix)
        elif self.wants_acks:
            self._acknowledge(fix)

    def report_many(self, frame: ReportFixes) -> None:
        """Live first: the newest is on the maps at once, the rest fills the track behind it."""
        fixes = [self._fix(reading) for reading in frame.fixes]
        fixes.sort(key=lambda fix: fix.fixed_at_ms, reverse=True)
        for fix in fixes:
            self._judge_or_wait(fix)
        if self.wants_acks and frame.seq is not None and frame.seq > self._ack_seq:
            self._ack_seq = frame.seq

    def ready(self) -> None:
        """It is known where this runner was last seen: judge what has arrived meanwhile."""
        waiting, self._waiting = self._waiting, None
        for fix in waiting or ():
            self._judge(fix)

    def take_ack(self) -> Ack | None:
        """What became of the fixes since the last one, for those who asked to be told."""
        if not (self.wants_acks and (self._accepted or self._refused)):
            return None
        ack = Ack(self._ack_seq, self._accepted, self._refused)
        self._accepted = self._refused = 0
        return ack

    def _fix(self, frame: ReportFix | Reading) -> Fix:
        lat, lon = self._connection.look.inside(frame.lat, frame.lon)
        return Fix(lat, lon, frame.at, frame.acc, frame.spd, frame.brg, frame.bat, frame.seq, self._host.now_ms)

    def _judge_or_wait(self, fix: Fix) -> None:
        if self._waiting is None:
            self._judge(fix)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append(fix)
        else:
            self._host.count("fixes_dropped")

    def _judge(self, fix: Fix) -> None:
        if not self.is_tracked:
            if self._held is None or fix.fixed_at_ms > self._held.fixed_at_ms:
                self._held = fix
            self._refuse(OFF_DUTY, fix)
            return
        if self._judge_live is None:
            self._judge_live = self._host.judge_of(self._connection)
        verdict = self._judge_live(fix)
        if verdict is not _LIVE and verdict is not _LATE:
            self._refuse(verdict.value, fix)
        elif self.wants_acks:
            self._acknowledge(fix)

    def _acknowledge(self, fix: Fix) -> None:
        self._accepted += 1
        if fix.seq is not None and fix.seq > self._ack_seq:
            self._ack_seq = fix.seq
        self._connection.touch()

    def _refuse(self, code: str, fix: Fix) -> None:
        self._refused += 1
        if fix.seq is not None and fix.seq > self._ack_seq:
            self._ack_seq = fix.seq
        if self._second != self._host.second:
            self._second, self._refused_in_second = self._host.second, 0
        self._refused_in_second += 1
        if self._refused_in_second <= self._host.rules.refused_per_s:
            self._connection.put(Refused(code, fix.fixed_at_ms, fix.seq))
        if self.wants_acks:
            self._connection.touch()
