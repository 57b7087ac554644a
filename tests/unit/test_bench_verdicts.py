"""The bench's arithmetic on made-up figures: medians, ratios, and above all the rows that must not count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.bench.events import figures_of
from loadtest.bench.rows import ROWS, about, failed_row
from loadtest.bench.table import Report, Row
from loadtest.bench.verdicts import (
    BASELINE_FIXES,
    DELIVERIES,
    DOES_NOT_COUNT,
    FIXES,
    MISSES,
    NOT_MEASURED,
    OK,
    PUBLISHED,
    SENDS,
    Condition,
    Figure,
    Reading,
    ratio,
    share,
    summary,
)
from loadtest.bench.written import markdown, picture

GOOD = {
    "late_sends": 0.0, "sent": 1.0, "frames_per_read": 1.0, "conflated": 0.0, "accepted": 1.0, "members_per_fix": 1.0,
    "delivered": 1.0, "age_p99_ms": 60.0,
}  # fmt: skip


def readings(*cpu_us: float, server: str = "ours", **figures: float | None) -> list[Reading]:
    """Rounds of 1,000 operations each; a figure that is None is one that the server does not tell."""
    told = {name: value for name, value in {**GOOD, **figures}.items() if value is not None}
    return [
        Reading(server, number, 2.0, 1_000, {"server": us * 1e6, "redis": 2e6}, told)
        for number, us in enumerate(cpu_us, 1)
    ]


def test_processor_time_is_told_per_operation_in_microseconds() -> None:
    (one,) = readings(12.5)
    assert one.cpu_us() == 12.5
    assert one.cpu_us("redis") == 2.0
    assert one.cpu_us("planner") is None


def test_the_figure_is_the_median_of_the_rounds_and_the_spread_is_told() -> None:
    summed = summary(readings(10, 50, 11, 12, 9), FIXES)
    assert summed.cpu_us == {"server": 11.0, "redis": 2.0}
    assert summed.spread_us == (9.0, 50.0)
    assert summed.counts


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("frames_per_read", 1.11), ("conflated", 0.011), ("accepted", 0.94), ("members_per_fix", 0.9),
        ("late_sends", 0.03), ("sent", 0.99), ("delivered", 0.94), ("age_p99_ms", 251.0),
        ("age_p99_ms", float("nan")),
    ],
)  # fmt: skip
def test_a_row_whose_condition_does_not_hold_does_not_count(figure: str, value: float) -> None:
    summed = summary(readings(1, 1, 1, 1, 1, **{figure: value}), DELIVERIES)
    assert not summed.counts
    assert figure.replace("_", " ") in summed.faults[0]


@pytest.mark.parametrize("figure", sorted(GOOD))
def test_what_is_unknown_does_not_count_either(figure: str) -> None:
    summed = summary(readings(1, 1, 1, 1, 1, **{figure: None}), DELIVERIES)
    assert summed.faults == (f"{figure.replace('_', ' ')} unknown",)


def test_a_figure_that_one_round_lacks_is_unknown() -> None:
    some = [*readings(1, 1, 1, 1), *readings(1, accepted=None)]
    assert summary(some, FIXES).faults == ("accepted unknown",)


def test_fewer_rounds_than_five_do_not_count() -> None:
    assert summary(readings(1, 1, 1, 1), FIXES).faults == ("4 rounds, 5 are needed",)
    assert summary(readings(1), FIXES, least_rounds=1).counts


def test_one_bad_round_is_not_left_out_but_cannot_turn_the_median_either() -> None:
    some = [*readings(1, 1, 1, 1), *readings(1, age_p99_ms=900.0)]
    summed = summary(some, DELIVERIES)
    assert summed.counts
    assert summed.worst["age_p99_ms"] == 900.0
    assert summary([*readings(1, 1), *readings(1, 1, 1, age_p99_ms=900.0)], DELIVERIES).counts is False


def test_the_worst_of_a_figure_with_a_lower_bound_is_its_least() -> None:
    some = [*readings(1, accepted=0.97), *readings(1, accepted=0.99)]
    assert summary(some, FIXES, 1).worst["accepted"] == 0.97


def test_nothing_measured_is_no_summary() -> None:
    with pytest.raises(ValueError, match="no round"):
        summary([], FIXES)


def test_notes_are_told_once() -> None:
    some = [Reading("ours", n, 1.0, 1, {"server": 1.0}, GOOD, ("a fault",)) for n in range(3)]
    assert summary(some, FIXES, 1).notes == ("a fault",)


# --- figures


def test_a_ratio_keeps_misses_and_passes_its_bounds() -> None:
    ours, theirs = summary(readings(*[8.0] * 5), FIXES), summary(readings(*[20.0] * 5, server="theirs"), FIXES)
    figure = ratio("idle", "of theirs", ours, theirs, 0.4, 0.3, "theirs")
    assert figure.value == pytest.approx(0.4)
    assert (figure.verdict, figure.judged(figure.aim), figure.is_missed) == (OK, MISSES, False)
    assert ratio("idle", "of theirs", ours, theirs, 0.39, 0.3, "theirs").is_missed


def test_a_missing_baseline_reads_not_measured_and_is_never_passed() -> None:
    ours = summary(readings(*[8.0] * 5), FIXES)
    figure = ratio("idle", "of nchan", ours, None, 1.5, 1.0, "nchan")
    assert (figure.value, figure.verdict, figure.is_missed) == (None, NOT_MEASURED, True)
    assert ratio("idle", "of nchan", None, ours, 1.5, 1.0, "nchan").verdict == NOT_MEASURED


def test_a_ratio_of_figures_that_do_not_count_does_not_count() -> None:
    ours = summary(readings(*[8.0] * 5), FIXES)
    theirs = summary(readings(*[20.0] * 5, server="theirs", accepted=0.5), BASELINE_FIXES)
    figure = ratio("idle", "of theirs", ours, theirs, 0.4, 0.3, "theirs")
    assert (figure.verdict, figure.is_missed) == (DOES_NOT_COUNT, True)
    assert figure.faults == ("theirs: accepted 0.5 < 0.95",)


def test_a_figure_without_a_bound_is_published() -> None:
    figure = Figure("geoadd", "batch 10", 1e6, "members/s")
    assert (figure.verdict, figure.is_missed) == (PUBLISHED, False)


def test_events_are_compared_with_the_state_lane_of_the_same_rounds() -> None:
    state = summary(readings(*[40.0] * 5, server="state lane"), DELIVERIES)
    events = summary(readings(*[50.0] * 5, server="event lane"), SENDS)
    cost, of_state = figures_of(state, events)
    assert (cost.value, of_state.value, of_state.verdict) == (50.0, 1.25, OK)


def test_shares() -> None:
    assert share(1.0, 4.0) == 0.25
    assert share(None, 4.0) is None
    assert share(1.0, None) is None
    assert share(1.0, 0.0) is None


def test_a_condition_names_what_is_wrong() -> None:
    assert Condition("age_p99_ms", most=250.0).fault(312.0) == "age p99 ms 312 > 250"
    assert Condition("accepted", least=0.95).fault(0.95) is None


# --- the report


def report(*rows: Row) -> Report:
    return Report({"cores": "2"}, {"load": "500 connections"}, "python -m loadtest.bench hub", rows)


@pytest.fixture
def measured() -> Report:
    ours = summary(readings(*[8.0] * 5, server="dispatch serve"), FIXES)
    other = summary(readings(*[20.0] * 5, server="plain Tornado"), BASELINE_FIXES)
    figures = (
        ratio("idle", "of plain Tornado", ours, other, 0.4, 0.3, "plain Tornado"),
        ratio("idle", "of nchan's publish", ours, None, 1.5, 1.0, "nchan"),
    )
    idle = Row(
        "idle", "nobody watching", figures, (ours, other), {"nchan": "nginx is not installed"}, notes=("a note",)
    )
    return report(idle, Row("geoadd", "GEOADD", (Figure("geoadd", "1 a command", 760_900.0, "members/s"),)))


def test_the_text_tells_figures_servers_and_what_is_missing(measured: Report) -> None:
    text = measured.as_text()
    for words in ("0.4 x", "must ≤ 0.4: ok", "aim ≤ 0.3: misses", "not measured: nginx is not installed", "a note"):
        assert words in text
    assert [figure.name for figure in measured.missed()] == ["of nchan's publish"]


def test_the_json_has_every_round_and_every_verdict(measured: Report) -> None:
    body = json.loads(measured.as_json())
    idle = body["rows"][0]
    assert [figure["verdict"] for figure in idle["figures"]] == ["ok", "not measured"]
    assert idle["summaries"][0]["cpu_us"]["server"] == 8.0


def test_a_written_report_becomes_tables_and_a_picture(measured: Report, tmp_path: Path) -> None:
    body: dict[str, Any] = json.loads(measured.as_json())
    text = markdown(body)
    assert "| of plain Tornado | 0.4 x | ≤ 0.4: ok | ≤ 0.3: misses |" in text
    assert "| of nchan's publish | not measured | ≤ 1.5: not measured | ≤ 1: not measured |" in text
    assert "760,900 members/s" in text
    assert "nchan: not measured (nginx is not installed)" in text
    path = tmp_path / "images" / "bench.png"
    assert picture(body, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not picture({**body, "rows": body["rows"][1:]}, path)


def test_a_row_that_failed_is_told_and_missed() -> None:
    row = failed_row("storm", "no answer within 300 s")
    assert report(row).missed()
    assert "no answer within 300 s" in report(row).as_text()


def test_every_row_says_what_it_is() -> None:
    assert all(len(about(name)) > 20 for name in ROWS)
