"""The state lane: which positions are kept here and for whom, and what of them each follower is shown."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from .ages import Freshness, Skew
from .frames import Box, Gone, PositionRow, ServerFrame, Viewed
from .rules import Rules
from .topic import Campus, Topic
from .view import View, within

if TYPE_CHECKING:
    from .connection import Connection
    from .look import Look

#: Views of one topic that are built apart. Whoever asks for yet another gets the whole campus, at one of these rhythms.
MAX_VIEWS = 64
STEPS_MS = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)


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

    def __init__(self, asks: Asks, campuses: dict[str, Campus], rules: Rules) -> None:
        self._asks = asks
        self._campuses = campuses
        self._rules = rules
        self._changed: dict[str, None] = {}  # campuses whose interest is other than at the last flush
        self._waiting: list[View] = []  # have something to show that is not due yet
        self.flushes = 0
        self.freshness = Freshness(age_scale=1.0 / rules.time_scale)
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

    def interest(self, campus_id: str) -> Collection[str] | None:
        """The runners who are followed here, to be told to others: empty nobody, None everybody. Not a copy."""
        campus = self._campuses.get(campus_id)
        if campus is None:
            return frozenset()
        return None if campus.console is not None else campus.watched.keys()

    def locate_again(self, campus: Campus) -> None:
        """Positions may have been missed: ask where all are who are followed here."""
        if campus.console is not None:
            self._asks.locate(campus.id, None)
        elif campus.watched:
            self._asks.locate(campus.id, list(campus.watched))

    def watch(self, topic: Topic, runner_id: str) -> None:
        """The topic shows this runner from now on, and nobody else (``""``: nobody)."""
        campus, former = topic.campus, topic.runner_id
        if former and former in campus.positions:
            self._send_all(topic, Gone(topic.name, [former]))
        self._unwatch(topic)
        for view in topic.views:
            view.dirty.clear()
        topic.runner_id = runner_id
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
            for view in topic.views:
                self._send(view, (row,), is_news=False)

    def _unwatch(self, topic: Topic) -> None:
        campus, runner_id = topic.campus, topic.runner_id
        topic.runner_id = ""
        watchers = campus.watched.get(runner_id)
        if watchers and topic in watchers:
            watchers.remove(topic)
            if not watchers:
                del campus.watched[runner_id]
                if campus.console is None:
                    self._changed[campus.id] = None
                    campus.positions.pop(runner_id, None)
                    campus.skews.pop(runner_id, None)

    def desert(self, topic: Topic) -> None:
        """Nobody follows the topic any more."""
        campus = topic.campus
        if topic.runner_id:
            self._unwatch(topic)
        if campus.console is topic:
            campus.console = None
            watched = campus.watched
            campus.positions = {one: row for one, row in campus.positions.items() if one in watched}
            campus.skews = {one: skew for one, skew in campus.skews.items() if one in watched}
            self._changed[campus.id] = None

    # --- views

    def admit(self, connection: Connection, topic: Topic, offset: int, every_ms: int | None, box: Box | None) -> None:
        """A new follower, which has every event up to ``offset`` already; ``show_newest`` follows."""
        campus = topic.campus
        if topic.kind == "console" and campus.console is None:
            campus.console = topic
            self._changed[campus.id] = None
            self._asks.locate(campus.id, None)
        self._view(topic, connection.look, every_ms, box).followers[connection] = offset
        topic.ahead = max(topic.ahead, offset)

    def show_newest(self, connection: Connection, topic: Topic, box: Box | None) -> None:
        """A new follower is shown where everybody is whom the topic shows."""
        view = topic.view_of(connection)
        if view is not None:
            self._show(connection, view, view.enter(self._shown_within(topic, box)))

    def change_view(
        self, connection: Connection, topic: Topic, every_ms: int | None, box: Box | None, re: int | None
    ) -> None:
        """The follower sees the topic so from now on: at once what is within the box, then what changes there."""
        seam = topic.joining.get(connection)
        if seam is not None:
            seam.every_ms, seam.box = every_ms, box
            connection.put(Viewed(topic.name, self._every(topic, every_ms) * self._rules.flush_ms, re))
            return
        former = topic.view_of(connection)
        if former is None:
            return
        view = self._move(connection, former, connection.look, every_ms, box)
        connection.put(Viewed(topic.name, self.every_ms(view), re))
        if view.box == former.box == box:
            self._show_missed(connection, former, view)
        else:
            # Whoever moved out of the box and was not told of yet still stands in it for this follower.
            left = () if view.box is None else _outside(view.box, _gathered(former))
            self._show(connection, view, [*view.enter(self._shown_within(topic, box)), *left])

    def change_look(self, connection: Connection, topic: Topic) -> None:
        """The follower wants its frames in another datum from now on."""
        former = topic.view_of(connection)
        if former is not None:
            view = self._move(connection, former, connection.look, self.every_ms(former), former.box)
            self._show_missed(connection, former, view)

    def _move(self, connection: Connection, former: View, look: Look, every_ms: int | None, box: Box | None) -> View:
        topic = former.topic
        offset = former.followers[connection]
        topic.remove(connection)
        view = self._view(topic, look, every_ms, box)
        view.followers[connection] = offset
        return view

    def _show_missed(self, connection: Connection, former: View, view: View) -> None:
        """What the former view, of the same part of the map, had gathered for its next frame."""
        if view is former:
            return
        moved = _gathered(former)
        if former.inside is not None and view.inside is not None:
            view.inside |= former.inside
            entered = {row[0] for row in view.enter(moved)}
            moved = [row for row in moved if row[0] in entered or row[0] in former.inside]
        self._show(connection, view, moved)

    def every_ms(self, view: View) -> int:
        """How often the view is shown, in real time."""
        return view.every * self._rules.flush_ms

    def _every(self, topic: Topic, every_ms: int | None) -> int:
        """A rhythm in flushes, rounded up."""
        rules = self._rules
        if every_ms is None:
            every_ms = rules.console_every_ms if topic.kind == "console" else rules.flush_ms
        return max(1, -(-every_ms // rules.flush_ms))

    def _view(self, topic: Topic, look: Look, every_ms: int | None, box: Box | None) -> View:
        """The view of these wishes, which may be there already; beyond the bound a more common one."""
        every = self._every(topic, every_ms)
        at = 0
        for number, view in enumerate(topic.views, 1):
            if view.look is look:
                if view.every == every and view.box == box:
                    return view
                at = number
        if len(topic.views) >= MAX_VIEWS and (box is not None or every_ms not in (None, *STEPS_MS)):
            if every_ms is not None:
                every_ms = next((step_ms for step_ms in STEPS_MS if step_ms >= every_ms), STEPS_MS[-1])
            return self._view(topic, look, every_ms, None)
        view = View(topic, look, box, every)
        topic.views.insert(at or len(topic.views), view)
        return view

    def _shown_within(self, topic: Topic, box: Box | None) -> Iterable[PositionRow]:
        positions = topic.campus.positions
        if topic.kind == "console":
            return positions.values() if box is None else within(box, positions.values())
        row = positions.get(topic.runner_id)
        return () if row is None else (row,)

    # --- what arrives

    def deliver(self, campus_id: str, rows: Iterable[PositionRow], *, is_news: bool = True) -> None:
        """Newest positions, from here or from another worker; one that is older than what is known is left out.

        ``is_news`` False: read from where positions are kept: they are shown at once, and say nothing about freshness.
        """
        campus = self._campuses.get(campus_id)
        if campus is None:
            return
        watched, console = campus.watched, campus.console
        if console is None and not watched:
            return
        newest, skews = campus.positions, campus.skews
        fresh: list[PositionRow] = []
        for row in rows:
            runner_id, received_ms = row[0], row[7]
            topics = watched.get(runner_id)
            if topics is None and console is None:
                continue
            known = newest.get(runner_id)
            if known is not None and row[3] <= known[3]:
                continue
            newest[runner_id] = row
            lag_ms = received_ms - row[3]
            skew = skews.get(runner_id)
            if skew is None:
                skews[runner_id] = Skew(lag_ms, received_ms)
            elif lag_ms < skew.recent_ms or received_ms >= skew.turns_at_ms:
                skew.see(lag_ms, received_ms)
            if console is not None:
                fresh.append(row)
            if topics is not None:
                for topic in topics:
                    for view in topic.views:
                        if view.is_immediate or not is_news:
                            self._send(view, (row,), is_news=is_news)
                        else:
                            self._gather(view, {runner_id: None})
        if fresh and console is not None:
            moved = dict.fromkeys([row[0] for row in fresh])
            for view in console.views:
                if is_news:
                    self._gather(view, moved)
                elif news := view.news(fresh):
                    self._send(view, news, is_news=False)

    def _gather(self, view: View, runner_ids: Mapping[str, None]) -> None:
        view.dirty.update(runner_ids)
        if not view.is_waiting:
            view.is_waiting = True
            self._waiting.append(view)

    def flush(self) -> None:
        """The end of a flush: what was gathered is shown where it is due, and others are told whom we follow."""
        self.flushes += 1
        if self._changed:
            changed, self._changed = self._changed, {}
            for campus_id in changed:
                self._asks.interest_changed(campus_id)
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for view in waiting:
                if view.due > self.flushes and view.followers:
                    self._waiting.append(view)
                    continue
                view.is_waiting = False
                if (news := view.take(view.topic.campus.positions)) and view.followers:
                    view.due = self.flushes + view.every
                    self._send(view, news, is_news=True)

    def gone(self, campus_id: str, runner_ids: Sequence[str]) -> None:
        """These runners are off duty or were not heard of: take them off the maps."""
        campus = self._campuses.get(campus_id)
        if campus is None:
            return
        known = [runner_id for runner_id in runner_ids if campus.positions.pop(runner_id, None) is not None]
        if not known:
            return
        if campus.console is not None:
            self._send_all(campus.console, Gone(campus.console.name, known))
            for view in campus.console.views:
                if view.inside is not None:
                    view.inside.difference_update(known)
        for runner_id in known:
            campus.skews.pop(runner_id, None)
            for topic in campus.watched.get(runner_id, ()):
                self._send_all(topic, Gone(topic.name, [runner_id]))

    def drop_silent(self, before_ms: int) -> None:
        """Take off the maps who was last heard of before ``before_ms``, also where word of it was lost."""
        for campus_id, campus in self._campuses.items():
            silent = [runner_id for runner_id, row in campus.positions.items() if row[7] < before_ms]
            if silent:
                self.gone(campus_id, silent)

    # --- what goes out

    def _send(self, view: View, rows: Sequence[PositionRow], *, is_news: bool) -> None:
        """``is_news`` False: what is shown first says nothing about freshness."""
        raw = view.frame(rows)
        count = 0
        for follower in view.followers:
            if (write := follower.write_at_once) is not None:
                write(raw)
                count += 1
            elif follower.is_lagging:
                self.conflated += follower.queue.skip(view.topic, [row[0] for row in rows])
            else:
                follower.put_raw(raw)
                count += 1
        if count and is_news:
            self.freshness.note(rows, count, view.topic.campus.skews)

    def _show(self, connection: Connection, view: View, rows: Sequence[PositionRow], *, is_news: bool = False) -> None:
        """Show these to one follower alone; see ``_send``."""
        if not rows:
            return
        if connection.is_lagging:
            connection.queue.skip(view.topic, [row[0] for row in rows])
            return
        connection.put_raw(view.frame(rows))
        if is_news:
            self.freshness.note(rows, 1, view.topic.campus.skews)

    def catch_up(self, connection: Connection) -> None:
        """The watcher reads again: show it the newest of what it skipped."""
        for topic, runner_ids in connection.queue.take_skipped().items():
            view = topic.view_of(connection)
            if view is None:
                continue
            positions = topic.campus.positions
            shown = runner_ids if topic.kind == "console" else runner_ids & {topic.runner_id}
            rows = [positions[runner_id] for runner_id in shown if runner_id in positions]
            view.enter(rows)
            self._show(connection, view, rows, is_news=True)

    def _send_all(self, topic: Topic, frame: ServerFrame) -> None:
        look, raw = None, b""
        for view in topic.views:
            if view.look is not look:
                look = view.look
                raw = look.encode(frame)
            for follower in view.followers:
                follower.put_raw(raw)


def _gathered(view: View) -> list[PositionRow]:
    """Where those are now of whom the view has yet to tell."""
    positions = view.topic.campus.positions
    return [positions[runner_id] for runner_id in view.dirty if runner_id in positions]


def _outside(box: Box, rows: Iterable[PositionRow]) -> list[PositionRow]:
    inside = {row[0] for row in within(box, rows)}
    return [row for row in rows if row[0] not in inside]
