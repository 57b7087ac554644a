"""Topics: who follows what, whose position a topic shows, the newest positions, and the frames of each flush."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from .ages import Ages
from .frames import Closed, EventFrame, Followed, Gone, PositionRow, Positions, ServerFrame, Snapshot
from .resume import MAX_HELD, EventRecord, Past, Seam
from .topic import Campus, Topic

if TYPE_CHECKING:
    from .connection import Connection

#: Rows per frame when a follower is shown everybody at once.
ROWS_PER_FRAME = 500


class Topics:
    """All topics of one worker. Pure: what must be fetched from elsewhere is asked for through ``heal``."""

    def __init__(self, heal: Callable[[Topic], None], age_scale: float = 1.0) -> None:
        """``heal`` is called when a topic's events have a hole; ``age_scale`` turns business into real ms."""
        self._heal = heal
        self._age_scale = age_scale
        self._campuses: dict[str, Campus] = {}
        self.ages = Ages()
        self.positions_delivered = 0
        self.positions_conflated = 0
        self.events_delivered = 0
        self.heals = 0

    def campus(self, campus_id: str) -> Campus:
        campus = self._campuses.get(campus_id)
        if campus is None:
            campus = self._campuses[campus_id] = Campus(campus_id)
        return campus

    def campus_ids(self) -> list[str]:
        return list(self._campuses)

    def drop_campus(self, campus_id: str) -> None:
        """Nobody of this campus is connected here any more."""
        self._campuses.pop(campus_id, None)

    def find(self, campus_id: str, name: str) -> Topic | None:
        campus = self._campuses.get(campus_id)
        return campus.topics.get(name) if campus else None

    @property
    def topic_count(self) -> int:
        return sum(len(campus.topics) for campus in self._campuses.values())

    # --- following

    def begin(self, connection: Connection, campus_id: str, name: str, re: int | None) -> Topic:
        """From now on hold live events of the topic for this connection, until ``complete`` brings its past."""
        campus = self.campus(campus_id)
        topic = campus.topics.get(name)
        if topic is None:
            topic = campus.topics[name] = Topic(campus, name)
            if topic.kind == "console":
                campus.console = topic
        topic.followers.pop(connection, None)
        topic.joining[connection] = Seam(re)
        return topic

    def complete(self, connection: Connection, topic: Topic, past: Past, now_ms: int) -> None:
        """Show the connection its past, then what was held, then positions; it follows live from here on."""
        seam = topic.joining.pop(connection, None)
        if seam is None:
            return  # left in the meantime
        connection.put(Followed(topic.name, past.is_recovered, past.offset, past.epoch, seam.re))
        if not past.is_recovered:
            connection.put(Snapshot(topic.name, past.snapshot))
        live, is_whole = seam.live_after(past)
        told = [*past.events, *live]
        for event in told:
            connection.put_raw(connection.look.event(_event_frame(event)))
        self.events_delivered += len(told)
        offset = live[-1].offset if live else past.offset
        ending = next((event.close for event in told if event.close), None)
        if ending is not None:
            connection.put(Closed(topic.name, ending))
            connection.topics.discard(topic)
            self._desert(topic)
            return
        # An event behind the past is newer than the answer that came with it.
        watch = next((event.watch for event in reversed(live) if event.watch is not None), past.watch)
        if watch is not None:
            self.bind(topic, watch, now_ms)
        topic.followers[connection] = offset
        if not topic.is_established:
            topic.is_established = True
            topic.offset, topic.epoch = offset, past.epoch
        self._show_newest(connection, topic)
        if topic.must_heal or not is_whole or not past.epoch or past.epoch != topic.epoch:
            topic.must_heal = False
            self.start_healing(topic)

    def give_up(self, connection: Connection, topic: Topic) -> None:
        """The connection may not follow it after all."""
        topic.joining.pop(connection, None)
        connection.topics.discard(topic)
        self._desert(topic)

    def leave(self, connection: Connection, topic: Topic) -> None:
        topic.followers.pop(connection, None)
        topic.joining.pop(connection, None)
        connection.topics.discard(topic)
        connection.queue.forget(topic)
        self._desert(topic)

    def _desert(self, topic: Topic) -> None:
        if topic.is_deserted:
            self._unwatch(topic)
            topic.campus.topics.pop(topic.name, None)
            if topic.campus.console is topic:
                topic.campus.console = None

    # --- events

    def deliver_event(self, campus_id: str, event: EventRecord, now_ms: int) -> None:
        """A live event from the bus: to the followers if it is the next one, else the topic is healed first."""
        topic = self.find(campus_id, event.topic)
        if topic is None:
            return
        for seam in topic.joining.values():
            seam.hold(event)
        if not topic.is_established or not topic.followers:
            # The next to complete its joining says anew where the topic stands.
            topic.is_established = False
            return
        if topic.healing is not None:
            if len(topic.healing) < MAX_HELD:
                topic.healing.append(event)
            else:
                topic.must_heal = True
            return
        self._take(topic, event, now_ms)

    def _take(self, topic: Topic, event: EventRecord, now_ms: int) -> None:
        if event.epoch == topic.epoch and event.offset <= topic.offset:
            return
        if event.epoch != topic.epoch or event.offset != topic.offset + 1:
            self.start_healing(topic)
            return
        topic.offset = event.offset
        self._tell(topic, event, now_ms)

    def _tell(self, topic: Topic, event: EventRecord, now_ms: int) -> None:
        frame = _event_frame(event)
        encoded: dict[object, bytes] = {}
        for follower, has_until in topic.followers.items():
            if event.offset <= has_until:
                continue
            look = follower.look
            raw = encoded.get(look)
            if raw is None:
                raw = encoded[look] = look.event(frame)
            follower.put_raw(raw)
            self.events_delivered += 1
        if event.watch is not None:
            self.bind(topic, event.watch, now_ms)
        if event.close is not None:
            self.close(topic, event.close)

    def close(self, topic: Topic, code: str) -> None:
        """The topic has ended; its followers are told why."""
        for follower in list(topic.followers):
            follower.put(Closed(topic.name, code))
            self.leave(follower, topic)

    def start_healing(self, topic: Topic) -> None:
        """Hold live events back and have what is missing fetched; ``healed`` or ``restart`` ends it."""
        if topic.healing is None:
            topic.healing = []
            self.heals += 1
            self._heal(topic)

    def healed(self, topic: Topic, past: Past, now_ms: int) -> bool:
        """What was missed is here: deliver it and go on; False: still not whole, it must be healed again."""
        held, topic.healing = topic.healing or [], None
        if not past.is_recovered:
            return False
        topic.epoch = past.epoch
        for event in past.events:
            self._take(topic, event, now_ms)
        for event in held:
            if topic.healing is None:
                self._take(topic, event, now_ms)
        if topic.must_heal:
            topic.must_heal = False
            self.start_healing(topic)
        return True

    def restart(self, topic: Topic) -> list[Connection]:
        """The past is lost (a new epoch): every follower must begin again with a snapshot; returns them."""
        topic.healing = None
        topic.is_established = False
        followers = list(topic.followers)
        for follower in followers:
            del topic.followers[follower]
            topic.joining[follower] = Seam(None)
        return followers

    def suspect_all(self, campus_id: str) -> None:
        """The bus was away: any topic of the campus may have a hole."""
        campus = self._campuses.get(campus_id)
        for topic in list(campus.topics.values()) if campus else ():
            if topic.joining:
                topic.must_heal = True
            if topic.followers:
                if topic.healing is None:
                    self.start_healing(topic)
                else:
                    topic.must_heal = True

    # --- positions

    def bind(self, topic: Topic, runner_id: str, now_ms: int) -> None:
        """The topic shows this runner's position from now on (``""``: nobody's)."""
        former = topic.runner_id
        if former == runner_id:
            return
        self._unwatch(topic)
        topic.runner_id = runner_id
        if former and former in topic.campus.positions:
            self._send_all(topic, Gone(topic.name, [former]))
        if former:
            # Whoever carried it is no party of the order any more.
            for follower in [f for f in topic.followers if f.account_id == former and topic.kind == "order"]:
                follower.put(Closed(topic.name, "not_permitted"))
                self.leave(follower, topic)
        if runner_id:
            topic.campus.watched.setdefault(runner_id, []).append(topic)
            row = topic.campus.positions.get(runner_id)
            if row is not None:
                self._spread(topic, (row,), None)

    def _unwatch(self, topic: Topic) -> None:
        watchers = topic.campus.watched.get(topic.runner_id)
        if watchers and topic in watchers:
            watchers.remove(topic)
            if not watchers:
                del topic.campus.watched[topic.runner_id]
        topic.runner_id = ""

    def deliver_positions(
        self, campus_id: str, rows: Iterable[PositionRow], now_ms: int, *, is_news: bool = True
    ) -> None:
        """Newest positions, from here or from another worker; one that is older than what is known is left out.

        ``is_news`` False: read from where positions are kept, so that they say nothing about freshness."""
        campus = self.campus(campus_id)
        newest = campus.positions
        fresh: list[PositionRow] = []
        for row in rows:
            known = newest.get(row[0])
            if known is None or row[3] > known[3]:
                newest[row[0]] = row
                fresh.append(row)
        if campus.console is not None and fresh:
            self._spread(campus.console, fresh, now_ms if is_news else None)
        watched = campus.watched
        if watched:
            for row in fresh:
                for topic in watched.get(row[0], ()):
                    self._spread(topic, (row,), now_ms if is_news else None)

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

    def _spread(self, topic: Topic, rows: Sequence[PositionRow], now_ms: int | None) -> None:
        frames: dict[object, bytes] = {}
        count = 0
        for follower in topic.followers:
            if follower.is_lagging:
                self.positions_conflated += follower.queue.skip(topic, [row[0] for row in rows])
                continue
            look = follower.look
            raw = frames.get(look)
            if raw is None:
                raw = frames[look] = look.encode(Positions(topic.name, look.rows(rows)))
            follower.put_raw(raw)
            count += 1
        if count and now_ms is not None:
            self.positions_delivered += count * len(rows)
            scale, ages = self._age_scale, self.ages
            for row in rows:
                ages.add((now_ms - row[7]) * scale, count)

    def _show_newest(self, connection: Connection, topic: Topic) -> None:
        positions = topic.campus.positions
        if topic.kind == "console":
            self._show(connection, topic, list(positions.values()), None)
        elif topic.runner_id in positions:
            self._show(connection, topic, [positions[topic.runner_id]], None)

    def _show(self, connection: Connection, topic: Topic, rows: list[PositionRow], now_ms: int | None) -> None:
        """``now_ms`` None: what a new follower is shown first says nothing about freshness."""
        for start in range(0, len(rows), ROWS_PER_FRAME):
            part = rows[start : start + ROWS_PER_FRAME]
            connection.put(Positions(topic.name, connection.look.rows(part)))
        if now_ms is not None:
            self.positions_delivered += len(rows)
            for row in rows:
                self.ages.add((now_ms - row[7]) * self._age_scale)

    def _send_all(self, topic: Topic, frame: ServerFrame) -> None:
        encoded: dict[object, bytes] = {}
        for follower in topic.followers:
            raw = encoded.get(follower.codec)
            if raw is None:
                raw = encoded[follower.codec] = follower.codec.encode(frame)
            follower.put_raw(raw)


def _event_frame(event: EventRecord) -> EventFrame:
    return EventFrame(event.topic, event.offset, event.id, event.kind, event.at_ms, event.data)
