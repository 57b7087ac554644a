"""How old positions are when they are written: buckets, percentiles, and the difference of the clocks."""

from __future__ import annotations

import pytest

from dispatch.hub.ages import EDGES_MS, Ages, Skew
from tests.hub_table import CONSOLE, TOPIC, Table, fresh, row


def test_ages() -> None:
    ages = Ages()
    assert ages.quantile_ms(0.5) == 0.0
    ages.add(-3)
    ages.add(40, 8)
    ages.add(10**9)
    assert ages.total == 10
    assert ages.quantile_ms(0.5) == 50
    assert ages.quantile_ms(0.99) == float("inf")
    assert len(ages.counts) == len(EDGES_MS) + 1


def test_the_least_lag_of_late_is_the_skew() -> None:
    skew = Skew(500, 0)
    assert skew.least_ms == 500
    skew.see(900, 1)
    skew.see(480, 2)
    assert skew.least_ms == 480
    # The clock of the phone was set forward; after two windows nothing is left of what was before.
    skew.see(-3_000, 10)
    assert skew.least_ms == -3_000
    # … and back: it takes until the second window is over.
    for at_ms in range(20, 3 * Skew.WINDOW_MS, 10_000):
        skew.see(520, at_ms)
        assert skew.least_ms == (-3_000 if at_ms < 2 * Skew.WINDOW_MS else 520)


def test_after_a_long_silence_the_skew_begins_anew() -> None:
    skew = Skew(100, 0)
    skew.see(700, 2 * Skew.WINDOW_MS)
    assert skew.least_ms == 700


@pytest.mark.parametrize("clock_ms", [0, -90_000, 90_000], ids=["right", "slow", "fast"])
def test_the_age_since_the_reading_is_corrected_by_the_clocks_difference(clock_ms: int) -> None:
    table = Table()
    student, _ = table.client()
    table.following(student, TOPIC, fresh(watch="acc_a"))
    freshness = table.hub.topics.state.freshness
    # The fastest way takes 20 ms; the second fix waits for 400 ms on a bad network.
    for fixed, way_ms in ((100_000, 20), (110_000, 420)):
        table.hub.now_ms = fixed + way_ms + 30
        table.positions(row("acc_a", fixed + clock_ms, fixed + way_ms))
    assert freshness.ages.quantile_ms(1) == 50, "30 ms each on the server's own clock"
    assert [edge for edge, count in zip(EDGES_MS, freshness.fix_ages.counts, strict=False) if count] == [50, 500]


def test_each_watcher_counts_and_a_first_look_does_not() -> None:
    table = Table(console_every_ms=50)
    student, _ = table.client()
    table.following(student, TOPIC, fresh(watch="acc_a"))
    for account in ("acc_o", "acc_p"):
        table.following(table.client(f"{account}/operator")[0], CONSOLE, fresh())
    freshness = table.hub.topics.state.freshness
    table.positions(row("acc_a", 1), row("acc_b", 1), is_news=False)
    assert (freshness.delivered, freshness.ages.total) == (0, 0)
    table.positions(row("acc_a", 2), row("acc_b", 2))
    assert (freshness.delivered, freshness.ages.total, freshness.fix_ages.total) == (5, 5, 5)
    assert table.hub.metrics()["positions_delivered_total"] == 5


def test_a_worker_in_fast_time_counts_real_time() -> None:
    table = Table(time_scale=10.0)
    student, _ = table.client()
    table.following(student, TOPIC, fresh(watch="acc_a"))
    table.hub.now_ms = 1_000
    table.positions(row("acc_a", 1, 200))
    assert table.hub.topics.ages.quantile_ms(1) == 100
