"""Rings around stops: who comes near, who is there, who only passes by, and what a bad reading changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.fix import Fix
from geo.point import LocalPlane, Point
from geo.stop_rings import Approach, ApproachKind, RingRules, StopRings, Target

HERE = Point(39.9, 116.3)
PLANE = LocalPlane(HERE)
SHOP = Target("ord_1/pickup", HERE)
NEAR, THERE, LEFT = ApproachKind.NEAR, ApproachKind.THERE, ApproachKind.LEFT


def seen(east_m: float, at_s: float, accuracy_m: float | None = 5.0) -> Fix:
    lat, lon = PLANE.point(east_m, 0.0)
    return Fix(lat, lon, round(at_s * 1000), accuracy_m)


class Way:
    """One runner on the way to one stop, seen every few seconds."""

    def __init__(self, *targets: Target, rules: RingRules | None = None) -> None:
        self.rings = StopRings(HERE, rules)
        self.rings.aim("r1", targets or (SHOP,))
        self.at_s = 0.0

    def see(self, east_m: float, after_s: float = 3.0, accuracy_m: float | None = 5.0) -> list[ApproachKind]:
        self.at_s += after_s
        found, strangers = self.rings.judge(["r1"], [seen(east_m, self.at_s, accuracy_m)])
        assert not strangers
        return [approach.kind for approach in found]


def test_one_comes_near_then_is_there_after_a_while_and_leaves_beyond_doubt() -> None:
    way = Way()
    assert way.see(61) == []
    assert way.see(60) == [NEAR]
    assert way.see(41) == []
    assert way.see(40) == [], "who comes in is not there before they have stayed"
    assert way.see(10, 9.9) == []
    assert way.see(10, 0.1) == [THERE]
    assert way.see(0, 60) == [], "told once"
    assert way.see(64) == [], "60 m and the accuracy of 5 m is not beyond doubt"
    assert way.see(66) == [LEFT]
    assert way.see(10) == [] and way.see(10, 10) == [THERE], "back again; near is told once"


def test_there_since_when_one_came_in() -> None:
    rings = StopRings(HERE)
    rings.aim("r1", [SHOP])
    rings.judge(["r1"], [seen(30, 100)])
    (there,) = rings.judge(["r1"], [seen(0, 115)])[0]
    assert there == Approach("r1", SHOP.id, THERE, 115_000, 100_000)


def test_who_passes_by_was_not_there() -> None:
    way = Way()
    assert [way.see(x) for x in (50, 20, 0, -30, -70)] == [[NEAR], [], [], [], []]
    assert way.see(-200) == [], "and so has not left either"


def test_a_dot_that_trembles_on_the_line_is_there_once() -> None:
    way = Way()
    told = [kind for n in range(200) for kind in way.see(40 + (-1) ** n * 15)]
    assert told == [NEAR, THERE]


def test_a_coarse_reading_brings_nobody_in_and_lets_nobody_out() -> None:
    way = Way()
    assert way.see(0, 3, 101) == [] and way.see(0, 30, 500) == []
    assert way.see(0, 3, 100) == [NEAR]
    assert way.see(0, 30) == [THERE]
    assert way.see(150, 3, 90) == [], "it may well be where it was"
    assert way.see(151, 3, 90) == [LEFT]


def test_a_reading_that_does_not_say_how_exact_it_is_counts_as_it_is() -> None:
    way = Way()
    assert way.see(0, 3, None) == [NEAR] and way.see(0, 30, None) == [THERE] and way.see(60.5, 3, None) == [LEFT]


def test_without_a_dwell_one_is_there_at_once() -> None:
    assert Way(rules=RingRules(dwell_s=0)).see(10) == [NEAR, THERE]


def test_a_stop_that_stays_keeps_what_is_known_and_one_that_went_is_gone() -> None:
    far = Target("ord_1/dropoff", PLANE.point(500, 0))
    way = Way()
    assert way.see(0) == [NEAR]
    way.rings.aim("r1", [SHOP, far])
    assert way.see(0, 10) == [THERE], "it has been in since before"
    assert way.rings.targets("r1") == [SHOP, far] and len(way.rings) == 2
    way.rings.aim("r1", [far])
    assert way.see(0) == [] and way.see(500) == [NEAR] and len(way.rings) == 1
    moved = Target(far.id, PLANE.point(900, 0))
    way.rings.aim("r1", [moved, moved])
    assert way.see(500) == [] and way.see(900) == [NEAR], "the same name elsewhere is another stop"
    assert len(way.rings) == 1


def test_strangers_are_named_and_whoever_has_nothing_before_them_costs_nothing() -> None:
    rings = StopRings(HERE)
    rings.aim("idle", [])
    found, strangers = rings.judge(["new", "idle", "newer"], [seen(0, 1)] * 3)
    assert (found, strangers) == ([], [0, 2])
    rings.aim("new", [SHOP])
    found, strangers = rings.judge(["new", "idle", "newer"], [seen(0, 1)] * 3)
    assert [one.runner_id for one in found] == ["new"] and strangers == [2]
    rings.forget("new")
    rings.forget("never seen")
    assert rings.runner_ids == {"idle"} and len(rings) == 0
    assert rings.judge(["new"], [seen(0, 2)]) == ([], [0])


def test_each_stop_is_its_own_runner_s() -> None:
    rings = StopRings(HERE)
    rings.aim("a", [Target("ord_a/pickup", HERE)])
    rings.aim("b", [Target("ord_b/pickup", PLANE.point(1000, 0))])
    found, _ = rings.judge(["a", "b"], [seen(1000, 1), seen(0, 1)])
    assert found == [], "at another's stop one is nowhere"
    found, _ = rings.judge(["b", "a"], [seen(1000, 2), seen(0, 2)])
    assert {(one.runner_id, one.target_id) for one in found} == {("a", "ord_a/pickup"), ("b", "ord_b/pickup")}


def test_rows_are_used_again() -> None:
    rings = StopRings(HERE)
    for turn in range(5):
        for number in range(700):
            rings.aim(f"r{number}", [Target(f"ord_{turn}_{number}/pickup", HERE)])
    assert len(rings) == 700 and len(rings._targets) <= 1400
    found, _ = rings.judge([f"r{n}" for n in range(700)], [seen(0, 9)] * 700)
    assert len(found) == 700 and {one.kind for one in found} == {NEAR}


@pytest.mark.parametrize("lon", [179.9999, -179.9999])
def test_a_ring_may_lie_on_the_date_line(lon: float) -> None:
    rings = StopRings(Point(0.0, 179.9999))
    rings.aim("r", [Target("s", Point(0.0, lon))])
    found, _ = rings.judge(["r"], [Fix(0.0, lon, 1_000, 5.0)])
    assert [one.kind for one in found] == [NEAR]


readings = st.lists(
    st.tuples(st.floats(-300, 300), st.floats(0.5, 30), st.one_of(st.none(), st.floats(0, 300))), max_size=60
)


@given(readings)
def test_the_judge_says_what_one_who_judges_each_reading_alone_says(ways: list[tuple[float, float, Any]]) -> None:
    """A plain judge, written apart: one stop, one runner, the rules as they are worded."""
    way, rules = Way(), RingRules()
    is_near = is_told = False
    since: int | None = None
    for east_m, after_s, accuracy_m in ways:
        got = way.see(east_m, after_s, accuracy_m)
        at_ms, doubt_m = round(way.at_s * 1000), accuracy_m or 0.0
        away_m = float(np.hypot(*PLANE.xy(seen(east_m, 0).point)))
        want = []
        if since is None:
            if doubt_m <= rules.coarse_m and away_m <= rules.there_m:
                since = at_ms
        elif away_m - doubt_m > rules.there_m + max(0.1 * rules.there_m, 20.0):
            want += [LEFT] if is_told else []
            since, is_told = None, False
        if not is_near and doubt_m <= rules.coarse_m and away_m <= rules.near_m:
            is_near = True
            want.append(NEAR)
        if since is not None and not is_told and at_ms - since >= rules.dwell_s * 1000:
            is_told = True
            want.append(THERE)
        assert got == want
