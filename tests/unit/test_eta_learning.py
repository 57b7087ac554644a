"""Speeds, detours and errors that are learned: what is known of one leans on what is known of all; nothing grows."""

from __future__ import annotations

import json
from itertools import pairwise
from math import exp, log

import msgspec
import numpy as np
import pytest

from geo.arrival_model import FIRST_DETOUR, Detours
from geo.calibration import MOST_CASES, Calibration, band, error_of
from geo.eta import E_BIKE_MPS, FLOOR_DOWN_S, FLOOR_S, WALK_MPS, Leg, eta, route_etas, route_times
from geo.fix import Fix
from geo.off_route import is_off_route
from geo.pace import FASTEST_MPS, MOST_FACTOR, SLOWEST_MPS, Paces, RunnerPace
from geo.point import LocalPlane, Point
from geo.shrinkage import Mean
from geo.track_speed import moved
from geo.walkway import Walkways

PLANE = LocalPlane(Point(30.0, 114.0))


# --- route times


def test_a_route_takes_its_way_its_stairs_and_its_stops() -> None:
    times = route_times([Leg(270, 3, 60), Leg(135, 1, 30)], WALK_MPS, wait_s=10)
    assert times[0].arrive_s == pytest.approx(10 + 200 + 2 * FLOOR_S)
    assert times[0].done_s == pytest.approx(times[0].arrive_s + 60)
    assert times[1].arrive_s == pytest.approx(times[0].done_s + 2 * FLOOR_DOWN_S + 100)
    assert route_times([], WALK_MPS) == []


def test_nothing_is_picked_up_before_it_is_ready() -> None:
    (early,) = route_times([Leg(135, 0, 30, ready_s=500)], WALK_MPS)
    assert early.arrive_s == pytest.approx(100) and early.done_s == pytest.approx(530)


def test_each_stop_has_its_range_and_later_ones_are_less_sure() -> None:
    first, second = route_etas([Leg(270, 2, 60), Leg(540, 4, 60)], WALK_MPS)
    assert first.low_s < first.seconds < first.high_s < second.high_s
    assert second.high_s - second.low_s > first.high_s - first.low_s
    one = route_etas([Leg(270, 3, 60)], WALK_MPS)[0]
    assert one == pytest.approx(eta(270, floors=2, handling_s=60))


@pytest.mark.parametrize("leg", [Leg(-1), Leg(float("nan")), Leg(10, 0, -1)])
def test_an_impossible_leg_is_refused(leg: Leg) -> None:
    with pytest.raises(ValueError, match="no way has"):
        route_times([leg], WALK_MPS)
    with pytest.raises(ValueError, match="nobody gets anywhere"):
        route_times([Leg(1)], 0.0)


# --- speeds


def test_nothing_known_is_the_field_figure() -> None:
    paces = Paces()
    assert paces.speed_mps("anybody", "walk", 12) == pytest.approx(WALK_MPS)
    assert paces.speed_mps(None, "e_bike", 12) == pytest.approx(E_BIKE_MPS)
    assert paces.speed_mps(None, "unicycle", 12) == pytest.approx(WALK_MPS), "who is not known to ride walks"


def test_a_runner_is_known_better_with_every_way_and_the_hour_with_its_own() -> None:
    paces = Paces()
    seen = [paces.speed_mps("r", "walk", 8)]
    for _ in range(12):
        assert paces.learn("r", "walk", 8, 1.0 * 400, 400)
        seen.append(paces.speed_mps("r", "walk", 8))
    assert all(a > b for a, b in pairwise(seen)), "ever nearer to what was seen"
    assert seen[-1] < 1.1
    assert seen[-1] < paces.speed_mps("r", "walk", 20) < WALK_MPS, "another hour leans on the runner"
    assert paces.speed_mps("r", "walk", 20) < paces.speed_mps("other", "walk", 8) < WALK_MPS, "others on everybody"
    assert paces.speed_mps("r", "e_bike", 8) == pytest.approx(E_BIKE_MPS), "riding says nothing about walking"


def test_no_speed_leaves_what_is_possible() -> None:
    paces = Paces()
    for _ in range(500):
        paces.learn("fast", "walk", 8, 5.9 * 300, 300)
        paces.learn("slow", "e_bike", 8, 0.6 * 300, 300)
    assert paces.speed_mps("fast", "walk", 8) == pytest.approx(WALK_MPS * MOST_FACTOR)
    assert paces.speed_mps("slow", "e_bike", 8) == pytest.approx(E_BIKE_MPS / MOST_FACTOR)


@pytest.mark.parametrize(
    ("metres", "seconds"), [(10, 10), (1000, 100), (30, 300), (float("nan"), 100), (100, float("nan")), (0, 0)]
)
def test_what_is_no_way_teaches_nothing(metres: float, seconds: float) -> None:
    paces = Paces()
    assert not paces.learn("r", "walk", 8, metres, seconds)
    assert len(paces) == 0 and not paces.kinds


def test_only_so_many_runners_are_remembered() -> None:
    paces = Paces(most_runners=3)
    for number in range(5):
        paces.learn(f"r{number}", "walk", 8, 130, 100)
    paces.learn("r2", "walk", 9, 130, 100)
    paces.learn("r9", "walk", 9, 130, 100)
    assert [key[0] for key, _ in paces.runners()] == ["r4", "r2", "r9"]
    paces.forget([("r4", "walk")])
    assert paces.of(("r4", "walk")) is None


def test_a_runner_changes_and_the_old_ways_fade() -> None:
    paces = Paces()
    for _ in range(300):
        paces.learn("r", "walk", 8, 0.9 * 300, 300)
    for _ in range(150):
        paces.learn("r", "walk", 8, 1.6 * 300, 300)
    assert paces.speed_mps("r", "walk", 8) == pytest.approx(1.6, rel=0.06)


def test_a_pace_survives_its_record() -> None:
    pace = RunnerPace().seen(log(1.2), 0.5, 8).seen(log(1.4), 1.0, 9)
    again = msgspec.json.decode(msgspec.json.encode(pace), type=RunnerPace)
    assert again == pace and again.hours[9] == Mean(1.0, log(1.4))


# --- detours


def test_detours_are_learned_by_length_and_bounded() -> None:
    detours = Detours()
    assert detours.ratio(300) == pytest.approx(FIRST_DETOUR)
    for _ in range(60):
        assert detours.learn(100, 190)
        assert detours.learn(2_000, 2_200)
    assert detours.ratio(100) > 1.7 and detours.ratio(2_000) < 1.2
    assert not detours.learn(100, 90) and not detours.learn(100, 500) and not detours.learn(5, 6)
    again = Detours.from_json(detours.to_json())
    assert again.ratio(100) == detours.ratio(100)
    assert Detours.from_json([Mean(1, 9)]).ratio(100) == pytest.approx(FIRST_DETOUR), "another shape is left alone"


# --- errors


def draws(seed: int, count: int, spread: float, shift: float) -> list[tuple[float, float]]:
    luck = np.random.default_rng(seed)
    expected = luck.uniform(60, 1_800, count)
    return [(float(e), float((e + 60) * np.exp(luck.normal(shift, spread)) - 60)) for e in expected]


@pytest.mark.parametrize(("spread", "shift"), [(0.1, 0.0), (0.3, 0.2), (0.5, -0.3)])
def test_the_range_comes_to_hold_four_of_five(spread: float, shift: float) -> None:
    errors = Calibration()
    for expected, actual in draws(1, 1_500, spread, shift):
        errors.learn("carrying:next", expected, actual)
    told = [(errors.range_of("carrying:next", e), a) for e, a in draws(2, 1_500, spread, shift)]
    share = np.mean([one.low_s <= actual <= one.high_s for one, actual in told])
    assert 0.77 <= share <= 0.83
    middle = np.mean([one.seconds > actual for one, actual in told])
    assert 0.45 <= middle <= 0.55, "what is usual is corrected"


def test_it_follows_a_change() -> None:
    errors = Calibration()
    for expected, actual in draws(1, 3_000, 0.1, 0.0):
        errors.learn("c", expected, actual)
    narrow = errors.range_of("c", 600)
    for expected, actual in draws(2, 3_000, 0.4, 0.3):
        errors.learn("c", expected, actual)
    wide = errors.range_of("c", 600)
    assert wide.high_s - wide.low_s > 2 * (narrow.high_s - narrow.low_s)
    share = np.mean(
        [errors.range_of("c", e).low_s <= a <= errors.range_of("c", e).high_s for e, a in draws(3, 500, 0.4, 0.3)]
    )
    assert 0.7 <= share <= 0.9


def test_nothing_learned_is_a_prior_and_a_new_case_leans_on_all() -> None:
    errors = Calibration()
    first = errors.range_of("c", 600)
    assert first.low_s < 600 < first.high_s and 0.9 < first.seconds / 600 < 1.15
    for expected, actual in draws(1, 2_000, 0.05, 0.7):
        errors.learn("c", expected, actual)
    assert errors.range_of("never seen", 600).seconds == pytest.approx((660) * exp(0.7) - 60, rel=0.1)
    assert errors.seen("c") > 500 and errors.seen("never seen") == 0


def test_the_record_is_bounded_and_says_the_same() -> None:
    errors = Calibration()
    for number in range(2_000):
        errors.learn(f"case {number}", 300, 400 + number)
    body = errors.to_json()
    assert len(body["bins"]) <= MOST_CASES + 1 and "other" in body["bins"] and len(body["levels"]) <= MOST_CASES
    again = Calibration.from_json(json.loads(json.dumps(body)))
    assert again.range_of("case 3", 300) == pytest.approx(errors.range_of("case 3", 300), rel=1e-3)
    wrong = {"bins": {"*": [120.0, *[1.0] * 50], "x": [-3.0, 1.0]}, "levels": {"x": [-5.0, 5.0]}}
    assert Calibration.from_json(wrong).to_json()["bins"] == {}, "no such bins"
    low, high = Calibration.from_json(wrong).levels("x")
    assert 0 < low < 0.5 < high < 1


def test_errors_are_even_handed() -> None:
    assert error_of(300, 300) == 0
    assert error_of(300, 660) == pytest.approx(-error_of(660, 300))
    assert np.isfinite(error_of(0, 0)) and error_of(-5, 0) == 0
    assert [band(seconds) for seconds in (0, 119, 120, 5_000)] == [0, 0, 1, 5]


# --- tracks


def track(*legs: tuple[float, float, float], step_s: float = 5.0, accuracy: float = 5.0) -> list[Fix]:
    """Legs of (metres east a second, metres north a second, seconds)."""
    x = y = 0.0
    at_ms, fixes = 0, []
    for east, north, seconds in legs:
        for _ in range(int(seconds / step_s)):
            point = PLANE.point(x, y)
            fixes.append(Fix(point.lat, point.lon, at_ms, accuracy))
            x, y, at_ms = x + east * step_s, y + north * step_s, at_ms + int(step_s * 1000)
    return fixes


def test_stops_are_not_part_of_a_speed() -> None:
    way = moved(track((1.4, 0, 200), (0, 0, 300), (1.4, 0, 200)))
    assert way.metres / way.seconds == pytest.approx(1.4, rel=0.02)
    assert 200 < way.seconds < 400
    assert moved(track((0, 0, 600))).metres == 0
    assert moved([]) == (0.0, 0.0)


def test_gaps_and_vague_readings_are_not_part_of_a_speed() -> None:
    fixes = track((1.4, 0, 400))
    gone = [fix for fix in fixes if not 100_000 < fix.fixed_at_ms < 300_000]
    way = moved(gone)
    assert way.metres / way.seconds == pytest.approx(1.4, rel=0.02) and way.seconds < 210
    assert moved(track((1.4, 0, 400), accuracy=200)).seconds == 0


# --- off the route


def test_who_goes_away_from_every_stop_is_off_the_route() -> None:
    ways = Walkways(None)
    stop, behind = PLANE.point(600, 0), PLANE.point(-600, 0)
    towards, away = track((1.4, 0, 120)), track((-1.4, 0, 120))
    assert not is_off_route(towards, [stop], ways)
    assert is_off_route(away, [stop], ways)
    assert not is_off_route(away, [stop, behind], ways), "the other stop may come first"
    assert not is_off_route(away[:4], [stop], ways), "too short to say"
    assert not is_off_route(away, [], ways) and not is_off_route([], [stop], ways)


def test_standing_and_noise_are_not_off_the_route() -> None:
    luck = np.random.default_rng(5)
    stop = PLANE.point(300, 0)
    noisy = []
    for number in range(60):
        point = PLANE.point(*luck.normal(0, 15, 2))
        noisy.append(Fix(point.lat, point.lon, number * 5_000, 25.0))
    assert not is_off_route(noisy, [stop], Walkways(None))
    assert not is_off_route(track((0, 0, 300)), [stop], Walkways(None))


def test_far_beside_the_way_without_coming_nearer_is_off_the_route() -> None:
    # Along a circle about the stop nothing is gained; after a while one is far from the straight way there.
    stop, fixes = PLANE.point(0, 0), []
    for number in range(40):
        angle = number * 0.014
        point = PLANE.point(500 * np.cos(angle), 500 * np.sin(angle))
        fixes.append(Fix(point.lat, point.lon, number * 5_000, 5.0))
    assert is_off_route(fixes, [stop], Walkways(None))


def test_the_speeds_that_bound_are_the_ones_that_are_told() -> None:
    assert SLOWEST_MPS < WALK_MPS / MOST_FACTOR * 1.5 and E_BIKE_MPS < FASTEST_MPS


def test_ends_that_do_not_hold_move_until_they_do() -> None:
    # Errors with two humps: what is known is spread over bins and leans on others, the ends must find their place.
    luck = np.random.default_rng(6)
    errors, inside = Calibration(), []
    for number in range(6_000):
        error = luck.normal(-0.2, 0.02) if number % 3 else luck.normal(0.35, 0.02)
        actual = 660 * np.exp(error) - 60
        told = errors.range_of("c", 600)
        inside.append(told.low_s <= actual <= told.high_s)
        errors.learn("c", 600, actual)
    assert 0.77 <= np.mean(inside[1_000:]) <= 0.85
    low, high = errors.levels("c")
    assert 0 < low < high < 1 and errors.levels("never seen") == errors.levels("*")
    again = Calibration.from_json(errors.to_json())
    assert again.levels("c") == errors.levels("c")
