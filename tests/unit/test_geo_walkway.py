"""Walking: the graph, its distances, the line to walk, and what happens off the paths."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from threading import Thread
from typing import Any

import numpy as np
import pytest

from geo.campus import CampusMap, Path, PathKind
from geo.demo_campus import demo_campus
from geo.index import PointTree
from geo.point import LocalPlane, Point, distance_m, line_length_m
from geo.walkway import CROSSING_WEIGHT, DETOUR_RATIO, PIECE_M, STEPS_WEIGHT, DistanceFields, WalkGraph, Walkways

ORIGIN = Point(30.5, 114.4)
PLANE = LocalPlane(ORIGIN)


def at(x: float, y: float) -> Point:
    return PLANE.point(x, y)


def way(*xy: tuple[float, float], kind: PathKind = PathKind.FOOTWAY) -> Path:
    return Path(tuple(at(x, y) for x, y in xy), kind)


def graph(*paths: Path, gates: tuple[Point, ...] = ()) -> WalkGraph:
    built = WalkGraph.build(paths, gates, PLANE)
    assert built is not None
    return built


# A square of 200 m with one side missing: from corner to corner one walks round three sides.
ROUND = way((0, 0), (0, 200), (200, 200), (200, 0))


def test_one_walks_round_and_not_across() -> None:
    ways = Walkways(graph(ROUND))
    assert ways.walk_m(at(0, 0), at(200, 0)) == pytest.approx(600, abs=1)
    assert ways.walk_m(at(200, 0), at(0, 0)) == pytest.approx(600, abs=1)
    assert ways.walk_m(at(0, 0), at(0, 0)) == 0
    line = ways.path(at(0, 0), at(200, 0))
    assert line[0] == at(0, 0) and line[-1] == at(200, 0)
    assert line_length_m(line) == pytest.approx(600, abs=1)
    assert all(distance_m(a, b) <= PIECE_M + 0.1 for a, b in pairwise(line))


def test_places_beside_the_path_add_their_way_to_it() -> None:
    ways = Walkways(graph(ROUND))
    assert ways.walk_m(at(-30, 96), at(0, 0)) == pytest.approx(126, abs=2)


def test_steps_and_crossings_weigh_more() -> None:
    level = Walkways(graph(way((0, 0), (100, 0)))).walk_m(at(0, 0), at(100, 0))
    steps = Walkways(graph(way((0, 0), (100, 0), kind=PathKind.STEPS))).walk_m(at(0, 0), at(100, 0))
    crossing = Walkways(graph(way((0, 0), (100, 0), kind=PathKind.CROSSING))).walk_m(at(0, 0), at(100, 0))
    assert steps == pytest.approx(level * STEPS_WEIGHT, rel=1e-3)
    assert crossing == pytest.approx(level * CROSSING_WEIGHT, rel=1e-3)


def test_the_shorter_of_two_ways_counts() -> None:
    both = graph(way((0, 0), (10, 0), kind=PathKind.STEPS), way((0, 0), (10, 0)))
    assert Walkways(both).walk_m(at(0, 0), at(10, 0)) == pytest.approx(10, abs=0.1)


def test_a_gap_of_a_stride_is_bridged_and_a_wide_one_is_not() -> None:
    assert graph(way((0, 0), (50, 0)), way((53, 0), (100, 0))).connected_share == 1.0
    apart = graph(way((0, 0), (50, 0)), way((90, 0), (300, 0)))
    assert apart.connected_share < 1.0
    # Only the largest part is snapped to, so no way is ever infinite.
    assert np.isfinite(Walkways(apart).walk_m(at(0, 0), at(300, 0)))


def test_gates_join_the_path_beside_them() -> None:
    gate = at(100, 25)
    joined = graph(way((0, 0), (200, 0)), gates=(gate, at(100, 900), at(0, 0)))
    assert joined.snap(gate).offset_m == pytest.approx(0, abs=1e-3)
    assert Walkways(joined).walk_m(gate, at(0, 0)) == pytest.approx(122, abs=4)


def test_off_the_paths_the_straight_line_counts_with_a_detour() -> None:
    nowhere, far = Walkways(None), Walkways(graph(ROUND))
    a, b = at(0, 0), at(1_000, 0)
    assert nowhere.walk_m(a, b) == pytest.approx(distance_m(a, b) * DETOUR_RATIO)
    assert far.walk_m(a, b) == pytest.approx(distance_m(a, b) * DETOUR_RATIO)
    assert far.walk_m(b, a) == pytest.approx(distance_m(a, b) * DETOUR_RATIO)
    assert nowhere.path(a, b) == far.path(a, b) == [a, b]
    assert nowhere.warm([a]) == 0 and nowhere.stats()["nodes"] == 0
    assert nowhere.walk_m_matrix([a], [b])[0, 0] == pytest.approx(distance_m(a, b) * DETOUR_RATIO)
    assert WalkGraph.build([], [], PLANE) is None


def test_many_at_once_agree_with_one_by_one() -> None:
    ways = Walkways.of(demo_campus())
    places = [place.point for place in demo_campus().places.values()]
    targets = [*places[:5], at(5_000, 5_000)]
    table = ways.walk_m_matrix(places, targets)
    assert table.shape == (len(places), 6)
    for column, target in enumerate(targets):
        assert table[:, column] == pytest.approx(ways.walk_m_many(places, target))
        assert table[3, column] == pytest.approx(ways.walk_m(places[3], target))
    assert ways.walk_m_many([], places[0]).shape == (0,)
    assert ways.walk_m_matrix([], targets).shape == (0, 6)


def test_the_demo_campus_hangs_together() -> None:
    campus = demo_campus()
    ways = Walkways.of(campus)
    assert ways.graph is not None and ways.graph.connected_share == 1.0
    places = list(campus.places.values())
    for a in places:
        for b in places[::7]:
            walk, straight = ways.walk_m(a.point, b.point), distance_m(a.point, b.point)
            assert straight - 0.01 <= walk <= 3.2 * straight + 150, (a.name, b.name)
            assert walk == pytest.approx(ways.walk_m(b.point, a.point), rel=1e-3, abs=0.5)


def test_the_drawn_line_is_as_long_as_told_where_there_are_no_steps() -> None:
    campus = demo_campus()
    ways = Walkways.of(campus)
    a, b = campus.place("mei-1").point, campus.place("zhu-parcel").point
    assert line_length_m(ways.path(a, b)) == pytest.approx(ways.walk_m(a, b), rel=0.02)


def test_fields_are_kept_within_their_bound() -> None:
    built = graph(ROUND)
    fields = DistanceFields(built, capacity=2)
    first = fields.to(0)
    assert fields.to(0) is first and (fields.hits, fields.misses) == (1, 1)
    fields.to(1)
    fields.to(0)
    fields.to(2)
    assert len(fields) == 2
    assert fields.to(0) is first, "the least recently asked goes first"
    assert first.dtype == np.float32
    with pytest.raises(ValueError, match="at least one"):
        DistanceFields(built, 0)


def test_a_field_is_not_evicted_between_being_found_and_being_marked() -> None:
    fields = DistanceFields(graph(ROUND), capacity=1)
    kept = fields.to(0)
    others: list[Thread] = []

    class Watched(OrderedDict[int, Any]):
        """While one thread has found its row, another asks for one that takes its room."""

        def get(self, node: int, default: Any = None) -> Any:
            row = super().get(node, default)
            if not others:
                others.append(Thread(target=fields.to, args=(1,)))
                others[0].start()
                others[0].join(0.3)
            return row

    fields._rows = Watched(fields._rows)
    assert fields.to(0) is kept
    others[0].join(10)
    assert not others[0].is_alive() and len(fields) == 1


def test_warming_works_out_places_once() -> None:
    ways = Walkways(graph(ROUND), capacity=10)
    assert ways.warm([at(0, 0), at(200, 0), at(0, 0)]) == 2
    ways.walk_m(at(50, 50), at(0, 0))
    assert ways.stats()["hits"] >= 1 and ways.stats()["fields"] == 2


def test_a_way_with_no_end_is_empty() -> None:
    apart = graph(way((0, 0), (50, 0)), way((90, 0), (300, 0)))
    start = int(np.flatnonzero(~np.isfinite(apart.distance_field(apart.snap(at(300, 0)).node)))[0])
    assert apart.walk(start, apart.distance_field(apart.snap(at(300, 0)).node)) == []


def test_a_campus_without_paths_has_straight_ways() -> None:
    bare = CampusMap(name="x", boundary=(at(0, 0), at(100, 0), at(0, 100)))
    assert Walkways.of(bare).graph is None


def test_the_tree_answers_for_a_whole_tick() -> None:
    tree = PointTree([at(0, 0), at(100, 0), at(300, 0)])
    assert len(tree) == 3
    assert [row for row, _ in tree.nearest(at(90, 0), 2)] == [1, 0]
    assert tree.nearest(at(90, 0), 1)[0][1] == pytest.approx(10, abs=0.1)
    assert tree.nearest(at(90, 0), 3, within_m=20) == [(1, pytest.approx(10, abs=0.1))]
    assert sorted(tree.within(at(50, 0), 60)) == [0, 1]
    rows, metres = tree.nearest_many([at(0, 0), at(300, 0)], 4)
    assert rows[:, 0].tolist() == [0, 2] and rows[0, 3] == 3 and np.isinf(metres[0, 3])
    empty = PointTree([])
    assert empty.nearest(at(0, 0), 2) == [] and empty.within(at(0, 0), 5) == []
    assert empty.nearest_many([at(0, 0)], 2)[0].tolist() == [[0, 0]]
