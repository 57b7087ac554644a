"""The state lane: which positions are kept here and for whom, and what of them each follower is shown."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from .ages import Ages
from .frames import Gone, PositionRow, Positions, ServerFrame
from .topic import Campus, Topic

if TYPE_CHECKING:
    from .connection import Connection

#: Rows per frame when a follower is shown everybody at once.
ROWS_PER_FRAME = 500


class Asks(Protocol):
    """What topics ask of the process around them; none of the calls waits."""

    def start_heal(self, topic: Topic) -> None:
        """The topic's events have a hole: fetch what it missed and call ``Topics.healed`` or ``restart``."""

    def locate(self, campus_id: str, runner_ids: Sequence[str] | None) -> None:
        """Find out where these runners (None: all) are now, and bring the answer to ``deliver_positions``, no news."""

    def interest_changed(self, campus_id: str) -> None:
        """Other runners than before are followed here: ``StateLane.interest`` says which."""


class _Everybody(Container[str]):
    def __contains__(self, runner_id: object) -> bool:
        return True


#: What a worker wants to hear of where a console is followed.
EVERYBODY: Final[Container[str]] = _Everybody()


class StateLane:
    """Only positions of runners whom somebody here follows are kept; of all others nothing is known here."""

    def __init__(self, asks: Asks, campuses: dict[str, Campus], age_scale: float) -> None:
        """``age_scale`` turns business into real ms."""
        self._asks = asks
        self._campuses = campuses
        self._age_scale = age_scale
        self._changed: dict[str, None] = {}  # campuses whose interest is other than at the last flush
        self.ages = Ages()
        self.delivered = 0
        self.conflated = 0

    # --- interest

    def wants(self, campus_id: str) -> Container[str] | None:
        """Whose positions anybody here is shown: None nobody's, else the runners (``EVERYBODY`` all of them).

        Not a copy: for use at once, so that nothing is built for a fix that nobody sees."""
        campus = self._campuses.get(campus_id)
        if campus is None:
            return None
        if campus.console is not None:
            return EVERYBODY
        return campus.watched or None

    def interest(self, campus_id: str) -> frozenset[str] | None:
        """The runners who are followed here, to be told to others: empty nobody, None everybody."""
        campus = self._campuses.get(campus_id)
        if campus is None:
            return frozenset()
        return None if campus.console is not None else frozenset(campus.watched)

    def tell_interest(self) -> None:
        """Once per flush: say where it has changed."""
        if self._changed:
            changed, self._changed = self._changed, {}
            for campus_id in changed:
                self._asks.interest_changed(campus_id)

    def locate_again(self, campus: Campus) -> None:
        """Positions may have been missed: ask where all are who are followed here."""
        if campus.console is not None:
            self._asks.locate(campus.id, None)
        elif campus.watched:
            self._asks.locate(campus.id, list(campus.watched))

    def watch(self, topic: Topic, runner_id: str) -> None:
        """The topic shows this runner from now on, and nobody else (``""``: nobody)."""
        campus, former = topic.campus, topic.runner_id
        self.unwatch(topic)
        topic.runner_id = runner_id
        if former and former in campus.positions:
            self._send_all(topic, Gone(topic.name, [former]))
        self._drop_unwatched(campus, former)
        if not runner_id:
            return
        watchers = campus.watched.get(runner_id)
        if watchers is None:
            watchers = campus.watched[runner_id] = []
            if campus.console is None:
                self._changed[campus.id] = None
                self._asks.locate(campus.id, [runner_id])
        watchers.append(topic)
        row = campus.positions.get(runner_id)
        if row is not None:
            self._spread(topic, (row,), None)

    def unwatch(self, topic: Topic) -> None:
        """The topic shows nobody any more; its followers are not told."""
        campus, runner_id = topic.campus, topic.runner_id
        topic.runner_id = ""
        watchers = campus.watched.get(runner_id)
        if watchers and topic in watchers:
            watchers.remove(topic)
            if not watchers:
                del campus.watched[runner_id]
                if campus.console is None:
                    self._changed[campus.id] = None

    def _drop_unwatched(self, campus: Campus, runner_id: str) -> None:
        if campus.console is None and runner_id not in campus.watched:
            campus.positions.pop(runner_id, None)

    def desert(self, topic: Topic) -> None:
        """Nobody follows the topic any more."""
        campus, runner_id = topic.campus, topic.runner_id
        if runner_id:
            self.unwatch(topic)
            self._drop_unwatched(campus, runner_id)
        if campus.console is topic:
            campus.console = None
            watched = campus.watched
            campus.positions = {one: row for one, row in campus.positions.items() if one in watched}
            self._changed[campus.id] = None

    def admit(self, topic: Topic) -> None:
        """The topic is about to have a follower."""
        campus = topic.campus
        if topic.kind == "console" and campus.console is None:
            campus.console = topic
            self._changed[campus.id] = None
            self._asks.locate(campus.id, None)

    def show_newest(self, connection: Connection, topic: Topic) -> None:
        """A new follower is shown where everybody is whom the topic shows."""
        positions = topic.campus.positions
        if topic.kind == "console":
            self._show(connection, topic, list(positions.values()), None)
        elif topic.runner_id in positions:
            self._show(connection, topic, [positions[topic.runner_id]], None)

    # --- what arrives

    def deliver(self, campus_id: str, rows: Iterable[PositionRow], now_ms: int, *, is_news: bool = True) -> None:
        """Newest positions, from here or from another worker; one that is older than what is known is left out.

        ``is_news`` False: read from where positions are kept, so that they say nothing about freshness."""
        campus = self._campuses.get(campus_id)
        if campus is None:
            return
        watched, console = campus.watched, campus.console
        if console is None and not watched:
            return
        newest = campus.positions
        seen_ms = now_ms if is_news else None
        fresh: list[PositionRow] = []
        for row in rows:
            runner_id = row[0]
            topics = watched.get(runner_id)
            if topics is None and console is None:
                continue
            known = newest.get(runner_id)
            if known is not None and row[3] <= known[3]:
                continue
            newest[runner_id] = row
            if console is not None:
                fresh.append(row)
            if topics is not None:
                for topic in topics:
                    self._spread(topic, (row,), seen_ms)
        if fresh and console is not None:
            self._spread(console, fresh, seen_ms)

    def gone(self, campus_id: str, runner_ids: Sequence[str]) -> None:
        """These runners are off duty or were not heard of: take them off the maps."""
        campus = self._campuses.get(campus_id)
        if campus is None:
            return
        known = [runner_id for runner_id in runner_ids if campus.positions.pop(runner_id, None) is not None]
        if campus.console is not None and known:
            self._send_all(campus.console, Gone(campus.console.name, known))
        for runner_id in known:
            for topic in campus.watched.get(runner_id, ()):
                self._send_all(topic, Gone(topic.name, [runner_id]))

    def drop_silent(self, before_ms: int) -> None:
        """Take off the maps who was last heard of before ``before_ms``, also where word of it was lost."""
        for campus_id, campus in self._campuses.items():
            silent = [runner_id for runner_id, row in campus.positions.items() if row[7] < before_ms]
            if silent:
                self.gone(campus_id, silent)

    def catch_up(self, connection: Connection, now_ms: int) -> None:
        """The watcher reads again: show it the newest of what it skipped."""
        for topic, runner_ids in connection.queue.take_skipped().items():
            positions = topic.campus.positions
            shown = runner_ids if topic.kind == "console" else runner_ids & {topic.runner_id}
            self._show(connection, topic, [positions[r] for r in shown if r in positions], now_ms)

    # --- what goes out

    def _spread(self, topic: Topic, rows: Sequence[PositionRow], now_ms: int | None) -> None:
        frames: dict[object, bytes] = {}
        count = 0
        for follower in topic.followers:
            if follower.is_lagging:
                self.conflated += follower.queue.skip(topic, [row[0] for row in rows])
                continue
            look = follower.look
            raw = frames.get(look)
            if raw is None:
                raw = frames[look] = look.encode(Positions(topic.name, look.rows(rows)))
            follower.put_raw(raw)
            count += 1
        if count and now_ms is not None:
            self.delivered += count * len(rows)
            scale, ages = self._age_scale, self.ages
            for row in rows:
                ages.add((now_ms - row[7]) * scale, count)

    def _show(self, connection: Connection, topic: Topic, rows: list[PositionRow], now_ms: int | None) -> None:
        """``now_ms`` None: what a new follower is shown first says nothing about freshness."""
        for start in range(0, len(rows), ROWS_PER_FRAME):
            part = rows[start : start + ROWS_PER_FRAME]
            connection.put(Positions(topic.name, connection.look.rows(part)))
        if now_ms is not None:
            self.delivered += len(rows)
            for row in rows:
                self.ages.add((now_ms - row[7]) * self._age_scale)

    def _send_all(self, topic: Topic, frame: ServerFrame) -> None:
        encoded: dict[object, bytes] = {}
        for follower in topic.followers:
            raw = encoded.get(follower.codec)
            if raw is None:
                raw = encoded[follower.codec] = follower.codec.encode(frame)
            follower.put_raw(raw)
