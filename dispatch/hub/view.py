"""A view: what all followers see alike who asked for the same look, part of the map and rhythm; built once for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .frames import Box, PositionRow

if TYPE_CHECKING:
    from .connection import Connection
    from .look import Look
    from .topic import Topic

#: Rows per frame when a follower is shown everybody at once.
ROWS_PER_FRAME = 500


class View:
    """Followers of one topic, and what has yet to be shown to them. Plain state, changed by ``StateLane``."""

    __slots__ = (
        "_head", "box", "dirty", "due", "every", "followers", "inside", "is_immediate", "is_waiting", "look", "topic",
    )  # fmt: skip

    def __init__(self, topic: Topic, look: Look, box: Box | None, every: int) -> None:
        """``box`` is in WGS-84; ``every`` counts flushes."""
        self.topic = topic
        self.look = look
        self.box = box
        self.every = every
        #: follower → offset up to which it has every event already, from its past
        self.followers: dict[Connection, int] = {}
        #: whether a position is written with the flush that brings it; a console gathers who moved
        self.is_immediate = every == 1 and topic.kind != "console"
        self.dirty: dict[str, None] = {}  # runners who moved since the last frame, in order
        self.is_waiting = False
        self.due = 0  # the flush from which on the next frame may be written
        self.inside: set[str] | None = None if box is None else set()  # whom any follower may see in the box
        self._head = look.head(topic.name)

    def frame(self, rows: Sequence[PositionRow]) -> bytes:
        """A ``pos`` frame with these rows; of very many rows, several frames."""
        if len(rows) <= ROWS_PER_FRAME:
            return self.look.positions(self._head, rows)
        parts = (rows[at : at + ROWS_PER_FRAME] for at in range(0, len(rows), ROWS_PER_FRAME))
        return b"".join([self.look.positions(self._head, part) for part in parts])

    def enter(self, rows: Iterable[PositionRow]) -> list[PositionRow]:
        """The rows within the box, which a follower is about to see."""
        if self.box is None or self.inside is None:
            return list(rows)
        chosen = within(self.box, rows)
        self.inside.update([row[0] for row in chosen])
        return chosen

    def news(self, rows: Sequence[PositionRow]) -> Sequence[PositionRow]:
        """The rows that all followers must be told: those within the box, and once more who has left it."""
        inside = self.inside
        if self.box is None or inside is None:
            return rows
        south, west, north, east = self.box
        told = []
        for row in rows:
            if south <= row[1] <= north and west <= row[2] <= east:
                inside.add(row[0])
                told.append(row)
            elif row[0] in inside:
                inside.discard(row[0])
                told.append(row)
        return told

    def take(self, positions: Mapping[str, PositionRow]) -> Sequence[PositionRow]:
        """What has happened since the last frame."""
        dirty, self.dirty = self.dirty, {}
        return self.news([positions[runner_id] for runner_id in dirty if runner_id in positions])


def within(box: Box, rows: Iterable[PositionRow]) -> list[PositionRow]:
    south, west, north, east = box
    return [row for row in rows if south <= row[1] <= north and west <= row[2] <= east]
