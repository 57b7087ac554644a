"""Distances of a whole tick at once: the same metres as one by one, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from geo.between import Between
from geo.campus import Path, PathKind
from geo.demo_campus import demo_campus
from geo.junctions import Junctions
from geo.point import Floats, LocalPlane, Point, lat_lon_array
from geo.walkway import DETOUR_RATIO, DistanceFields, WalkGraph, Walkways

PLANE = LocalPlane(Point(30.0, 114.0))


def at(x: float, y: float) -> Point:
    return PLANE.point(x, y)


def line(*corners: tuple[float, float]) -> Path:
    return Path(kind=PathKind.FOOTWAY, points=tuple(at(x, y) for x, y in corners))


def places(count: int) -> Floats:
    """On and off the paths of the demo campus, some of them twice, two of them far away."""
    luck = np.random.default_rng(3)
    campus = demo_campus()
    near = lat_lon_array([place.point for place in campus.places.values()])
    rows = near[luck.integers(0, len(near), count)] + luck.normal(0, 2e-4, (count, 2))
    rows[1] = rows[0]
    rows[-1] += 0.05
    rows[-2] = rows[-1]
    return rows


def one_by_one(ways: Walkways, rows: Floats, a: NDArray[np.intp], b: NDArray[np.intp]) -> list[float]:
    return [ways.walk_m(Point(*rows[i]), Point(*rows[j])) for i, j in zip(a.reshape(-1), b.reshape(-1), strict=True)]


@pytest.mark.parametrize("most_bytes", [128 * 2**20, 2_000, 1])
def test_grids_and_pairs_agree_with_one_by_one(most_bytes: int) -> None:
    ways = Walkways.of(demo_campus())
    rows = places(60)
    between = Between(rows, ways.fields, DETOUR_RATIO, most_bytes)
    everyone, some = np.arange(60), np.array([0, 1, 7, 58, 59])
    wanted = np.array(one_by_one(ways, rows, np.repeat(everyone, 5), np.tile(some, 60))).reshape(60, 5)
    assert between(everyone[:, None], some[None, :]) == pytest.approx(wanted, abs=0.02)
    assert between(everyone[:, None], some) == pytest.approx(wanted, abs=0.02)
    assert between(some[:, None], everyone) == pytest.approx(wanted.T, abs=0.02)
    assert between(some, everyone[:, None]) == pytest.approx(wanted, abs=0.02)
    luck = np.random.default_rng(4)
    a, b = luck.integers(0, 60, 400), luck.integers(0, 60, 400)
    assert between(a, b) == pytest.approx(np.array(one_by_one(ways, rows, a, b)), abs=0.02)
    assert between(a, b) == pytest.approx(between(b, a), abs=0.02)


def test_single_rows_and_none_at_all() -> None:
    ways = Walkways.of(demo_campus())
    rows = places(10)
    between = ways.among(rows)
    assert float(between(0, 5)) == pytest.approx(ways.walk_m(Point(*rows[0]), Point(*rows[5])), abs=0.01)
    assert between(3, np.arange(4)).shape == (4,)
    nobody = np.empty(0, np.intp)
    assert between(nobody, nobody).shape == (0,)
    assert between(np.empty((0, 1), np.intp), np.arange(3)).shape == (0, 3)
    assert between(np.arange(3)[:, None], nobody).shape == (3, 0)
    assert ways.among([])(nobody, nobody).shape == (0,)


def test_without_a_map_the_straight_line_counts() -> None:
    ways = Walkways(None)
    rows = places(8)
    a, b = np.arange(8)[:, None], np.arange(8)[None, :]
    metres = ways.among(rows)(a, b)
    assert metres.shape == (8, 8) and metres.dtype == np.float64
    assert metres.reshape(-1) == pytest.approx(one_by_one(ways, rows, np.repeat(a, 8), np.tile(b, 8)), abs=0.01)


def test_rows_of_a_tick_stay_within_their_bytes() -> None:
    ways = Walkways.of(demo_campus())
    between = Between(places(300), ways.fields, DETOUR_RATIO, most_bytes=20_000)
    between(np.arange(300)[:, None], np.arange(300))
    assert between._table.nbytes <= 20_000


def test_fields_of_many_nodes_keep_to_the_bound() -> None:
    graph = WalkGraph.of(demo_campus())
    assert graph is not None
    fields = DistanceFields(graph, capacity=3)
    rows = fields.many([5, 9, 5, 20, 31])
    assert rows[0] is rows[2] and len(fields) == 3
    assert [row[node] for row, node in zip(rows, (5, 9, 5, 20, 31), strict=True)] == [0.0] * 5
    assert fields.many([31])[0] is rows[4], "the newest stay"


@pytest.mark.parametrize("most", [5_000, 1])
def test_the_way_through_junctions_is_the_shortest(most: int) -> None:
    campus = demo_campus()
    graphs = [
        WalkGraph.of(campus),
        WalkGraph.build([line((0, 0), (100, 0), (100, 100), (0, 100), (0, 0))], [], PLANE),
        WalkGraph.build([line((0, 0), (300, 0)), line((100, 0), (100, 90), (200, 90), (200, 0))], [], PLANE),
        WalkGraph.build([line((0, 0), (50, 0)), line((500, 0), (700, 0))], [], PLANE),
    ]
    for graph in graphs:
        assert graph is not None
        junctions = Junctions(graph.matrix, most)
        assert len(junctions) < len(graph)
        nodes = np.arange(0, len(graph), max(1, len(graph) // 40))
        wanted = dijkstra(graph.matrix, directed=False, indices=nodes)
        assert junctions.fields(nodes) == pytest.approx(wanted, abs=0.01)
