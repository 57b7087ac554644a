"""Walking in the load test: along a way, up to a stop, and what a phone makes of it."""

from __future__ import annotations

from random import Random

import pytest

from geo.point import Point, distance_m
from loadtest.actors.walk import Way, metres, moved, reading, way_to
from tests.actor_life import HOME, NOW


def test_a_way_is_walked_point_by_point() -> None:
    way = Way(HOME, (moved(HOME, 100, 0), moved(HOME, 100, 50)))
    assert metres(HOME, way.after(40).here) == pytest.approx(40, rel=0.01)
    assert way.after(120).ahead == way.ahead[1:]
    assert way.after(10_000).is_there and way.after(10_000).here == way.ahead[1]


def test_a_path_that_goes_on_is_left_at_the_stop() -> None:
    path = [moved(HOME, north, 0) for north in (-50, 0, 100, 200, 300)]
    stop = moved(HOME, 198, 3)
    way = way_to(HOME, stop, path)
    assert way.ahead == (path[1], path[2], path[3], stop)
    assert way_to(HOME, stop).ahead == (stop,)


def test_a_phone_is_a_few_metres_off_and_says_so() -> None:
    luck, way = Random(2), Way(HOME, (moved(HOME, 0, 100),))
    fixes = [reading(way, NOW, 1.35, luck) for _ in range(200)]
    assert all(distance_m(HOME, Point(fix.lat, fix.lon)) < 2 * fix.acc for fix in fixes)
    assert fixes[0].brg == pytest.approx(90, abs=1) and fixes[0].spd == 1.35
    assert reading(Way(HOME), NOW, 1.35, luck).spd == 0.0
