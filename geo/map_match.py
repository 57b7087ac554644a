"""The way that somebody took, from their readings: the likeliest line over the paths, not the scatter beside them.

A hidden Markov model: at each reading one was at some node near it; a node is likelier the nearer it is, and going from
one to the next is likelier the less the way between them differs from how far the readings are apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .fix import Fix
from .point import Floats, Point, lat_lon_array, line_length_m, near_distance_m
from .track import simplify_points
from .walk_graph import WalkGraph

#: Readings that are looked at: so far apart that noise does not look like a way, and at most so many; of more, evenly
#: taken ones.
_APART_M, _APART_VAGUE, MOST_READINGS = 15.0, 2.5, 1_500
#: A reading vaguer than this does not say which path it was.
_MOST_ACCURACY_M = 60.0
#: Nodes that are considered for a reading, and how far off they may be for one that claims to be exact.
_CANDIDATES, _NEAR_M = 12, 35.0
#: Readings scatter by at least this much about where one is.
_SCATTER_M = 6.0
#: By how much a way may differ from the straight line between two readings, usually and at most.
_BEND_M, _MOST_BEND, _SLACK_M = 5.0, 2.5, 80.0
_SMOOTH_M = 5.0

#: Of a reading that does not say how exact it is.
_ACCURACY_M = 8.0

Nodes = NDArray[np.int64]


class Matched(NamedTuple):
    """A line that can be drawn; ``metres`` along it, ``walk_m`` with steps and crossings weighing more.

    ``share``: of the readings that lie on paths. Where they do not, the line goes through the readings themselves.
    """

    points: list[Point]
    metres: float
    walk_m: float
    share: float


class _Step(NamedTuple):
    """The nodes that a reading may mean, how likely each is at best, and by way of which node before."""

    fix: Fix
    nodes: Nodes
    score: Floats
    before: NDArray[np.intp]


def match(fixes: Sequence[Fix], graph: WalkGraph | None) -> Matched:
    """The way that the readings, oldest first, tell of; without paths the readings themselves, smoothed."""
    seen = _thinned(fixes)
    if not seen:
        return Matched([], 0.0, 0.0, 0.0)
    if graph is None:
        points = simplify_points([fix.point for fix in seen], _SMOOTH_M)
        metres = line_length_m(points)
        return Matched(points, metres, metres, 0.0)
    points, walk_m, on_paths = [], 0.0, 0
    for chain in _chains(seen, graph):
        if isinstance(chain, Fix):
            line, weighed_m = [chain.point], 0.0
        else:
            line, weighed_m = _line(_likeliest(chain), graph)
            on_paths += len(chain)
        if points and line:
            walk_m += near_distance_m(*points[-1], *line[0])
        points += line
        walk_m += weighed_m
    points = [point for index, point in enumerate(points) if index == 0 or point != points[index - 1]]
    return Matched(points, line_length_m(points), walk_m, on_paths / len(seen))


def _thinned(fixes: Sequence[Fix]) -> list[Fix]:
    """The middles of readings that lie together, between the very first and the very last one."""
    clear = [fix for fix in fixes if _vague_m(fix) <= _MOST_ACCURACY_M]
    kept: list[Fix] = []
    group: list[Fix] = []
    for fix in clear:
        vague_m = max(_vague_m(fix), _vague_m(group[0])) if group else 0.0
        if group and near_distance_m(*group[0].point, *fix.point) >= max(_APART_M, _APART_VAGUE * vague_m):
            kept.append(_middle(group))
            group = []
        group.append(fix)
    if group:
        kept.append(_middle(group))
    if len(kept) > MOST_READINGS:
        rows = np.linspace(0, len(kept) - 1, MOST_READINGS).round().astype(int)
        kept = [kept[row] for row in rows]
    return [clear[0], *kept, clear[-1]] if len(kept) > 1 else kept


def _vague_m(fix: Fix) -> float:
    return _ACCURACY_M if fix.accuracy_m is None else fix.accuracy_m


def _middle(group: Sequence[Fix]) -> Fix:
    """Noise is less in the middle of several; half as much at best, since it drifts."""
    count = len(group)
    lat, lon = sum(fix.lat for fix in group) / count, sum(fix.lon for fix in group) / count
    accuracy = max(_vague_m(fix) for fix in group) / min(2.0, count**0.5)
    return Fix(lat, lon, group[count // 2].fixed_at_ms, accuracy)


def _chains(seen: Sequence[Fix], graph: WalkGraph) -> list[list[_Step] | Fix]:
    """Readings that hang together over the paths; those beside all paths stand alone."""
    nodes, metres = graph.near(lat_lon_array([fix.point for fix in seen]), _CANDIDATES, _NEAR_M + _MOST_ACCURACY_M)
    found: list[list[_Step] | Fix] = []
    for row, fix in enumerate(seen):
        is_near = metres[row] <= _NEAR_M + _vague_m(fix)
        if not is_near.any():
            found.append(fix)
            continue
        scatter_m = max(_SCATTER_M, 0.7 * _vague_m(fix))
        emission = -0.5 * (metres[row][is_near] / scatter_m) ** 2
        chain = found[-1] if found and isinstance(found[-1], list) else None
        step = _step(chain[-1], fix, nodes[row][is_near], emission, graph) if chain else None
        if chain is not None and step is not None:
            chain.append(step)
        else:
            found.append([_Step(fix, nodes[row][is_near], emission, np.zeros(int(is_near.sum()), np.intp))])
    return found


def _step(before: _Step, fix: Fix, nodes: Nodes, emission: Floats, graph: WalkGraph) -> _Step | None:
    """None where nobody can have come here from where the reading before was."""
    straight_m = near_distance_m(before.fix.lat, before.fix.lon, fix.lat, fix.lon)
    most_m = _MOST_BEND * straight_m + _SLACK_M
    way_m = graph.reach(before.nodes, most_m)[0][:, nodes]
    with np.errstate(invalid="ignore"):
        score = before.score[:, None] - np.abs(way_m - straight_m) / _BEND_M
    score = np.where(np.isfinite(way_m), score, -np.inf)
    best = score.argmax(axis=0)
    reached = score[best, np.arange(len(nodes))]
    if not np.isfinite(reached).any():
        return None
    return _Step(fix, nodes, reached + emission, best)


def _likeliest(chain: Sequence[_Step]) -> list[int]:
    """A node for each reading."""
    row = int(chain[-1].score.argmax())
    found = []
    for step in reversed(chain):
        found.append(int(step.nodes[row]))
        row = int(step.before[row])
    return found[::-1]


def _line(nodes: Sequence[int], graph: WalkGraph) -> tuple[list[Point], float]:
    """The way along the nodes, and its walking metres."""
    line, walk_m = [nodes[0]], 0.0
    for a, b in pairwise(nodes):
        if a == b:
            continue
        straight_m = near_distance_m(*graph.point(a), *graph.point(b))
        metres, before = graph.reach(np.array([a]), _MOST_BEND * (straight_m + _NEAR_M * 4) + _SLACK_M)
        piece = [b]
        while piece[-1] != a and before[0, piece[-1]] >= 0:
            piece.append(int(before[0, piece[-1]]))
        line += piece[::-1][1:] if piece[-1] == a else [b]
        walk_m += float(metres[0, b]) if np.isfinite(metres[0, b]) else straight_m
    return [graph.point(node) for node in line], walk_m
