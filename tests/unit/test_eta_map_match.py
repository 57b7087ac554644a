"""Finding the way taken: over the paths where there are some, through the readings where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from geo.campus import Path, PathKind
from geo.fix import Fix
from geo.map_match import MOST_READINGS, match
from geo.point import Floats, LocalPlane, Point, line_length_m
from geo.track_speed import moved, walked
from geo.walkway import WalkGraph

PLANE = LocalPlane(Point(30.0, 114.0))


def way(*xy: tuple[float, float], kind: PathKind = PathKind.FOOTWAY) -> Path:
    return Path(tuple(PLANE.point(x, y) for x, y in xy), kind)


def graph(*paths: Path) -> WalkGraph:
    built = WalkGraph.build(paths, [], PLANE)
    assert built is not None
    return built


def readings(*xy: tuple[float, float], noise: float = 0.0, mps: float = 1.4, every_s: float = 5) -> list[Fix]:
    """Along the corners at a steady pace."""
    corners: Floats = np.array(xy, dtype=np.float64)
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))))
    luck, fixes = np.random.default_rng(7), []
    for number, metres in enumerate(np.arange(0, along[-1], mps * every_s)):
        x, y = (float(np.interp(metres, along, corners[:, axis]) + luck.normal(0, noise or 1e-9)) for axis in (0, 1))
        point = PLANE.point(x, y)
        fixes.append(Fix(point.lat, point.lon, int(number * every_s * 1000), 1.5 * noise or None))
    return fixes


def lies_on(points: list[Point], built: WalkGraph) -> bool:
    return all(built.snap(point).offset_m < 0.5 for point in points)


TWO = (way((0, 0), (600, 0)), way((0, 40), (600, 40)), way((0, 0), (0, 40)), way((600, 0), (600, 40)))


@pytest.mark.parametrize("noise", [0.0, 4.0, 8.0])
def test_the_way_taken_is_the_path_walked_and_not_the_one_beside_it(noise: float) -> None:
    built = graph(*TWO)
    matched = match(readings((0, 0), (600, 0), noise=noise), built)
    assert matched.share == 1.0 and lies_on(matched.points, built)
    assert max(PLANE.xy(point)[1] for point in matched.points) < 20
    assert matched.metres == pytest.approx(595, rel=0.06)


def test_corners_are_gone_round_also_where_readings_are_sparse() -> None:
    built = graph(way((0, 0), (200, 0), (200, 200)))
    matched = match(readings((0, 0), (200, 0), (200, 200), every_s=60), built)
    assert matched.metres == pytest.approx(336, abs=15), "and not the short cut between two readings"
    assert min(np.hypot(*np.subtract(PLANE.xy(point), (200, 0))) for point in matched.points) < 1


def test_steps_weigh_more_to_walk_and_not_to_draw() -> None:
    built = graph(way((0, 0), (100, 0)), way((100, 0), (200, 0), kind=PathKind.STEPS), way((200, 0), (300, 0)))
    matched = match(readings((0, 0), (300, 0)), built)
    assert matched.metres == pytest.approx(297, abs=10)
    assert matched.walk_m == pytest.approx(397, abs=15)


def test_without_paths_the_readings_are_smoothed() -> None:
    fixes = readings((0, 0), (300, 0), noise=2.0)
    matched = match(fixes, None)
    assert matched.share == 0 and len(matched.points) < len(fixes)
    assert matched.metres == pytest.approx(295, rel=0.05)
    assert line_length_m([fix.point for fix in fixes]) > matched.metres
    beside = match(readings((0, 900), (300, 900)), graph(*TWO))
    assert beside.share == 0 and beside.metres == pytest.approx(296, rel=0.05)


def test_partly_on_paths_is_partly_through_the_readings() -> None:
    built = graph(way((0, 0), (300, 0)))
    matched = match(readings((0, 0), (300, 0), (300, 400)), built)
    assert 0.4 < matched.share < 0.7
    assert matched.metres == pytest.approx(695, rel=0.05)


def test_two_parts_that_no_path_joins_are_drawn_across() -> None:
    built = graph(way((0, 0), (300, 0)), way((303, 0), (320, 0)), way((0, 300), (300, 300)), way((300, 0), (300, 300)))
    later = [Fix(fix.lat, fix.lon, fix.fixed_at_ms + 10**6) for fix in readings((0, 300), (200, 300))]
    jump = [*readings((0, 0), (200, 0)), *later]
    matched = match(jump, built)
    assert matched.share == 1.0 and matched.points[-1].lat > matched.points[0].lat


def test_nothing_one_thing_and_far_too_much() -> None:
    built = graph(*TWO)
    assert match([], built).points == [] and match([Fix(30.0, 114.0, 0, 500.0)], built).points == []
    assert len(match([Fix(30.0, 114.0, 0)], built).points) == 1
    standing = [Fix(30.0, 114.0, number * 1000, 5.0) for number in range(500)]
    assert match(standing, built).metres < 1
    rows = [Fix(30.0 + number * 2e-4, 114.0, number * 5_000, 5.0) for number in range(MOST_READINGS * 2)]
    assert len(match(rows, None).points) <= MOST_READINGS + 2


def test_speeds_are_freed_of_noise() -> None:
    built = graph(*TWO)
    fixes = readings((0, 0), (600, 0), noise=6.0)
    plain, over_paths = moved(fixes), walked(fixes, built)
    assert abs(over_paths.metres / over_paths.seconds - 1.4) < 0.07
    assert abs(over_paths.metres / over_paths.seconds - 1.4) <= abs(plain.metres / plain.seconds - 1.4) + 0.01
    assert walked(fixes, None) == plain
    assert walked([], built).seconds == 0
