"""Somebody who watches: keeps every event and the newest dots, and measures how old they are on arrival."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from .accounts import Member
from .client import Client
from .dots import Dots
from .frames import Event, Frame, Gone, Positions
from .histories import Seen

#: ``age(kind, ms)``: one measured age.
OnAge = Callable[[str, float], None]
#: runner → fixed_at_ms → when it was sent, on this process's clock
SentTimes = dict[str, dict[int, float]]


class Watcher(Client):
    """One socket with its topics."""

    def __init__(
        self, member: Member, name: str, luck: Random, sent: SentTimes, on_age: OnAge, *, age_share: float = 1.0
    ) -> None:
        """``age_share``: so many of the positions are measured; consoles see too many to measure each."""
        super().__init__(member, name, luck)
        self.dots = Dots()
        self.positions = 0
        self.is_measured = True
        self._sent, self._on_age, self._age_share = sent, on_age, age_share

    def begun(self, topic: str) -> None:
        self.dots.begin(topic)

    def heard(self, frame: Frame) -> None:
        if isinstance(frame, Positions):
            self.positions += len(frame.p)
            moved = self.dots.show(frame.topic, frame.p)
            if moved and self.is_measured and (self._age_share >= 1.0 or self._luck.random() < self._age_share):
                now_s = time.perf_counter()
                for runner_id, at_ms in moved:
                    sent_s = self._sent.get(runner_id, {}).get(at_ms)
                    if sent_s is not None:
                        self._on_age("positions", (now_s - sent_s) * 1000)
        elif isinstance(frame, Gone):
            self.dots.gone(frame.topic, frame.runners)

    def told(self, event: Event) -> None:
        if self.is_measured and (self._age_share >= 1.0 or self._luck.random() < self._age_share):
            self._on_age("events", float(self.member.house.now_ms() - event.at))

    def stop_reading(self) -> None:
        """Leave everything in the socket, as a phone with a hung page does."""
        if self._wire is not None:
            self._wire.stop_reading()

    def read_again(self) -> None:
        if self._wire is not None:
            self._wire.read_again()

    def ask_again(self, topic: str) -> None:
        """Have a whole snapshot sent, whether it is read or not."""
        self._say({"t": "follow", "topic": topic})

    def seen(self) -> Seen:
        return Seen(
            self.name,
            self.member.id,
            topics=self.topics,
            shown=self.dots.shown,
            positions=self.positions,
            steps_back=self.dots.steps_back,
            older_after_return=self.dots.older_after_return,
            connections=self.connections,
            ends=dict(self.ends),
            errors=dict(self.errors),
            is_connected=self.is_in,
        )
