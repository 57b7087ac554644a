"""Points, datums, lines and times of walking."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geo.datum import Datum, from_wgs84, is_in_china, to_wgs84
from geo.errors import BadPoint
from geo.eta import E_BIKE_MPS, Eta, eta, storeys
from geo.fix import Fix
from geo.point import (
    LocalPlane,
    Point,
    bearing_deg,
    checked,
    distance_m,
    distances_m,
    is_valid,
    lat_lon_array,
    line_length_m,
    near_distance_m,
)
from geo.track import Track, simplify_points

HERE = Point(30.5, 114.4)


def fix(at_s: float, north_m: float = 0.0) -> Fix:
    return Fix(HERE.lat + north_m / 111_195, HERE.lon, int(at_s * 1000))


def test_one_degree_of_latitude_is_known() -> None:
    assert distance_m(Point(0, 0), Point(1, 0)) == pytest.approx(111_195, rel=1e-4)
    assert distance_m(HERE, HERE) == 0.0


def test_flat_and_round_earth_agree_on_a_campus() -> None:
    there = Point(30.509, 114.411)
    metres = distance_m(HERE, there)
    assert near_distance_m(*HERE, *there) == pytest.approx(metres, rel=1e-4)
    assert distances_m(lat_lon_array([HERE, there]), there) == pytest.approx([metres, 0.0], abs=1e-6)
    assert line_length_m([HERE, there, HERE]) == pytest.approx(2 * metres, rel=1e-4)
    assert line_length_m([HERE]) == 0.0


@pytest.mark.parametrize(("to", "degrees"), [((1, 0), 0), ((0, 1), 90), ((-1, 0), 180), ((0, -1), 270)])
def test_bearings_run_clockwise_from_north(to: tuple[int, int], degrees: float) -> None:
    assert bearing_deg(Point(0, 0), Point(*to)) == pytest.approx(degrees, abs=1e-9)


def test_the_date_line_is_no_distance() -> None:
    assert distance_m(Point(0, 179.999), Point(0, -179.999)) < 250
    assert near_distance_m(0, 179.999, 0, -179.999) < 250
    plane = LocalPlane(Point(0, 179.999))
    x, _ = plane.xy(Point(0, -179.999))
    assert 0 < x < 250
    assert plane.point(*plane.xy(Point(0, -179.999))).lon == pytest.approx(-179.999)


def test_a_plane_gives_back_what_it_was_given() -> None:
    plane = LocalPlane(HERE)
    there = Point(30.5031, 114.3922)
    assert plane.point(*plane.xy(there)) == pytest.approx(there)
    assert plane.xy_many([HERE, there]) == pytest.approx(np.array([plane.xy(HERE), plane.xy(there)]))
    assert plane.points(plane.xy_many([there]))[0] == pytest.approx(there)
    assert math.hypot(*plane.xy(there)) == pytest.approx(distance_m(HERE, there), rel=1e-4)


@pytest.mark.parametrize(
    ("lat", "lon", "field"),
    [(91, 0, "lat"), (float("nan"), 0, "lat"), (0, 181, "lon"), (0, float("-inf"), "lon"), (86, 0, "lat")],
)
def test_no_place_is_refused_by_name(lat: float, lon: float, field: str) -> None:
    assert not is_valid(lat, lon)
    with pytest.raises(BadPoint) as refused:
        checked(lat, lon)
    assert refused.value.field == field


def test_gcj02_of_a_known_place() -> None:
    # Tiananmen, as the public formula gives it.
    shifted = from_wgs84(Point(39.915, 116.404), Datum.GCJ02)
    assert shifted == pytest.approx((39.91640428150164, 116.41024449916938), abs=1e-9)
    assert distance_m(to_wgs84(shifted, Datum.GCJ02), Point(39.915, 116.404)) < 0.01


def test_datums_are_one_abroad_and_for_wgs84() -> None:
    evanston = Point(42.055, -87.675)
    assert not is_in_china(*evanston)
    assert from_wgs84(evanston, Datum.GCJ02) == evanston == to_wgs84(evanston, Datum.GCJ02)
    assert from_wgs84(HERE, Datum.WGS84) == HERE == to_wgs84(HERE, Datum.WGS84)
    # Near the edge, yet outside.
    assert to_wgs84(Point(0.3, 100.0), Datum.GCJ02) == Point(0.3, 100.0)


def test_a_track_puts_late_fixes_where_they_belong() -> None:
    track = Track(capacity=4)
    assert track.newest is None
    assert [track.add(fix(t)) for t in (10, 30, 20, 30)] == [True, True, True, False]
    assert [f.fixed_at_ms for f in track] == [10_000, 20_000, 30_000]
    assert track.add(fix(40)) and track.add(fix(50))
    assert len(track) == 4 and track.dropped == 1
    assert not track.add(fix(5)), "older than all that a full track keeps"
    assert track.newest is not None and track.newest.fixed_at_ms == 50_000
    assert [f.fixed_at_ms for f in track.since(40_000)] == [40_000, 50_000]
    assert [f.fixed_at_ms for f in track.between(20_000, 40_000)] == [20_000, 30_000]


def test_a_track_knows_its_length() -> None:
    track = Track()
    for second in range(5):
        track.add(fix(second, 10.0 * second))
    assert track.length_m == pytest.approx(40, rel=1e-3)
    with pytest.raises(ValueError, match="at least one"):
        Track(0)


def test_simplifying_keeps_corners_and_ends() -> None:
    plane = LocalPlane(HERE)
    line = [plane.point(x, 0.3 * (x % 2)) for x in range(50)] + [plane.point(49, y) for y in range(1, 50)]
    short = simplify_points(line, 2.0)
    assert short[0] == line[0] and short[-1] == line[-1]
    assert 3 <= len(short) <= 5
    assert set(short) <= set(line)
    assert simplify_points(line[:2]) == line[:2]


def test_an_eta_is_a_pace_floors_and_the_door() -> None:
    walked = eta(135)
    assert walked.seconds == pytest.approx(100)
    assert walked.low_s < walked.seconds < walked.high_s
    assert eta(390, speed_mps=E_BIKE_MPS).seconds == pytest.approx(100)
    assert eta(0, floors=4, handling_s=60).seconds == pytest.approx(120)
    assert eta(0) == Eta(0, 0, 0)


def test_etas_add_like_independent_errors() -> None:
    one, both = eta(500), eta(500).plus(eta(500))
    assert both.seconds == pytest.approx(2 * one.seconds)
    assert both.high_s - both.seconds < 2 * (one.high_s - one.seconds)
    assert one.after(60).low_s == pytest.approx(one.low_s + 60)


@pytest.mark.parametrize(("floors", "climbed"), [((1,), 0), ((0,), 0), ((5,), 4), ((-1,), 1), ((3, 6), 7)])
def test_the_first_floor_is_the_street(floors: tuple[int, ...], climbed: int) -> None:
    assert storeys(*floors) == climbed


@pytest.mark.parametrize("metres", [-1, float("nan")])
def test_no_eta_for_no_way(metres: float) -> None:
    with pytest.raises(ValueError, match="no way"):
        eta(metres)
