"""The bench of the optimizer: its ticks, its table, and what it says of a missed bound."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dispatch.assign import Params, plan
from geo.demo_campus import demo_campus
from geo.point import Point
from geo.walkway import Walkways
from loadtest.bench import assign
from loadtest.bench.__main__ import main
from loadtest.bench.busy_books import ground_of, laid, positions, situation
from loadtest.bench.busy_ticks import BusyCampus, Size
from tests.plan_checker import faults


def test_a_quick_run_prints_its_table_and_writes_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "deep" / "assign.json"
    assert main(["assign", "--quick", "--json", str(written), "--check"]) == 0
    printed = capsys.readouterr().out
    head = next(line for line in printed.splitlines() if line.startswith("| tasks x runners"))
    row = next(line for line in printed.splitlines() if line.startswith("| 40x60"))
    assert len(head.split("|")) == len(row.split("|"))
    size = json.loads(written.read_text())["sizes"][0]
    assert size["given"] == 40 and size["rounds"] == 3 and size["bound_ms"] is None
    assert set(size["stages_ms"]) == set(assign.STAGES)
    # The stages are the tick: what lies between them is next to nothing.
    assert sum(size["stages_ms"].values()) == pytest.approx(size["cpu_p50_ms"], rel=0.5)
    assert size["ratio"] == pytest.approx(size["cpu_p50_ms"] / min(size["bare_ms"].values()))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sizes", "200"],
        ["--sizes", "0x5"],
        ["--map", "nowhere.osm"],
        ["--param", "no=1"],
        ["--param", "wait_weight=-1"],
        ["--rounds", "0", "--quick"],
    ],
)
def test_what_cannot_be_measured_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assign", *arguments]) == 2
    assert capsys.readouterr().err.startswith("bench: ")


def test_a_missed_bound_is_named() -> None:
    one = assign.Bench(demo_campus(), Params()).measure(Size(5, 5), 1, lambda text: None)
    late = replace(one, bound_ms=100.0, wall_p99_ms=100.0)
    assert late.is_missed and "misses" in assign.row(late)
    assert not replace(late, wall_p99_ms=99.9).is_missed and not one.is_missed


def test_the_bounds_are_those_that_are_promised() -> None:
    promised = {"200x200": 100.0, "663x2585": 400.0, "5000x6000": 1500.0}
    assert {str(size): bound_ms for size, bound_ms in assign.BOUNDS_MS.items()} == promised
    assert [str(size) for size in assign.SIZES] == list(promised), "all of them are measured unless told otherwise"


def test_its_ticks_are_repeatable_and_their_plans_feasible() -> None:
    campus = demo_campus()
    ways = Walkways.of(campus)
    assert ways.graph is not None
    walked = [Point(*map(float, row)) for row in ways.graph.nodes]
    busy = BusyCampus(campus, walked)
    tick = busy.tick(Size(60, 90), 7)
    assert busy.tick(Size(60, 90), 7) == tick != busy.tick(Size(60, 90), 8)
    assert {len(runner.route) for runner in tick.runners} == {0, 1, 2, 3, 4}
    for params in (Params(), Params(exact_pairs=0, pairs=900, dense_cells=0)):
        made = plan(tick.tasks, tick.runners, ways.among, tick.now_ms, params)
        assert faults(tick.tasks, tick.runners, ways.among, tick.now_ms, params, made) == []
        greedy = plan(tick.tasks, tick.runners, ways.among, tick.now_ms, params, "greedy")
        assert made.worth_s <= greedy.worth_s + 1e-3


def test_what_is_read_for_a_tick_makes_that_tick() -> None:
    campus = demo_campus()
    ways = Walkways.of(campus)
    assert ways.graph is not None
    tick = BusyCampus(campus, [Point(*map(float, row)) for row in ways.graph.nodes]).tick(Size(60, 90), 7)
    found = laid(tick)
    told = situation(found, positions(found), ground_of(campus, ways))
    assert told.now_ms == tick.now_ms and told.to_plan() == told.tasks
    for task, wanted in zip(told.tasks, tick.tasks, strict=True):
        for name in (
            "id",
            "order_id",
            "points",
            "opened_at_ms",
            "promised_at_ms",
            "ready_at_ms",
            "weight_g",
            "merchant",
        ):
            assert getattr(task, name) == getattr(wanted, name), name
        assert task.zone == wanted.zone and wanted.forbidden < task.forbidden, "and the student's own runner"
        # Stairs up are stairs down again.
        assert (task.after_s[1] > 0) == (wanted.before_s[1] > 60.0)
    for runner, seen in zip(told.runners, tick.runners, strict=True):
        for name in ("id", "point", "credit", "acceptance", "earned_s", "until_ms", "zones", "load", "excluded"):
            assert getattr(runner, name) == getattr(seen, name), name
        stops = [(stop.task_id, stop.role, stop.point) for stop in runner.route]
        assert stops == [(stop.task_id, stop.role, stop.point) for stop in seen.route]
    held_up = [runner for runner in told.runners if runner.available_in_s > 0]
    assert held_up and len(held_up) <= sum(runner.available_in_s > 0 for runner in tick.runners)
    made = plan(told.to_plan(), told.runners, ways.among, told.now_ms, Params())
    assert faults(told.tasks, told.runners, ways.among, told.now_ms, Params(), made) == []


def test_reading_positions_and_building_the_situation_are_stages_of_the_tick() -> None:
    one = assign.Bench(demo_campus(), Params()).measure(Size(20, 400), 2, lambda text: None)
    assert one.stages_ms["positions"] > 0 and one.stages_ms["situation"] > one.stages_ms["positions"]
