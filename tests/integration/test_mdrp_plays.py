"""The benchmark's command on made-up days with every policy, through the shipping optimizer, and on real instances."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from loadtest.mdrp.command import main
from loadtest.mdrp.instance import travel_minutes
from loadtest.mdrp.ours import PLANE, Ours, WholeMinutes
from loadtest.mdrp.parameters import CHOSEN, with_changes
from loadtest.mdrp.reader import read_instance
from loadtest.mdrp.session import NAMES
from loadtest.mdrp.validator import faults
from loadtest.mdrp.world import play

#: A short search: these days are about the rules, not about the last half minute.
SHORT = ("--param", "iterations=3")
SHORT_SETUP = with_changes(CHOSEN, ["iterations=3"])
RULES = (
    "meters_per_minute\tpickup service minutes\tdropoff service minutes\ttarget click-to-door\t"
    "maximum click-to-door\tpay per order\tguaranteed pay per hour\n320\t4\t4\t40\t90\t10\t15\n"
)


def write_day(folder: Path, *, orders: int, couriers: int, restaurants: int = 6, seed: int = 7) -> Path:
    """A day of two and a half hours within six kilometres, drawn by lot."""
    lot = random.Random(seed)

    def place() -> str:
        return f"{lot.randrange(6000)}\t{lot.randrange(6000)}"

    lines = [f"r{i}\t{place()}" for i in range(restaurants)]
    rows = []
    for i in range(orders):
        placed = lot.randrange(30, 180)
        rows.append(f"o{i}\t{place()}\t{placed}\tr{lot.randrange(restaurants)}\t{placed + lot.randrange(5, 25)}")
    crew = [f"c{i}\t{place()}\t{lot.choice((0, 30))}\t{lot.choice((180, 240))}" for i in range(couriers)]
    folder.mkdir(parents=True)
    (folder / "restaurants.txt").write_text("restaurant\tx\ty\n" + "\n".join(lines) + "\n")
    (folder / "orders.txt").write_text("order\tx\ty\tplacement_time\trestaurant\tready_time\n" + "\n".join(rows) + "\n")
    (folder / "couriers.txt").write_text("courier\tx\ty\ton_time\toff_time\n" + "\n".join(crew) + "\n")
    (folder / "instance_parameters.txt").write_text(RULES)
    return folder


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One day with enough couriers, one with far too few."""
    folder = tmp_path_factory.mktemp("mdrp")
    write_day(folder / "calm", orders=30, couriers=12)
    write_day(folder / "crowded", orders=40, couriers=3, seed=8)
    return folder


def test_every_policy_plays_by_the_rules_and_the_report_says_how_they_did(
    days: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--policies", ",".join(NAMES), "--processes", "1", "--json", str(tmp_path / "out.json")]
    told += ["--solutions", str(tmp_path / "files"), "--plot", str(tmp_path / "out.png")]
    assert main([str(days), *told, *SHORT]) == 0
    out, err = capsys.readouterr()
    assert "calm  (30 orders, not seen)" in out and "every day was validated: no rule is broken" in out
    assert f"[{2 * len(NAMES)}/{2 * len(NAMES)}]" in err, "progress"
    body = json.loads((tmp_path / "out.json").read_text())
    figures = {(row["instance"], row["policy"]): row for row in body["instances"]}
    assert len(figures) == 2 * len(NAMES)
    assert all(row["faults"] == [] for row in figures.values())
    calm = {policy: figures["calm", policy] for policy in NAMES}
    assert calm["ours"]["undelivered"] == 0
    assert calm["bound"]["ctd"] <= min(row["ctd"] for row in calm.values())
    assert calm["ours"]["penalised"] <= calm["greedy"]["penalised"] + 0.5
    # Under load bundles are what carries everybody's food.
    assert figures["crowded", "ours"]["orders_per_bundle"] > 1.05
    assert figures["crowded", "ours"]["undelivered"] < figures["crowded", "match30"]["undelivered"]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    delivered = (tmp_path / "files" / "ours" / "calm" / "solution_info_orders.txt").read_text().splitlines()
    assert len(delivered) == 31
    assert not (tmp_path / "files" / "bound").exists(), "nobody played it"


def test_the_shipping_optimizer_decides_the_same_twice(days: Path) -> None:
    instance = read_instance(days / "crowded")
    once, again = play(instance, Ours(SHORT_SETUP)), play(instance, Ours(SHORT_SETUP))
    assert once.solution == again.solution
    assert faults(instance, once.solution) == []


def test_two_processes_give_what_one_gives(days: Path, tmp_path: Path) -> None:
    bodies = []
    for processes in ("1", "2"):
        path = tmp_path / f"{processes}.json"
        told = ["--policies", "match30,ours", "--processes", processes, "--json", str(path), *SHORT]
        assert main([str(days), *told]) == 0
        rows = json.loads(path.read_text())["instances"]
        bodies.append({(r["instance"], r["policy"]): (r["ctd"], r["undelivered"]) for r in rows})
    assert bodies[0] == bodies[1] and len(bodies[0]) == 4


def test_a_changed_parameter_reaches_the_optimizer(days: Path, tmp_path: Path) -> None:
    """One order a trip is what a bag of one order means."""
    path = tmp_path / "out.json"
    told = ["--policies", "ours", "--only", "crowd*", "--param", "orders_per_trip=1", "--processes", "1"]
    assert main([str(days), *told, *SHORT, "--json", str(path)]) == 0
    body = json.loads(path.read_text())
    (row,) = body["instances"]
    assert row["orders_per_bundle"] == 1.0
    assert body["setup"]["orders_per_trip"] == 1


def test_metres_become_places_and_whole_minutes_again() -> None:
    lot = random.Random(3)
    xy = np.array([[lot.randrange(-40_000, 40_000), lot.randrange(-40_000, 40_000)] for _ in range(200)])
    between = WholeMinutes(314)(np.array([PLANE.point(float(x), float(y)) for x, y in xy]))
    rows = np.arange(200)
    minutes = between(rows[:, None], rows[None, :]) / 314
    assert (minutes == travel_minutes(xy[:, None], xy[None, :], 314)).all()


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (["nowhere"], "no such folder"),
        (["{days}", "--policies", "best"], "no such policy: best"),
        (["{days}", "--only", "x*"], "no instance is left"),
        (["{days}", "--set", "sixteen"], "no instance is left"),
        (["{days}", "--policies", ","], "--policies names none"),
        (["{days}", "--param", "speed=1"], "NAME=VALUE"),
        (["{days}", "--processes", "0"], "--processes 0: must be at least 1"),
        (["{days}", "--json", "{empty}/no/x.json"], "--json {empty}/no/x.json: there is no folder"),
        (["{days}", "--plot", "{empty}"], "--plot {empty}: is a folder"),
        (["{days}", "--solutions", "{bad}/orders.txt"], "--solutions {bad}/orders.txt: is no folder"),
        (["{days}/calm/.."], None),
        (["{bad}"], "orders.txt, line 2, field 'x'"),
        (["{empty}"], "is missing"),
    ],
)
def test_what_cannot_be_played_is_told_and_ends_with_2(
    days: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], told: list[str], says: str | None
) -> None:
    bad = write_day(tmp_path / "bad", orders=1, couriers=1)
    (bad / "orders.txt").write_text((bad / "orders.txt").read_text().replace("o0\t", "o0\t?"))
    (tmp_path / "empty").mkdir()
    words = [word.format(days=days, bad=bad, empty=tmp_path / "empty") for word in told]
    code = main(["--processes", "1", *([] if "--policies" in words else ["--policies", "bound"]), *words])
    assert code == (2 if says else 0)
    if says:
        said = capsys.readouterr()
        assert says.format(days=days, bad=bad, empty=tmp_path / "empty") in said.err
        assert "[1/" not in said.err, "told before a day is played"


def test_check_fails_when_a_bound_is_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A base instance where nobody is on duty: everything stays undelivered."""
    day = write_day(tmp_path / "9o50t100s1p100", orders=5, couriers=1)
    (day / "couriers.txt").write_text("courier\tx\ty\ton_time\toff_time\nc0\t0\t0\t0\t1\n")
    told = [str(day), "--policies", "ours", "--processes", "1"]
    assert main(told) == 0
    assert main([*told, "--check"]) == 1
    assert "must ≤ 0.6: misses" in capsys.readouterr().out


def test_the_command_tells_its_options() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.mdrp", "--help"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    assert done.returncode == 0
    for word in ("--policies", "--param", "--only", "--set", "--json", "--plot", "--solutions", "--check", "match30"):
        assert word in done.stdout


def test_a_real_day_reproduces_what_is_known_of_match30(campus_data: Path, tmp_path: Path) -> None:
    """The sixteen instances with the rebuilt match30: 1.021 times the exact optimum, one order undelivered."""
    path = tmp_path / "out.json"
    told = [str(campus_data / "mdrp"), "--set", "sixteen", "--policies", "bound,greedy,match30", "--json", str(path)]
    assert main([*told, "--brief"]) == 0
    body = json.loads(path.read_text())
    assert body["match30_to_exact"] == pytest.approx(1.021, abs=0.004)
    sixteen = body["sets"]["sixteen"]
    assert sixteen["match30"]["pooled"]["undelivered"] == 1
    assert sixteen["bound"]["mean_of_instances"]["ctd"] == pytest.approx(29.99, abs=0.01)
    assert sixteen["greedy"]["mean_of_instances"]["ctd"] / 30.67 == pytest.approx(1.063, abs=0.001)


@pytest.mark.slow
@pytest.mark.timeout(300)  # a whole real day of the shipping optimizer
def test_a_real_day_is_played_by_the_rules(campus_data: Path) -> None:
    instance = read_instance(campus_data / "mdrp" / "0r50t75s2p125")
    solution = play(instance, Ours(SHORT_SETUP)).solution
    assert faults(instance, solution) == []
    assert sum(len(trip.drops) for trip in solution.trips) == len(instance.orders)
