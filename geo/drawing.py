"""Drawing board for made-up maps: curves, shapes, doors, and lines that meet where they cross. Plain metres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil, cos, hypot, pi, sin

import numpy as np
import shapely
from shapely import LineString, Point, Polygon, STRtree

XY = tuple[float, float]

_SAMPLE_M = 9.0
_MEET_M = 14.0
_DOOR_M = 2.0


def curve(corners: Sequence[XY]) -> list[XY]:
    """A smooth line through the corners (Catmull-Rom); closed when the first corner is also the last."""
    closed = corners[0] == corners[-1]
    line = [corners[0]]
    last = len(corners) - 1
    for index, (start, end) in enumerate(pairwise(corners)):
        before = corners[index - 1] if index > 0 else (corners[last - 1] if closed else start)
        after = corners[index + 2] if index + 2 <= last else (corners[1] if closed else end)
        steps = max(1, ceil(hypot(end[0] - start[0], end[1] - start[1]) / _SAMPLE_M))
        line += [_between(before, start, end, after, step / steps) for step in range(1, steps)]
        line.append(end)
    return line


def _between(p0: XY, p1: XY, p2: XY, p3: XY, t: float) -> XY:
    def axis(a: float, b: float, c: float, d: float) -> float:
        return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)

    return axis(p0[0], p1[0], p2[0], p3[0]), axis(p0[1], p1[1], p2[1], p3[1])


def box(half_width: float, half_height: float) -> list[XY]:
    w, h = half_width, half_height
    return [(-w, -h), (w, -h), (w, h), (-w, h)]


def ellipse(half_width: float, half_height: float, corners: int = 28) -> list[XY]:
    angles = [2 * pi * step / corners for step in range(corners)]
    return [(half_width * cos(angle), half_height * sin(angle)) for angle in angles]


def stadium(half_width: float, half_height: float) -> list[XY]:
    """Two straights and two half circles."""
    straight = half_width - half_height
    right = [(straight + half_height * cos(a), half_height * sin(a)) for a in (pi * (s / 12 - 0.5) for s in range(13))]
    return right + [(-x, -y) for x, y in right]


def turned(ring: Sequence[XY], angle_rad: float) -> list[XY]:
    c, s = cos(angle_rad), sin(angle_rad)
    return [(x * c - y * s, x * s + y * c) for x, y in ring]


def _sides(ring: Sequence[XY]) -> dict[str, XY]:
    """The middle of the outline's outermost edge on each side of the compass."""
    best: dict[str, tuple[float, XY]] = {}
    for (ax, ay), (bx, by) in pairwise([*ring, ring[0]]):
        if hypot(bx - ax, by - ay) < _DOOR_M:
            continue
        x, y = (ax + bx) / 2, (ay + by) / 2
        # The ring runs anticlockwise, so the outside lies to the right of each edge.
        east, north = by - ay, ax - bx
        side = ("e" if east > 0 else "w") if abs(east) > abs(north) else ("n" if north > 0 else "s")
        reach = {"e": x, "w": -x, "n": y, "s": -y}[side] * 10 + hypot(bx - ax, by - ay)
        if side not in best or reach > best[side][0]:
            best[side] = (reach, (x, y))
    return {side: middle for side, (_, middle) in best.items()}


def door_ways(
    outlines: Mapping[str, Sequence[XY]], lines: Sequence[Sequence[XY]], most: int = 2, longest_m: float = 60.0
) -> dict[str, list[tuple[str, list[XY]]]]:
    """For each outline, at most ``most`` doors: the side and the way from its middle to the nearest line.

    A way crosses no building. Nearest doors first; an outline that no line comes near gets none.
    """
    network = [LineString(line) for line in lines]
    solid = [Polygon(ring).buffer(-0.5) for ring in outlines.values()]
    tree = STRtree(solid)
    found: dict[str, list[tuple[str, list[XY]]]] = {}
    for name, ring in outlines.items():
        ways: list[tuple[float, str, list[XY]]] = []
        for side, door in _sides(ring).items():
            nearest = network[int(np.argmin(shapely.distance(network, Point(door))))]
            foot = nearest.interpolate(nearest.project(Point(door)))
            way = LineString([door, (foot.x, foot.y)])
            if way.length <= longest_m and not len(tree.query(way, predicate="intersects")):
                ways.append((way.length, side, [door, (foot.x, foot.y)]))
        found[name] = [(side, way) for _, side, way in sorted(ways)[:most]]
    return found


def join_lines(lines: Sequence[Sequence[XY]], spurs: Sequence[Sequence[XY]] = ()) -> list[list[XY]]:
    """Lines, then spurs, holding a common point wherever they cross.

    Both ends of a line, and the last end of a spur, are carried on to another line that lies within a few metres.
    """
    whole = [list(line) for line in (*lines, *spurs)]
    pieces = [(row, at) for row, line in enumerate(whole) for at in range(len(line) - 1)]
    shapes = [LineString(whole[row][at : at + 2]) for row, at in pieces]
    tree = STRtree(shapes)
    # Per line: what to insert, as (segment, share of the segment, point).
    marks: list[list[tuple[int, float, XY]]] = [[] for _ in whole]

    def mark(piece: int, xy: XY) -> None:
        row, at = pieces[piece]
        length = shapes[piece].length
        marks[row].append((at, shapes[piece].project(Point(xy)) / length if length else 0.0, xy))

    for left, right in zip(*tree.query(shapes, predicate="intersects"), strict=True):
        if left < right and pieces[left][0] != pieces[right][0]:
            meet = shapes[left].intersection(shapes[right])
            if isinstance(meet, Point):
                mark(int(left), (meet.x, meet.y))
                mark(int(right), (meet.x, meet.y))
    joined = [_with_marks(line, found) for line, found in zip(whole, marks, strict=True)]
    for row, line in enumerate(whole):
        ends = [line[-1]] if row >= len(lines) else [line[0], line[-1]]
        for end in ends if line[0] != line[-1] else ():
            _carry_on(row, end, joined)
    return joined


def _with_marks(line: Sequence[XY], marks: Sequence[tuple[int, float, XY]]) -> list[XY]:
    out: list[XY] = []
    ordered = sorted(marks)
    for at, xy in enumerate(line):
        out.append(xy)
        out += [point for segment, _, point in ordered if segment == at]
    return [xy for index, xy in enumerate(out) if index == 0 or xy != out[index - 1]]


def _carry_on(row: int, end: XY, lines: list[list[XY]]) -> None:
    """Make the end of one line meet the nearest other line, if that is near and they do not meet yet."""
    best: tuple[float, int, XY, int] | None = None
    for other, line in enumerate(lines):
        if other == row:
            continue
        shape = LineString(line)
        metres = shape.distance(Point(end))
        if metres <= _MEET_M and (best is None or metres < best[0]):
            foot = shape.interpolate(shape.project(Point(end)))
            best = (metres, other, (foot.x, foot.y), _segment_of(line, (foot.x, foot.y)))
    if best is None:
        return
    _, other, foot_xy, at = best
    if foot_xy not in lines[other]:
        lines[other].insert(at + 1, foot_xy)
    line = lines[row]
    if end == line[0] and foot_xy != end:
        line.insert(0, foot_xy)
    elif foot_xy != end:
        line.append(foot_xy)


def _segment_of(line: Sequence[XY], xy: XY) -> int:
    at = Point(xy)
    return min(range(len(line) - 1), key=lambda index: LineString(line[index : index + 2]).distance(at))
