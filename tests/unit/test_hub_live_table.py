"""The live table of one worker, the upgrade limits, business time, ages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dispatch.clock import ManualClock
from dispatch.flow import track_runner
from dispatch.flow.track_runner import LiveTable
from dispatch.hub.ages import Ages
from dispatch.wire.business_time import BusinessTime
from geo.filters import Reason, Verdict
from geo.fix import Fix

CAMPUS, RUNNER = "cmp_1", "acc_r"


def fix(at: int, received: int | None = None, lat: float = 30.5) -> Fix:
    return Fix(lat=lat, lon=114.4, fixed_at_ms=at, received_at_ms=at if received is None else received)


def judge(table: LiveTable, one: Fix, runner: str = RUNNER, campus: str = CAMPUS) -> Verdict | Reason:
    """As a socket would that reads one fix and closes."""
    verdict = table.hold(campus, runner).judge(one)
    table.release(campus, runner)
    return verdict


def test_the_newest_goes_live_and_all_go_into_the_track() -> None:
    table = LiveTable()
    verdicts = [judge(table, fix(at, 5_000)) for at in (3_000, 1_000, 4_000, 4_000)]
    assert verdicts == [Verdict.LIVE, Verdict.LATE, Verdict.LIVE, Reason.DUPLICATE]
    flushed = table.flush()
    assert flushed.newest == {CAMPUS: [(RUNNER, fix(4_000, 5_000))]}
    assert [one.fixed_at_ms for _, one in flushed.track[CAMPUS]] == [3_000, 1_000, 4_000]
    assert table.flush() == ({}, {})
    assert len(table) == 1


def test_what_another_worker_knew_is_not_overtaken_by_the_past() -> None:
    table = LiveTable()
    table.seed(CAMPUS, RUNNER, fix(9_000))
    table.seed(CAMPUS, RUNNER, fix(8_000))
    assert judge(table, fix(8_500, 10_000)) is Verdict.LATE
    assert table.flush().newest == {}
    newest = table.newest(CAMPUS, RUNNER)
    assert newest is not None
    assert newest.fixed_at_ms == 9_000
    assert table.newest(CAMPUS, "acc_x") is None


def test_an_empty_redis_is_told_of_those_who_were_heard_lately() -> None:
    table = LiveTable()
    judge(table, fix(1_000), "acc_old")
    judge(table, fix(9_000), "acc_new")
    judge(table, fix(9_000, lat=99.0), "acc_wrong", "cmp_2")
    assert table.everybody(5_000) == {CAMPUS: [("acc_new", fix(9_000))]}
    assert table.forget_silent(5_000) == 2
    assert len(table) == 1
    assert table.counts() == {"live": 2, "late": 0, "out_of_range": 1}


def test_who_is_connected_is_not_forgotten_however_silent() -> None:
    table = LiveTable()
    held = table.hold(CAMPUS, RUNNER)
    held.judge(fix(1_000))
    assert table.forget_silent(900_000) == 0
    held.judge(fix(2_000))
    assert table.newest(CAMPUS, RUNNER) == fix(2_000)
    table.release(CAMPUS, RUNNER)
    assert table.forget_silent(900_000) == 1
    table.release(CAMPUS, RUNNER)  # once too often does no harm


def test_a_track_may_have_a_hole_before_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track_runner, "MAX_LATE", 2)
    table = LiveTable()
    for at in (1_000, 2_000, 3_000):
        assert judge(table, fix(at)) is Verdict.LIVE
    assert table.dropped == 1
    flushed = table.flush()
    assert len(flushed.track[CAMPUS]) == 2
    assert flushed.newest[CAMPUS][0][1].fixed_at_ms == 3_000


def test_business_time_runs_at_its_rate_between_calibrations() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC), rate=15.0)
    time = BusinessTime(clock)
    start = time.now_ms()
    clock.advance(30.0)
    assert time.now_ms() - start == 30_000
    clock.at = clock.at.replace(hour=5)  # somebody set the clock
    assert time.now_ms() - start == 30_000
    time.calibrate()
    assert time.now_ms() - start == 5 * 3_600_000 + 30_000


def test_ages_count_in_their_buckets() -> None:
    ages = Ages()
    for age in (0, 5, 5.1, 30_000, 30_001):
        ages.add(age)
    assert (ages.counts[0], ages.counts[1], ages.counts[-2], ages.counts[-1]) == (2, 1, 1, 1)
    assert ages.sum_ms == pytest.approx(60_011.1)
