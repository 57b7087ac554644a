"""What waits for one watcher: events in order under a byte bound, and which positions it has yet to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .topic import Topic


class SendQueue:
    """Two lanes. Events are kept until they are taken, or the queue says that it is over its bound. Of positions only
    the runner is noted: when the watcher reads again it is shown the newest, so a slow one skips and costs little."""

    __slots__ = ("_bound_bytes", "_first", "_rest", "_stale", "size_bytes")

    def __init__(self, bound_bytes: int) -> None:
        self._bound_bytes = bound_bytes
        self._first = b""
        self._rest: list[bytes] | None = None  # most flushes bring a watcher one frame
        self._stale: dict[Topic, set[str]] | None = None
        self.size_bytes = 0

    def put(self, frame: bytes) -> bool:
        """Add to the event lane; False: over the bound, the watcher must be let go."""
        size_bytes = self.size_bytes
        if not size_bytes:
            self._first = frame
        elif self._rest is None:
            self._rest = [frame]
        else:
            self._rest.append(frame)
        self.size_bytes = size_bytes = size_bytes + len(frame)
        return size_bytes <= self._bound_bytes

    def take(self) -> bytes:
        """Everything in the event lane, to be written at once."""
        data, self._first = self._first, b""
        self.size_bytes = 0
        if self._rest is not None:
            data = b"".join((data, *self._rest))
            self._rest = None
        return data

    def skip(self, topic: Topic, runner_ids: Iterable[str]) -> int:
        """Note that these positions changed; how many of them replaced one that had not been shown either."""
        if self._stale is None:
            self._stale = {}
        noted = self._stale.setdefault(topic, set())
        before = len(noted)
        count = 0
        for runner_id in runner_ids:
            noted.add(runner_id)
            count += 1
        return count - (len(noted) - before)

    def take_skipped(self) -> dict[Topic, set[str]]:
        """What to show now that the watcher reads again."""
        stale, self._stale = self._stale, None
        return stale or {}

    def forget(self, topic: Topic) -> None:
        """The watcher no longer follows this topic."""
        if self._stale is not None:
            self._stale.pop(topic, None)
