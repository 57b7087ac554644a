"""Arrivals in general: longer ways take longer, ranges hold their middle, and nothing learned breaks a bound."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from geo.arrival_model import MOST_DETOUR, Detours
from geo.calibration import Calibration
from geo.eta import SPEEDS_MPS, Leg, route_etas, route_times
from geo.pace import FASTEST_MPS, MOST_FACTOR, SLOWEST_MPS, Paces

legs = st.lists(
    st.builds(
        Leg,
        metres=st.floats(0, 5_000),
        floor=st.integers(-3, 30),
        service_s=st.floats(0, 1_200),
        ready_s=st.floats(0, 5_000),
    ),
    max_size=8,
)
speeds = st.floats(0.5, 6.0)
vehicles = st.sampled_from(["walk", "e_bike", "sled"])
ways = st.tuples(
    st.sampled_from(["a", "b", "c"]), vehicles, st.integers(-30, 60), st.floats(-10, 9e3), st.floats(-10, 9e3)
)


@given(legs, speeds)
def test_times_never_go_back_and_ranges_hold_their_middle(route: list[Leg], speed: float) -> None:
    times = route_times(route, speed)
    for before, after in pairwise(times):
        assert before.arrive_s <= before.done_s <= after.arrive_s <= after.done_s
    for told, one in zip(route_etas(route, speed), times, strict=True):
        assert 0 <= told.low_s <= told.seconds <= told.high_s
        assert told.seconds == one.done_s


@given(legs, speeds, st.floats(0, 1_000), st.integers(0, 7))
def test_more_to_walk_or_a_slower_pace_is_never_sooner(route: list[Leg], speed: float, more: float, at: int) -> None:
    before = route_times(route, speed)
    longer = [leg._replace(metres=leg.metres + more) if number == at else leg for number, leg in enumerate(route)]
    for one, other in zip(before, route_times(longer, speed), strict=True):
        assert other.done_s >= one.done_s - 1e-6
    for one, other in zip(before, route_times(route, speed * 0.9), strict=True):
        assert other.done_s >= one.done_s - 1e-6


@given(st.lists(ways, max_size=60), st.integers(1, 4))
def test_whatever_is_learned_speeds_stay_possible(seen: list[tuple[str, str, int, float, float]], most: int) -> None:
    paces = Paces(most)
    for runner, vehicle, hour, metres, seconds in seen:
        paces.learn(runner, vehicle, hour, metres, seconds)
    assert len(paces) <= most
    for runner in ("a", "b", "nobody"):
        for vehicle, field in SPEEDS_MPS.items():
            speed = paces.speed_mps(runner, vehicle, 12)
            assert SLOWEST_MPS <= speed <= FASTEST_MPS
            assert field / MOST_FACTOR - 1e-9 <= speed <= field * MOST_FACTOR + 1e-9


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), max_size=60), st.floats(0, 1e4))
def test_detours_stay_between_none_and_the_most(seen: list[tuple[float, float]], straight: float) -> None:
    detours = Detours()
    for straight_m, way_m in seen:
        detours.learn(straight_m, way_m)
    assert 1.0 <= detours.ratio(straight) <= MOST_DETOUR


cases = st.sampled_from(["carrying:next", "fetching:later", "spot:there"])
seconds = st.floats(0, 7_200)


@given(st.lists(st.tuples(cases, seconds, seconds, st.floats(0.01, 5)), max_size=60), cases, seconds, seconds)
def test_ranges_are_ordered_whatever_came(
    seen: list[tuple[str, float, float, float]], case: str, expected: float, more: float
) -> None:
    errors = Calibration()
    for name, expected_s, actual_s, weight in seen:
        errors.learn(name, expected_s, actual_s, weight)
    told = errors.range_of(case, expected)
    assert 0 <= told.low_s <= told.seconds <= told.high_s < 1e6
    again = Calibration.from_json(json.loads(json.dumps(errors.to_json())))
    assert abs(again.range_of(case, expected).high_s - told.high_s) <= 0.02 * told.high_s + 1
    later = errors.quantiles(case, expected, (0.1, 0.2, 0.5, 0.8, 0.9))
    assert later == sorted(later)
