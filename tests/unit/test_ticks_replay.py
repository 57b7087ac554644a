"""Recorded ticks planned again: the same plan comes out, other settings stand beside it, and a day is played on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dispatch.__main__ import main
from dispatch.assign.params import Params
from dispatch.assign.solver import plan
from dispatch.ticks.closed_loop import in_order, play_on, stops_of
from dispatch.ticks.files import TickFiles
from dispatch.ticks.record import TickRecord, pairs, plan_digest
from dispatch.ticks.recorder import Recorder
from dispatch.ticks.replay import CannotReplay, Recording, Span, replay
from dispatch.ticks.report import as_json, as_text
from dispatch.ticks.variant import Variant, parse_variant
from geo.campus import CampusMap
from geo.demo_campus import demo_campus
from geo.walkway import Walkways
from tests.tick_samples import CAMPUS, Samples

TICKS = 12
#: As a planner has it: from the stored bytes.
_MAP = CampusMap.from_bytes(demo_campus().to_bytes())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dozen ticks, as a planner would have recorded them."""
    folder = tmp_path_factory.mktemp("ticks")
    recorder = Recorder(TickFiles(folder), "planner")
    map_id = recorder.keep_map(CAMPUS, _MAP, _MAP.to_bytes())
    ways = Walkways.of(_MAP).among
    for tick in Samples(seed=3, tasks=8, runners=6, at=_MAP.center).ticks(TICKS):
        found = plan(tick.tasks, tick.runners, ways, tick.now_ms, tick.params)
        recorder.put(replace(tick, map_id=map_id, digest=plan_digest(found), chosen=pairs(found.assignments)))
        recorder.flush()
    recorder.close()
    return folder


def _run(*words: object) -> int:
    return main(["replay", *map(str, words)])


def _said(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert _run(*words, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_every_recorded_plan_comes_out_again_byte_for_byte(recorded: Path, capsys: Any) -> None:
    told = _said(capsys, recorded, "--check")
    assert (told["ticks"], told["same_plan"], told["other_plan"], told["other_versions"]) == (TICKS, TICKS, 0, 0)
    assert list(told["sides"]) == ["as recorded"] and told["differing_decisions"] is None


def test_also_in_another_process_with_another_order_of_hashes(recorded: Path) -> None:
    command = [sys.executable, "-m", "dispatch", "replay", str(recorded), "--check", "--json"]
    environ = os.environ | {"PYTHONHASHSEED": "12345"}
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["same_plan"] == TICKS


def test_other_settings_stand_beside_the_recorded_ones(recorded: Path, capsys: Any) -> None:
    told = _said(capsys, recorded, "--params", "max_pickup_m=150", "nearest=5")
    first, second = told["sides"].values()
    assert list(told["sides"]) == ["as recorded", "max_pickup_m=150,nearest=5"]
    assert second["assigned"] < first["assigned"] and told["differing_decisions"] > 0
    assert len(told["examples"]) == min(20, told["differing_decisions"])
    assert {one["first"] == one["second"] for one in told["examples"]} == {False}
    same = _said(capsys, recorded, "--params", f"nearest={Params().nearest}")
    assert same["differing_decisions"] == 0


def test_another_method_stands_beside_the_recorded_one(recorded: Path, capsys: Any) -> None:
    told = _said(capsys, recorded, "--method", "greedy", "--most", 5)
    assert told["ticks"] == 5 and list(told["sides"]) == ["as recorded", "greedy"]


def test_some_of_the_ticks(recorded: Path, capsys: Any) -> None:
    whole = _said(capsys, recorded)
    assert (whole["from"], whole["until"]) == ("2026-03-02T04:00:00Z", "2026-03-02T04:00:22Z")
    assert _said(capsys, recorded, "--every", 4)["ticks"] == 3
    part = _said(capsys, recorded, "--from", "2026-03-02T12:00:06+08:00", "--until", "2026-03-02T04:00:10")
    assert (part["ticks"], part["from"], part["until"]) == (2, "2026-03-02T04:00:06Z", "2026-03-02T04:00:08Z")


def test_one_file_will_do(recorded: Path, capsys: Any) -> None:
    (path,) = recorded.glob("*/*.ticks")
    assert _said(capsys, path)["ticks"] == TICKS
    assert _said(capsys, path.parent, "--most", 3)["ticks"] == 3


def test_a_plan_that_does_not_come_out_again_is_told(recorded: Path, tmp_path: Path, capsys: Any) -> None:
    folder = _copied(recorded, tmp_path, lambda ticks: [replace(ticks[0], digest="another"), *ticks[1:]])
    assert _run(folder, "--check") == 1
    said = capsys.readouterr()
    assert "DID NOT" in said.out and "not every recorded plan" in said.err


def _copied(recorded: Path, folder: Path, change: Any) -> Path:
    (path,) = recorded.glob("*/*.ticks")
    (kept,) = recorded.glob("*/*.map")
    ticks: Sequence[TickRecord] = [one.tick for one in Recording(path).ticks(Span())]
    recorder = Recorder(TickFiles(folder), "copy")
    (folder / CAMPUS).mkdir(parents=True)
    (folder / CAMPUS / kept.name).write_bytes(kept.read_bytes())
    for tick in change(ticks):
        recorder.put(tick)
        recorder.flush()
    recorder.close()
    return folder


def test_a_table_a_page_and_a_plot(recorded: Path, tmp_path: Path, capsys: Any) -> None:
    page, plot = tmp_path / "report.html", tmp_path / "plot.png"
    asked = [recorded, "--params", "lateness_weight=9", "--closed", "--out", page, "--plot", plot]
    assert _run(*asked) == 0
    said = capsys.readouterr().out
    for words in ("as recorded", "lateness_weight=9", "mean minutes late", "byte for byte", "Open loop", "Closed loop"):
        assert words in said
    body = page.read_text(encoding="utf-8")
    assert "<svg" in body and "<script" not in body and "lateness_weight=9" in body
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert _run(recorded, "--out", page, "--plot", tmp_path / "x.svg") == 0
    assert _run(recorded, "--plot", tmp_path / "plot.words") == 1
    assert "--plot" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--params", "lateness_wait=3"], "did you mean lateness_weight"),
        (["--params", "nearest=many"], "whole number"),
        (["--params", "nearest=-1"], "must not be below 0"),
        (["--params", "something"], "neither name=value nor a method"),
        (["--from", "yesterday"], "write it as"),
        (["--every", "0"], "at least 1"),
        (["--out", "nowhere/day.html"], "--out nowhere/day.html: there is no folder nowhere"),
        (["--plot", "."], "--plot .: is a folder"),
    ],
)
def test_a_wrong_command_line_is_named(recorded: Path, capsys: Any, words: list[str], said: str) -> None:
    assert _run(recorded, *words) == 2
    assert said in capsys.readouterr().err


def test_what_cannot_be_replayed_is_said(recorded: Path, tmp_path: Path, capsys: Any) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    bad = tmp_path / "bad.ticks"
    bad.write_bytes(b"no ticks")
    two = tmp_path / "two"
    for name in ("cmp_1", "cmp_2"):
        (two / name).mkdir(parents=True)
        (two / name / "a.ticks").write_bytes(b"")
    (path,) = recorded.glob("*/*.ticks")
    lonely = tmp_path / path.name
    lonely.write_bytes(path.read_bytes())
    for where, said, code in (
        (tmp_path / "nowhere", "there is no file or folder", 2), (empty, "holds no recorded ticks", 2),
        (bad, "holds no records of ticks", 2), (two, "several campuses", 2), (lonely, "map", 1),
    ):  # fmt: skip
        assert _run(where) == code, where
        assert said in capsys.readouterr().err, where
    assert _run(recorded, "--campus", "cmp_none") == 2
    assert f"no ticks of --campus cmp_none; it holds {path.parent.name}" in capsys.readouterr().err
    assert _run(recorded, "--from", "2030-01-01T00:00:00Z") == 2
    assert "no tick of that time" in capsys.readouterr().err


def test_a_torn_file_is_replayed_as_far_as_it_goes(recorded: Path, tmp_path: Path, capsys: Any) -> None:
    folder = _copied(recorded, tmp_path, lambda ticks: ticks)
    (path,) = folder.glob("*/*.ticks")
    os.truncate(path, path.stat().st_size - 7)
    (path.parent / "zzz.ticks").write_bytes(b"something else")
    assert _run(folder, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["ticks"] == TICKS - 1
    assert "1 torn" in said.err and "zzz.ticks" in said.err


# --- the closed loop --------------------------------------------------------------------------------------------------


def test_a_day_played_on_delivers_what_came(recorded: Path) -> None:
    day = play_on(Recording(recorded).ticks(Span()), "as recorded", None)
    assert day.orders == 8 + TICKS - 1 and 0 < len(day.wait_s) <= day.orders
    assert all(wait_s > 0 for wait_s in day.wait_s) and len(day.late_s) == len(day.wait_s)
    cut = play_on(Recording(recorded).ticks(Span(most=4)), "cut", None, tail_ms=0)
    again = play_on(Recording(recorded).ticks(Span(most=4)), "again", None, tail_ms=0)
    assert again.summary() == cut.summary() and cut.orders < day.orders


def test_nobody_near_enough_delivers_nothing(recorded: Path) -> None:
    day = play_on(Recording(recorded).ticks(Span()), "x", Variant({"max_pickup_m": 0.0}), tail_ms=0)
    assert day.wait_s == [] and day.summary()["delivered"] == 0


def test_stops_of_a_task_keep_the_planned_order() -> None:
    one, other = next(iter(Samples().ticks(1))).tasks[:2]
    here = one.points[0]
    stops = [*stops_of(one, here), *stops_of(other, here)]
    assert [(stop.role, stop.merchant is None) for stop in stops[:2]] == [("pickup", True), ("dropoff", True)]
    order = [(other.id, "pickup"), (one.id, "pickup"), (other.id, "dropoff")]
    assert [(stop.task_id, stop.role) for stop in in_order(stops, order)] == [*order, (one.id, "dropoff")]
    spot = stops_of(replace(one, points=(), before_s=(600.0,), after_s=(0.0,)), here)
    assert [(stop.role, stop.point, stop.before_s) for stop in spot] == [("dropoff", here, 600.0)]


# --- variants ---------------------------------------------------------------------------------------------------------


def test_a_variant_is_written_as_it_is_read() -> None:
    found = parse_variant("greedy, nearest=40 lateness_weight=3.5,merchant_bundles=yes")
    assert found == Variant({"nearest": 40, "lateness_weight": 3.5, "merchant_bundles": True}, "greedy")
    assert found.words() == "greedy,lateness_weight=3.5,merchant_bundles=true,nearest=40"
    assert parse_variant(found.words()) == found
    changed = found.params(Params())
    assert (changed.nearest, changed.lateness_weight, changed.merchant_bundles) == (40, 3.5, True)
    assert changed.version == f"{Params().version}+{found.words()}"
    assert parse_variant("").params(Params()) == Params()


def test_a_text_without_a_second_side(recorded: Path) -> None:
    comparison = replay(Recording(recorded).ticks(Span(most=2)), None)
    assert "differing" not in as_text(as_json(comparison, []))
    with pytest.raises(CannotReplay):
        list(Recording(recorded).ticks(Span(from_ms=10**15)))
