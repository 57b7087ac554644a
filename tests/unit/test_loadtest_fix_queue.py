"""Fixes of a gap: the newest goes live, the rest follows newest first, nothing is kept for ever or sent for nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from loadtest.fix_queue import BATCH, KEPT, FixQueue

Shape = tuple[Any, ...]


class Line:
    """A connection's outbox with as much room as one likes."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.room = 10**9

    def send(self, frame: dict[str, Any]) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        self.sent.append(frame)
        return True

    def shapes(self) -> list[Shape]:
        """What was sent since the last look."""
        shapes: list[Shape] = [
            (frame["t"], len(frame["fixes"]), frame["fixes"][0]["at"], frame["fixes"][-1]["at"])
            if "fixes" in frame
            else (frame["t"], frame["at"])
            for frame in self.sent
        ]
        self.last_seq = self.sent[-1]["seq"] if self.sent else 0
        self.sent = []
        return shapes


def fix(at: int) -> dict[str, Any]:
    return {"at": at, "lat": 30.5, "lon": 114.4}


def gathered(count: int, *, is_acked: bool = True) -> tuple[FixQueue, Line]:
    line = Line()
    queue = FixQueue(line.send, is_acked=is_acked)
    assert not any(queue.report(fix(at)) for at in range(1, count + 1))
    assert line.sent == []
    return queue, line


def test_after_a_gap_the_newest_goes_live_and_the_rest_behind_it() -> None:
    queue, line = gathered(500)
    queue.resume()
    assert line.shapes() == [("fix", 500), ("fixes", BATCH, 499, 260)]
    batch = line.last_seq
    assert queue.report(fix(501))
    assert line.shapes() == [("fix", 501)], "live is not held up by the backlog"
    queue.acknowledge(batch)
    assert line.shapes() == [("fixes", BATCH, 259, 20)]
    queue.acknowledge(line.last_seq)
    assert line.shapes() == [("fixes", 19, 19, 1)]
    queue.acknowledge(line.last_seq)
    assert len(queue) == 0 and line.shapes() == []


def test_what_was_not_acknowledged_is_sent_again() -> None:
    queue, line = gathered(3)
    queue.resume()
    queue.pause()
    line.shapes()
    assert not queue.report(fix(4))
    queue.resume()
    assert line.shapes() == [("fix", 4), ("fixes", 3, 3, 1)]
    assert len(queue) == 4


def test_without_acknowledgements_what_is_sent_counts_as_arrived() -> None:
    queue, line = gathered(600, is_acked=False)
    queue.resume()
    assert line.shapes() == [
        ("fix", 600), ("fixes", BATCH, 599, 360), ("fixes", BATCH, 359, 120), ("fixes", 119, 119, 1),
    ]  # fmt: skip
    assert queue.report(fix(601)) and len(queue) == 0


def test_a_full_outbox_loses_nothing() -> None:
    queue, line = gathered(2)
    line.room = 1
    queue.resume()
    assert not queue.report(fix(3))
    assert line.shapes() == [("fix", 2)]
    line.room = 10
    queue.acknowledge(line.last_seq)
    assert line.shapes() == [("fixes", 2, 3, 1)]


def test_a_gap_longer_than_the_memory_costs_detail_where_it_is_oldest() -> None:
    count = 4 * KEPT
    queue, line = gathered(count)
    assert len(queue) <= KEPT and queue.thinned == count - len(queue)
    queue.resume()
    seen: list[int] = []
    while line.sent:
        seen += [one["at"] for frame in line.sent for one in frame.get("fixes", [frame])]
        line.shapes()
        queue.acknowledge(line.last_seq)
    ats = sorted(seen)
    assert ats[0] == 1 and ats[-1] == count and len(ats) == len(set(ats))
    assert ats[-KEPT // 2 :] == list(range(count - KEPT // 2 + 1, count + 1)), "the newest part is whole"
    gaps = [b - a for a, b in pairwise(ats)]
    assert gaps[0] == max(gaps)
