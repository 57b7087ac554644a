"""Real tracks: ranges learned on some days hold on the others; and what is cut out of the tracks is a way."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from geo.calibration import Spread
from geo.point import near_distance_m
from loadtest import __main__ as command
from loadtest.eta_stretches import FASTEST_MPS, LEAST_STRAIGHT_M, SLOWEST_MPS, Stretch, stretches
from loadtest.eta_tracks import covered, is_fitted, moments, printed, run, trial
from loadtest.tracks import PersonDay, Reading, read_tracks


@pytest.fixture(scope="module")
def tracks(campus_data: Path) -> Path:
    return campus_data / "geolife" / "geolife_sample.txt.gz"


@pytest.fixture(scope="module")
def found(tracks: Path) -> list[Stretch]:
    return [stretch for day in read_tracks(tracks) for stretch in stretches(day)]


def test_the_stretches_are_ways_from_stop_to_stop(found: list[Stretch]) -> None:
    assert len(found) > 200
    assert {stretch.person for stretch in found} == {"001", "005"}
    assert min(sum(stretch.mode == mode for stretch in found) for mode in ("walk", "e_bike")) > 50
    for stretch in found:
        assert stretch.straight_m >= LEAST_STRAIGHT_M
        assert SLOWEST_MPS <= stretch.path_m / stretch.seconds <= FASTEST_MPS
        times = [fix.fixed_at_ms for fix in stretch.fixes]
        assert times == sorted(times)


def test_four_of_five_arrivals_of_other_days_are_in_the_range(found: list[Stretch]) -> None:
    told = trial(found)
    print(printed(told, "odd days"))
    assert not {one.day for one in told.fitted} & {one.day for one in told.held_out}
    assert all(is_fitted(one.day) for one in told.fitted) and not any(is_fitted(one.day) for one in told.held_out)
    assert told.is_calibrated and 0.75 <= told.coverage <= 0.85
    assert {id(one.stretch) for one in told.judged} <= {id(one) for one in told.held_out}


def test_it_is_learned_and_not_luck_of_one_division(found: list[Stretch]) -> None:
    assert 0.70 <= covered(trial(found, fits_even=False).judged) <= 0.90
    odd = [one for one in found if not is_fitted(one.day)]
    for wrong in (Spread(0.0, 0.04, 0.04), Spread(0.5, 0.1, 0.1)):
        untrained, trained = trial(odd, prior=wrong), trial(found, prior=wrong)
        assert not untrained.fitted and untrained.coverage < 0.4
        assert trained.coverage > 0.7, "what is wrong to begin with is put right by what is seen"


def test_the_learned_middle_is_nearer_than_a_fixed_speed(found: list[Stretch]) -> None:
    judged = trial(found).judged
    learned = sorted(abs(one.middle_s - one.actual_s) for one in judged)
    fixed = sorted(abs(one.baseline_s - one.actual_s) for one in judged)
    assert learned[len(judged) // 2] < 0.9 * fixed[len(judged) // 2]


def test_the_command_prints_the_table(tracks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["eta", "--tracks", str(tracks)]) == 0
    told = capsys.readouterr().out
    assert "in the 80 % range" in told and "walked" in told and "ridden" in told and "range holds" in told


def _walk(day: str, minutes: int, speed_mps: float) -> list[str]:
    lines = []
    for number in range(minutes * 12):
        lat = 39.995 + speed_mps * 5 * number / 111_195
        lines.append(f"{lat:.6f},116.32,{day} 04:{number // 12:02d}:{number % 12 * 5:02d},9")
    return lines


def test_a_range_that_does_not_hold_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tracks.csv"
    rows = ["lat,lng,datetime,uid"]
    for day in range(1, 25):
        # On even days of the calendar one strolls, on odd ones one runs: nothing that was learned is true.
        even = is_fitted(f"2008-11-{day:02d}")
        rows += _walk(f"2008-11-{day:02d}", 8 if even else 4, 0.9 if even else 2.2)
    file.write_text("\n".join(rows))
    assert run(file) == 1
    assert "DOES NOT HOLD" in capsys.readouterr().out


def test_a_stay_ends_a_stretch_and_so_does_a_sleeping_device() -> None:
    readings, at_s, lat = [], 0, 39.995

    def go(seconds: int, mps: float) -> None:
        nonlocal at_s, lat
        for _ in range(seconds // 5):
            readings.append(Reading(at_s * 1000, lat, 116.32))
            at_s, lat = at_s + 5, lat + mps * 5 / 111_195

    go(150, 1.4)
    go(200, 0.0)
    go(200, 1.4)
    at_s += 600  # nobody moved, nothing was read
    go(250, 1.4)
    ways = list(stretches(PersonDay("9 2008-11-03", tuple(readings))))
    # The readings of the first metres of a stay, and of the last, count to the stay.
    assert [round(way.seconds, -1) for way in ways] == pytest.approx([150, 190, 240], abs=30)
    assert all(way.mode == "walk" for way in ways)
    for way in ways:
        left = list(moments(way))
        assert left[0].left_s == way.seconds and all(a.left_s > b.left_s for a, b in itertools.pairwise(left))
        end = way.fixes[-1]
        assert left[0].straight_m == near_distance_m(way.fixes[0].lat, way.fixes[0].lon, end.lat, end.lon)
