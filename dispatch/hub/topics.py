"""Topics: who follows what, and the event lane: what is told in order, held back, and fetched where there is a hole."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING

from .frames import Box, Closed, EventFrame, Followed, PositionRow, Snapshot
from .resume import MAX_HELD, EventRecord, Past, Seam
from .rules import Rules
from .state_lane import Asks, StateLane
from .topic import Campus, Topic

if TYPE_CHECKING:
    from .connection import Connection


class Topics:
    """All topics of one worker. Pure: what must be fetched from elsewhere is asked for."""

    def __init__(self, asks: Asks, rules: Rules) -> None:
        self._asks = asks
        self._campuses: dict[str, Campus] = {}
        self.state = StateLane(asks, self._campuses, rules)
        self.ages = self.state.freshness.ages
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

    def begin(
        self,
        connection: Connection,
        campus_id: str,
        name: str,
        re: int | None,
        every_ms: int | None = None,
        box: Box | None = None,
    ) -> Topic:
        """From now on hold live events of the topic for this connection, until ``complete`` brings its past.

        ``every_ms`` and ``box`` (in WGS-84): how it wants to see positions, see ``StateLane.change_view``."""
        campus = self.campus(campus_id)
        topic = campus.topics.get(name)
        if topic is None:
            topic = campus.topics[name] = Topic(campus, name)
        topic.remove(connection)
        topic.joining[connection] = Seam(re, every_ms, box)
        return topic

    def complete(self, connection: Connection, topic: Topic, past: Past) -> bool:
        """Show the connection its past, then what was held, then positions; it follows live from here on.

        False: its past was read before events that the topic has told others by now, and that were not held for it
        (others brought them along, or they filled a hole). It must be read again."""
        seam = topic.joining.get(connection)
        if seam is None:
            return True  # left in the meantime
        live, is_whole = seam.live_after(past)
        offset = live[-1].offset if live else past.offset
        if topic.is_established and past.epoch == topic.epoch and offset < topic.offset:
            return False
        topic.end_joining(connection)
        connection.put(Followed(topic.name, past.is_recovered, past.offset, past.epoch, seam.re))
        if not past.is_recovered:
            connection.put(Snapshot(topic.name, past.snapshot))
        told = [*past.events, *live]
        for event in told:
            connection.put_raw(connection.look.event(_event_frame(event)))
        self.events_delivered += len(told)
        ending = next((event.close for event in told if event.close), None)
        if ending is not None:
            connection.put(Closed(topic.name, ending))
            self._forget(connection, topic)
            return True
        # An event behind the past is newer than the answer that came with it.
        watch = next((event.watch for event in reversed(live) if event.watch is not None), past.watch)
        if watch is not None:
            self.bind(topic, watch)
        self.state.admit(connection, topic, offset, seam.every_ms, seam.box)
        if not topic.is_established:
            topic.is_established = True
            topic.offset, topic.epoch = offset, past.epoch
        self.state.show_newest(connection, topic, seam.box)
        if topic.must_heal or not is_whole or not past.epoch or past.epoch != topic.epoch:
            topic.must_heal = False
            self.start_healing(topic)
        return True

    def give_up(self, connection: Connection, topic: Topic) -> None:
        """The connection may not follow it after all."""
        topic.end_joining(connection)
        self._forget(connection, topic)

    def leave(self, connection: Connection, topic: Topic) -> None:
        topic.remove(connection)
        topic.end_joining(connection)
        connection.queue.forget(topic)
        self._forget(connection, topic)

    def _forget(self, connection: Connection, topic: Topic) -> None:
        if topic in connection.topics:
            connection.topics.remove(topic)
        if topic.is_deserted:
            self.state.desert(topic)
            topic.campus.topics.pop(topic.name, None)

    # --- events

    def deliver_event(self, campus_id: str, event: EventRecord) -> None:
        """A live event from the bus: to the followers if it is the next one, else the topic is healed first."""
        topic = self.find(campus_id, event.topic)
        if topic is None:
            return
        for seam in topic.joining.values():
            seam.hold(event)
        if not topic.is_established or not topic.views:
            # The next to complete its joining says anew where the topic stands.
            topic.is_established = False
            return
        if topic.healing is not None:
            if len(topic.healing) < MAX_HELD:
                topic.healing.append(event)
            else:
                topic.must_heal = True
            return
        self._take(topic, event)

    def _take(self, topic: Topic, event: EventRecord) -> None:
        if event.epoch == topic.epoch and event.offset <= topic.offset:
            return
        if event.epoch != topic.epoch or event.offset != topic.offset + 1:
            self.start_healing(topic)
            return
        topic.offset = event.offset
        self._tell(topic, event)

    def _tell(self, topic: Topic, event: EventRecord) -> None:
        frame = _event_frame(event)
        look, raw = None, b""
        for view in topic.views:
            if view.look is not look:
                look = view.look
                raw = look.event(frame)
            if event.offset > topic.ahead:
                for follower in view.followers:
                    follower.put_raw(raw)
                self.events_delivered += len(view.followers)
            else:
                for follower, has_until in view.followers.items():
                    if event.offset > has_until:
                        follower.put_raw(raw)
                        self.events_delivered += 1
        if event.watch is not None:
            self.bind(topic, event.watch)
        if event.close is not None:
            self.close(topic, event.close)

    def close(self, topic: Topic, code: str) -> None:
        """The topic has ended; its followers are told why."""
        for follower in topic.followers:
            follower.put(Closed(topic.name, code))
            self.leave(follower, topic)

    def start_healing(self, topic: Topic) -> None:
        """Hold live events back and have what is missing fetched; ``healed`` or ``restart`` ends it."""
        if topic.healing is None:
            topic.healing = []
            self.heals += 1
            self._asks.start_heal(topic)

    def healed(self, topic: Topic, past: Past) -> bool:
        """What was missed is here: deliver it and go on; False: still not whole, it must be healed again."""
        held, topic.healing = topic.healing or [], None
        if not past.is_recovered:
            return False
        topic.epoch = past.epoch
        for event in past.events:
            self._take(topic, event)
        for event in held:
            if topic.healing is None:
                self._take(topic, event)
        if topic.must_heal:
            topic.must_heal = False
            self.start_healing(topic)
        return True

    def restart(self, topic: Topic) -> list[Connection]:
        """The past is lost (a new epoch): every follower must begin again with a snapshot; returns them."""
        topic.healing = None
        topic.is_established = False
        topic.ahead = 0
        followers = topic.followers
        for view in topic.views:
            for follower in view.followers:
                topic.joining[follower] = Seam(None, self.state.every_ms(view), view.box)
            view.followers.clear()
        topic.views.clear()
        return followers

    def suspect_all(self, campus_id: str) -> None:
        """The bus was away: any topic of the campus may have a hole, and positions were missed."""
        campus = self._campuses.get(campus_id)
        if campus is None:
            return
        self.state.locate_again(campus)
        for topic in list(campus.topics.values()):
            if topic.joining:
                topic.must_heal = True
            if topic.views:
                if topic.healing is None:
                    self.start_healing(topic)
                else:
                    topic.must_heal = True

    # --- positions

    def bind(self, topic: Topic, runner_id: str) -> None:
        """The topic shows this runner's position from now on (``""``: nobody's)."""
        former = topic.runner_id
        if former == runner_id:
            return
        self.state.watch(topic, runner_id)
        if former and topic.kind == "order":
            # Whoever carried it is no party of the order any more.
            for follower in [one for one in topic.followers if one.account_id == former]:
                follower.put(Closed(topic.name, "not_permitted"))
                self.leave(follower, topic)

    def wants(self, campus_id: str) -> Container[str] | None:
        """See ``StateLane.wants``."""
        return self.state.wants(campus_id)

    def deliver_positions(self, campus_id: str, rows: Iterable[PositionRow], *, is_news: bool = True) -> None:
        """See ``StateLane.deliver``."""
        self.state.deliver(campus_id, rows, is_news=is_news)

    def gone(self, campus_id: str, runner_ids: Sequence[str]) -> None:
        """These runners are off duty or were not heard of: take them off the maps."""
        self.state.gone(campus_id, runner_ids)

    def drop_silent(self, before_ms: int) -> None:
        """Take off the maps who was last heard of before ``before_ms``, also where word of it was lost."""
        self.state.drop_silent(before_ms)

    def catch_up(self, connection: Connection) -> None:
        """The watcher reads again: show it the newest of what it skipped."""
        self.state.catch_up(connection)


def _event_frame(event: EventRecord) -> EventFrame:
    return EventFrame(event.topic, event.offset, event.id, event.kind, event.at_ms, event.data)
