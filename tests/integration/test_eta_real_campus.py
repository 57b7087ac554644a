"""A real campus: known ways with noise on them are found again, and a tick's distances are those asked one by one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path as FilePath

import numpy as np
import pytest

from geo.campus import CampusMap
from geo.fix import Fix
from geo.map_match import match
from geo.osm_import import import_osm
from geo.point import Floats, LocalPlane, Point, lat_lon_array, line_length_m
from geo.walkway import Walkways


@pytest.fixture(scope="module")
def campus(campus_data: FilePath) -> CampusMap:
    return import_osm(campus_data / "osm_campus" / "nu_campus.osm.gz")[0]


@pytest.fixture(scope="module")
def ways(campus: CampusMap) -> Walkways:
    return Walkways.of(campus)


def known_ways(campus: CampusMap, ways: Walkways, count: int) -> list[list[Point]]:
    luck = np.random.default_rng(11)
    places = [place.point for place in campus.places.values()]
    found: list[list[Point]] = []
    while len(found) < count:
        a, b = luck.choice(len(places), 2, replace=False)
        line = ways.path(places[a], places[b])[1:-1]
        if len(line) > 5 and line_length_m(line) > 200:
            found.append(line)
    return found


def noisy(line: list[Point], noise: float, luck: np.random.Generator) -> list[Fix]:
    """Walked at 1.35 m/s and read every five seconds, with an accuracy as devices claim it."""
    plane = LocalPlane(line[0])
    xy = plane.xy_many(line)
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))))
    fixes = []
    for number, metres in enumerate(np.arange(0, along[-1], 1.35 * 5)):
        x, y = (float(np.interp(metres, along, xy[:, axis]) + luck.normal(0, noise)) for axis in (0, 1))
        fixes.append(Fix(*plane.point(x, y), number * 5_000, 1.5 * noise))
    return fixes


@pytest.mark.parametrize(("noise", "median", "most"), [(3.0, 0.02, 0.10), (6.0, 0.05, 0.15), (10.0, 0.10, 0.35)])
def test_known_ways_are_found_again_under_noise(
    campus: CampusMap, ways: Walkways, noise: float, median: float, most: float
) -> None:
    luck = np.random.default_rng(12)
    errors, near = [], []
    for line in known_ways(campus, ways, 30):
        matched = match(noisy(line, noise, luck), ways.graph)
        errors.append(abs(matched.metres / line_length_m(line) - 1))
        plane = LocalPlane(line[0])
        truth: Floats = plane.xy_many([point for pair in pairwise(line) for point in pair])
        off = [np.hypot(*(truth - row).T).min() for row in plane.xy_many(matched.points)]
        near.append(np.mean(np.array(off) < 15))
    print(f"noise {noise} m: median error {np.median(errors):.3f}, p90 {np.quantile(errors, 0.9):.3f}, on the way "
          f"{np.mean(near):.3f}")  # fmt: skip
    assert np.median(errors) < median and np.quantile(errors, 0.9) < most
    assert np.mean(near) > 0.9


def test_a_whole_tick_says_the_same_as_one_by_one(campus: CampusMap, ways: Walkways) -> None:
    luck = np.random.default_rng(13)
    places = lat_lon_array([place.point for place in campus.places.values()])
    rows = places[luck.integers(0, len(places), 400)] + luck.normal(0, 3e-4, (400, 2))
    between = ways.among(rows)
    table = between(np.arange(400)[:, None], np.arange(350, 400)[None, :])
    for _ in range(200):
        a, b = int(luck.integers(0, 400)), int(luck.integers(0, 50))
        assert table[a, b] == pytest.approx(ways.walk_m(Point(*rows[a]), Point(*rows[350 + b])), abs=0.05)
    starts, ends = luck.integers(0, 400, 5_000), luck.integers(350, 400, 5_000)
    assert between(starts, ends) == pytest.approx(table[starts, ends - 350], abs=0.05)
