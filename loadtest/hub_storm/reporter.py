"""A runner's phone: walks in a circle and reports, at times twice, out of order, or by a clock that has jumped."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from random import Random
from typing import Any

from geo.point import Point

from ..actors.walk import moved
from .accounts import Member
from .frames import Ack, Frame, Refused
from .histories import Reported
from .watcher import OnAge, SentTimes, Watcher

RADIUS_M = 40.0
SPEED_MPS = 1.4
MOST_REMEMBERED = 400
DOUBLED_SHARE = SWAPPED_SHARE = 0.2


class Reporter(Watcher):
    """A runner on duty. Hears of offers and the hall like any watcher."""

    def __init__(
        self, member: Member, name: str, luck: Random, sent: SentTimes, on_age: OnAge, home: Point, every_s: float
    ) -> None:
        super().__init__(member, name, luck, sent, on_age)
        self._wants_acks = True
        self._home, self.every_s = home, every_s
        self._phase = luck.uniform(0, 2 * math.pi)
        self.due_s = time.monotonic() + luck.uniform(0, every_s)
        self.is_tricky = False
        self.ahead_ms = 0
        self._seq = 0
        self._last_at_ms = 0
        self._held: tuple[dict[str, Any], bool] | None = None
        #: seq → (at, lat, lon, whether nothing is wrong with it)
        self._open: OrderedDict[int, tuple[int, float, float, bool]] = OrderedDict()
        self.reported = Reported("")

    @property
    def place(self) -> Point:
        angle = self._phase + time.monotonic() * SPEED_MPS / RADIUS_M
        return moved(self._home, RADIUS_M * math.sin(angle), RADIUS_M * math.cos(angle))

    def report(self) -> None:
        """One reading, with what a bad phone makes of it."""
        fix, is_good = self._reading(), not self.ahead_ms
        held, self._held = self._held, None
        if not self.is_in:
            return
        if held is None and self.is_tricky and self._luck.random() < SWAPPED_SHARE:
            self._held = fix, is_good
            return
        self._send(fix, is_good=is_good)
        if held is not None:
            self._send(held[0], is_good=held[1])
        elif self.is_tricky and self._luck.random() < DOUBLED_SHARE:
            self._send(fix, is_good=False)

    def calm(self) -> None:
        """Nothing but good readings from now on."""
        self.is_tricky, self.ahead_ms = False, 0

    @property
    def is_answered(self) -> bool:
        return not self._open

    def _reading(self) -> dict[str, Any]:
        at_ms = self.member.house.now_ms() + self.ahead_ms
        if not self.ahead_ms:
            at_ms = self._last_at_ms = max(at_ms, self._last_at_ms + 1)
        place = self.place
        return {"t": "fix", "at": at_ms, "lat": round(place.lat, 7), "lon": round(place.lon, 7), "acc": 5.0}

    def _send(self, fix: dict[str, Any], *, is_good: bool) -> None:
        self._seq += 1
        self.reported.sent += 1
        self._open[self._seq] = (fix["at"], fix["lat"], fix["lon"], is_good)
        if len(self._open) > MOST_REMEMBERED:
            self._open.popitem(last=False)
        if is_good:
            sent = self._sent.setdefault(self.member.id, {})
            sent[fix["at"]] = time.perf_counter()
            if len(sent) > MOST_REMEMBERED:
                del sent[next(iter(sent))]
        self._say({**fix, "seq": self._seq})

    # --- what the server says

    def welcomed(self) -> None:
        # What was on its way when the connection broke may have arrived or not: nobody will say.
        self._open.clear()

    def heard(self, frame: Frame) -> None:
        match frame:
            case Refused():
                self._refused(frame)
            case Ack():
                self.reported.answered += frame.accepted + frame.refused
                while self._open and next(iter(self._open)) <= frame.seq:
                    _, (at_ms, lat, lon, _) = self._open.popitem(last=False)
                    newest = self.reported.accepted
                    if newest is None or at_ms > newest[0]:
                        self.reported.accepted = (at_ms, lat, lon)
            case _:
                super().heard(frame)

    def _refused(self, frame: Refused) -> None:
        counts = self.reported.refused
        counts[frame.code] = counts.get(frame.code, 0) + 1
        fix = self._open.pop(frame.seq or 0, None)
        if fix is not None and fix[3]:
            self.reported.unexpected[frame.code] = self.reported.unexpected.get(frame.code, 0) + 1
