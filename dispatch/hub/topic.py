"""One topic and one campus as a worker of the hub knows them: plain state, changed by ``Topics``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ages import Skew
from .frames import PositionRow
from .resume import EventRecord, Seam

if TYPE_CHECKING:
    from .connection import Connection
    from .view import View

_KINDS = frozenset({"order", "runner", "hall", "console"})


class Topic:
    """One topic of one campus, for as long as somebody on this worker follows it."""

    __slots__ = (
        "ahead", "campus", "epoch", "healing", "is_established", "joining", "kind", "must_heal", "name", "offset",
        "runner_id", "views",
    )  # fmt: skip

    def __init__(self, campus: Campus, name: str) -> None:
        self.campus = campus
        self.name = name
        self.kind = name.partition(":")[0]
        self.views: list[View] = []  # none is empty; those of one look stand together
        self.joining: dict[Connection, Seam] = {}
        self.runner_id = ""  # whose position the topic shows; a console shows everybody's
        self.is_established = False  # whether offset and epoch are those of the last event delivered here
        self.offset = 0
        self.ahead = 0  # no follower has any event behind this offset already
        self.epoch = ""
        self.healing: list[EventRecord] | None = None  # live events held back while a hole is being filled
        self.must_heal = False  # the bus was away while the first follower was joining

    @property
    def is_deserted(self) -> bool:
        return not self.views and not self.joining

    @property
    def followers(self) -> list[Connection]:
        return [follower for view in self.views for follower in view.followers]

    def view_of(self, connection: Connection) -> View | None:
        for view in self.views:
            if connection in view.followers:
                return view
        return None

    def end_joining(self, connection: Connection) -> Seam | None:
        """The connection's past is here, or is not waited for any more."""
        seam = self.joining.pop(connection, None)
        if not self.joining:
            self.joining = {}  # a dict that was filled once stays large
        return seam

    def remove(self, connection: Connection) -> None:
        """The connection is shown nothing more of the topic."""
        view = self.view_of(connection)
        if view is not None:
            del view.followers[connection]
            if not view.followers:
                self.views.remove(view)


class Campus:
    """What this worker knows of one campus."""

    __slots__ = ("console", "id", "positions", "skews", "topics", "watched")

    def __init__(self, campus_id: str) -> None:
        self.id = campus_id
        self.topics: dict[str, Topic] = {}
        self.console: Topic | None = None  # while it has a follower
        self.positions: dict[str, PositionRow] = {}  # of the runners who are followed here
        self.skews: dict[str, Skew] = {}  # of the same
        self.watched: dict[str, list[Topic]] = {}  # runner id → the topics that show its position


def is_topic_name(name: str, campus_id: str) -> bool:
    """Whether the name has the form of a topic; hall and console must be of the connection's own campus."""
    kind, mark, subject = name.partition(":")
    if not mark or not subject or kind not in _KINDS:
        return False
    return subject == campus_id if kind in ("hall", "console") else True
