"""Entering, leaving and dwelling, with the accuracy of the fix in mind."""

from __future__ import annotations

import pytest

from geo.errors import BadFence, BadPoint
from geo.geofence import Circle, Crossing, CrossingKind, Geofence, Geofences, Outline, Sighting
from geo.point import LocalPlane, Point

ORIGIN = Point(30.5, 114.4)
PLANE = LocalPlane(ORIGIN)
SQUARE = tuple(PLANE.point(x, y) for x, y in ((200, -50), (300, -50), (300, 50), (200, 50)))


def seen(x: float, at_s: float, accuracy_m: float = 5.0, y: float = 0.0, who: str = "r") -> Sighting:
    return Sighting(who, PLANE.point(x, y), accuracy_m, int(at_s * 1000))


def kinds(crossings: list[Crossing]) -> list[tuple[str, CrossingKind]]:
    return [(crossing.fence_id, crossing.kind) for crossing in crossings]


@pytest.fixture
def fences() -> Geofences:
    gate = Geofence("gate", "南门", Circle(ORIGIN, 50.0), dwell_s=60)
    return Geofences([gate, Geofence("square", "广场", Outline(SQUARE))], ORIGIN)


def test_a_way_through_both(fences: Geofences) -> None:
    told = [kinds(fences.observe([seen(x, n)])) for n, x in enumerate((-90, -40, 0, 60, 90, 210, 250, 340, 400))]
    assert told == [
        [],
        [("gate", CrossingKind.ENTER)],
        [],
        [],  # 10 m outside: within the margin
        [("gate", CrossingKind.EXIT)],
        [("square", CrossingKind.ENTER)],
        [],
        [("square", CrossingKind.EXIT)],
        [],
    ]
    assert fences.inside("r") == []


def test_a_vague_fix_does_not_leave(fences: Geofences) -> None:
    fences.observe([seen(0, 0)])
    assert fences.observe([seen(150, 5, accuracy_m=90)]) == []
    assert fences.inside("r") == ["gate"]
    exits = fences.observe([seen(150, 10, accuracy_m=5)])
    assert kinds(exits) == [("gate", CrossingKind.EXIT)]
    assert exits[0].inside_s == 10


def test_dwelling_is_told_once_a_stay(fences: Geofences) -> None:
    told = [kinds(fences.observe([seen(0, at)])) for at in (0, 30, 61, 90, 200)]
    assert told == [[("gate", CrossingKind.ENTER)], [], [("gate", CrossingKind.DWELL)], [], []]
    fences.observe([seen(500, 300)])
    assert kinds(fences.observe([seen(0, 400)])) == [("gate", CrossingKind.ENTER)]


def test_a_batch_of_many_runners(fences: Geofences) -> None:
    crossings = fences.observe([seen(0, 1, who="a"), seen(250, 1, who="b"), seen(900, 1, who="c")])
    assert [(c.runner_id, c.fence_id) for c in crossings] == [("a", "gate"), ("b", "square")]


def test_a_circle_is_round_not_square(fences: Geofences) -> None:
    assert [fence.id for fence in fences.containing(PLANE.point(34, 34))] == ["gate"]
    assert fences.containing(PLANE.point(40, 40)) == []
    assert [fence.id for fence in fences.containing(PLANE.point(250, 49))] == ["square"]


def test_who_leaves_the_service_leaves_the_fences(fences: Geofences) -> None:
    fences.observe([seen(0, 0, who="a"), seen(0, 0, who="b")])
    assert fences.forget("a") == []
    told = fences.forget("b", 9_000, ORIGIN)
    assert kinds(told) == [("gate", CrossingKind.EXIT)] and told[0].inside_s == 9
    assert fences.inside("a") == fences.inside("b") == []
    assert fences.forget("stranger", 1, ORIGIN) == []


def test_no_fences_no_crossings() -> None:
    empty = Geofences([], ORIGIN)
    assert len(empty) == 0 and empty.observe([seen(0, 0)]) == [] and empty.containing(ORIGIN) == []


@pytest.mark.parametrize(
    ("fence", "error", "field"),
    [
        (Geofence("f", "", Circle(ORIGIN, 0.0)), BadFence, "radius_m"),
        (Geofence("f", "", Circle(ORIGIN, float("nan"))), BadFence, "radius_m"),
        (Geofence("f", "", Circle(Point(99, 0), 5.0)), BadPoint, "lat"),
        (Geofence("f", "", Outline(SQUARE[:2])), BadFence, "ring"),
        (Geofence("f", "", Outline((SQUARE[0], SQUARE[1], SQUARE[0]))), BadFence, "ring"),
    ],
)
def test_a_fence_around_nothing_is_refused(fence: Geofence, error: type[ValueError], field: str) -> None:
    with pytest.raises(error) as refused:
        Geofences([fence], ORIGIN)
    assert refused.value.field == field  # type: ignore[attr-defined]


def test_ids_are_unique() -> None:
    fence = Geofence("f", "", Circle(ORIGIN, 5.0))
    with pytest.raises(BadFence):
        Geofences([fence, fence], ORIGIN)


def test_a_bow_tie_is_repaired() -> None:
    ring = tuple(PLANE.point(x, y) for x, y in ((0, 0), (100, 100), (100, 0), (0, 100)))
    fences = Geofences([Geofence("tie", "", Outline(ring))], ORIGIN)
    assert fences.containing(PLANE.point(90, 50))
