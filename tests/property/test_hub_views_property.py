"""Whatever happens in whatever order: what a follower sees in its part of the map is the truth after the last flush."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatch.hub.connection import Connection
from dispatch.hub.frames import PositionRow
from tests.hub_table import CAMPUS, CONSOLE, Pipe, Table, fresh

RUNNERS = ("acc_a", "acc_b")
#: Runners jump between a few places, so that they are often within a part of the map and then outside it.
PLACES = (1.0, 3.5, 8.0)
BOXES = (None, (0.0, 0.0, 4.0, 4.0), (3.0, 3.0, 9.0, 9.0))
WATCHERS = 2
#: in flushes of 50 ms: the longest rhythm that is asked for
LONGEST = 4

runner = st.sampled_from(RUNNERS)
watcher = st.integers(0, WATCHERS - 1)
place = st.sampled_from(PLACES)
view = st.tuples(st.sampled_from(BOXES), st.sampled_from((None, 50, 200)))
OFTEN = 4
step = st.one_of(
    *[st.tuples(st.just("fix"), runner, place)] * OFTEN,
    *[st.tuples(st.just("view"), watcher, view)] * 2,
    st.tuples(st.just("late"), runner, place),
    st.tuples(st.just("gone"), runner),
    st.tuples(st.just("follow"), watcher, view),
    st.tuples(st.just("unfollow"), watcher),
    st.tuples(st.just("lag"), watcher),
    st.tuples(st.just("read"), watcher),
    st.tuples(st.just("datum"), watcher),
    st.tuples(st.just("located")),
    st.tuples(st.just("flush")),
)
rounds = st.lists(st.lists(step, max_size=6), min_size=1, max_size=10)


@dataclass
class Watcher:
    """A client that keeps what it is shown, as the protocol says: at ``viewed`` it forgets what is not inside."""

    connection: Connection
    pipe: Pipe
    boxes: dict[int, Any] = field(default_factory=dict)  # by the ``re`` that asked for them
    box: Any = None
    follows: bool = False
    shown: dict[str, list[Any]] = field(default_factory=dict)

    def read(self) -> None:
        for frame in self.pipe.take():
            match frame["t"]:
                case "followed":
                    self.box, self.shown = self.boxes[frame["re"]], {}
                case "viewed":
                    self.box = self.boxes[frame["re"]]
                    self.shown = {one: row for one, row in self.shown.items() if is_inside(self.box, row)}
                case "pos":
                    for row in frame["p"]:
                        known = self.shown.get(row[0])
                        assert known is None or row[3] >= known[3], "the dot moved back"
                        self.shown[row[0]] = row
                case "gone":
                    for runner_id in frame["runners"]:
                        self.shown.pop(runner_id, None)


def is_inside(box: Any, row: Any) -> bool:
    return box is None or (box[0] <= row[1] <= box[2] and box[1] <= row[2] <= box[3])


class World:
    def __init__(self) -> None:
        self.table = Table(console_every_ms=100, follows_per_window=1_000)
        self.truth: dict[str, PositionRow] = {}
        self.re = self.clock = 0
        self.watchers = [Watcher(*self.table.client(f"acc_{n}/operator")) for n in range(WATCHERS)]

    def take(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("fix", runner_id, where):
                self.clock += 2
                row = (runner_id, where, where, self.clock, None, None, None, self.clock)
                self.truth[runner_id] = row
                self.table.hub.on_positions(CAMPUS, [row])
            case ("late", runner_id, where) if runner_id in self.truth:
                at = self.truth[runner_id][3] - 1
                self.table.hub.on_positions(CAMPUS, [(runner_id, where, where, at, None, None, None, self.clock)])
            case ("gone", runner_id):
                self.truth.pop(runner_id, None)
                self.table.hub.on_gone(CAMPUS, [runner_id])
            case ("follow", n, (box, every_ms)):
                watcher = self.watchers[n]
                self.say(watcher, "follow", box, every_ms)
                _, topic, _ = self.table.outside.follows.pop()
                self.table.hub.topics.complete(watcher.connection, topic, fresh())
                watcher.follows = True
            case ("view", n, (box, every_ms)) if self.watchers[n].follows:
                self.say(self.watchers[n], "view", box, every_ms)
            case ("unfollow", n) if self.watchers[n].follows:
                watcher = self.watchers[n]
                watcher.follows = False
                self.say(watcher, "unfollow")
            case ("lag", n):
                self.table.hub.set_lagging(self.watchers[n].connection, True)
            case ("read", n):
                self.table.hub.set_lagging(self.watchers[n].connection, False)
            case ("datum", n):
                # The same place in both: these runners are not in China.
                connection = self.watchers[n].connection
                datum = "gcj02" if connection.look.is_wgs84 else "wgs84"
                self.table.say(connection, t="hello", token=f"acc_{n}/operator", datum=datum)
            case ("located",):
                asked, self.table.outside.located = self.table.outside.located, []
                if asked:
                    self.table.hub.topics.deliver_positions(CAMPUS, list(self.truth.values()), is_news=False)
            case ("flush",):
                self.table.hub.second += 1
                self.table.hub.write_out()

    def say(self, watcher: Watcher, kind: str, box: Any = None, every_ms: int | None = None) -> None:
        self.re += 1
        watcher.boxes[self.re] = box
        asked = {"box": box, "every_ms": every_ms}
        frame = {name: value for name, value in asked.items() if value is not None}
        self.table.say(watcher.connection, t=kind, topic=CONSOLE, re=self.re, **frame)

    def settle(self) -> None:
        """Nothing moves until everything has been shown; then whoever reads sees the truth."""
        self.take(("located",))
        for _ in range(LONGEST + 1):
            self.take(("flush",))
        for watcher in self.watchers:
            watcher.read()
            if watcher.follows and not watcher.connection.is_lagging:
                seen = {one: tuple(row) for one, row in watcher.shown.items() if is_inside(watcher.box, row)}
                assert seen == {one: row for one, row in self.truth.items() if is_inside(watcher.box, row)}
        if not any(watcher.follows for watcher in self.watchers):
            topics = self.table.hub.topics
            assert not topics.campus(CAMPUS).positions and topics.wants(CAMPUS) is None


ALL = (None, None)
NEAR = ((0.0, 0.0, 4.0, 4.0), None)
FIRST = [("fix", "acc_a", 1.0)]


@settings(max_examples=300, deadline=None)
@given(st.tuples(*[view] * WATCHERS), rounds)
# Somebody moves out of the box that a follower asks for in the same moment; and while the follower does not read.
@example((ALL, ALL), [FIRST, [("fix", "acc_a", 8.0), ("view", 0, NEAR)]])
@example((ALL, ALL), [FIRST, [("lag", 0), ("fix", "acc_a", 8.0), ("flush",), ("view", 0, NEAR), ("read", 0)]])
def test_what_is_shown_within_the_box_is_the_truth_after_the_last_flush(
    views: tuple[Any, ...], taken: list[list[tuple[Any, ...]]]
) -> None:
    world = World()
    for n, asked in enumerate(views):
        world.take(("follow", n, asked))
    for steps in taken:
        for step in steps:
            world.take(step)
            for watcher in world.watchers:
                watcher.read()
        world.settle()
    for n in range(WATCHERS):
        world.take(("read", n))
    world.settle()
