"""The seam between what a returning client missed and what is live: no gap, no double.

While the past of a topic is being fetched for one connection, live events of it are held back here. The fetched
position says where the past ends; of the held events exactly those behind it are still new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .frames import Box

MAX_HELD = 1_000


class EventRecord(Protocol):
    """An event as it arrives from the bus or from the topic's past."""

    @property
    def topic(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def epoch(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def data(self) -> Any: ...
    @property
    def watch(self) -> str | None: ...
    @property
    def close(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Past:
    """What was fetched for one follower: either every event it missed, or a snapshot (``is_recovered`` False).

    ``offset`` and ``epoch`` say where the past ends; an empty epoch means that it is not known (Redis was away).
    """

    is_recovered: bool
    events: Sequence[EventRecord]
    offset: int
    epoch: str
    snapshot: Any = None
    watch: str | None = None


class Seam:
    """What arrives live for a connection whose past is still being fetched."""

    __slots__ = ("_held", "box", "every_ms", "has_overflowed", "re")

    def __init__(self, re: int | None, every_ms: int | None = None, box: Box | None = None) -> None:
        """``every_ms`` and ``box`` (in WGS-84): how the connection wants to see the topic's positions."""
        self.re = re
        self.every_ms = every_ms
        self.box = box
        self.has_overflowed = False
        self._held: list[EventRecord] = []

    def hold(self, event: EventRecord) -> None:
        if len(self._held) >= MAX_HELD:
            self.has_overflowed = True
        else:
            self._held.append(event)

    def live_after(self, past: Past) -> tuple[list[EventRecord], bool]:
        """The held events that follow ``past`` without a gap, and whether that is all of them.

        Not all: an event is missing in between or the numbering began anew; the topic must be healed.
        """
        live: list[EventRecord] = []
        offset = past.offset
        for event in self._held:
            if event.epoch != past.epoch or event.offset > offset + 1:
                return live, False
            if event.offset == offset + 1:
                live.append(event)
                offset = event.offset
        return live, not self.has_overflowed
