"""The queue's part of a promise: nothing while runners are free, more with every errand, never without end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatch.flow.make_quote import BUSY_S, MAX_BACKLOG_S, Demand

counts = st.integers(0, 400)


def test_free_runners_are_no_queue() -> None:
    assert Demand(waiting=0, runners=5).backlog_s(BUSY_S) == 0
    assert Demand(waiting=2, runners=5, held=2).backlog_s(BUSY_S) == 0
    assert Demand(waiting=0, runners=1, held=1).backlog_s(BUSY_S) == BUSY_S / 2, "half of what is carried is done"
    assert Demand(waiting=10, runners=5, held=5).backlog_s(BUSY_S) == BUSY_S * (10 + 1 / 2) / 5
    assert Demand(waiting=10_000, runners=0).backlog_s(BUSY_S) == MAX_BACKLOG_S


@given(counts, counts, counts, st.floats(0, 4_000))
def test_more_errands_are_never_a_shorter_queue_and_more_runners_never_a_longer(
    waiting: int, held: int, runners: int, busy_s: float
) -> None:
    queue_s = Demand(waiting, runners, held).backlog_s(busy_s)
    assert 0 <= queue_s <= MAX_BACKLOG_S
    assert Demand(waiting + 1, runners, held).backlog_s(busy_s) >= queue_s - 1e-6
    assert Demand(waiting, runners, held + 1).backlog_s(busy_s) >= queue_s - 1e-6
    assert Demand(waiting, runners + 1, held).backlog_s(busy_s) <= queue_s + 1e-6
