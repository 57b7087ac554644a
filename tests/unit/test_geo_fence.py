"""Entering, leaving and dwelling, with the accuracy of the fix in mind."""

from __future__ import annotations

import pytest

from geo.errors import BadFence, BadPoint
from geo.fix import Fix
from geo.geofence import Circle, Crossing, CrossingKind, Geofence, Geofences, Outline, Stay
from geo.point import LocalPlane, Point

ORIGIN = Point(30.5, 114.4)
PLANE = LocalPlane(ORIGIN)
SQUARE = tuple(PLANE.point(x, y) for x, y in ((200, -50), (300, -50), (300, 50), (200, 50)))


def seen(x: float, at_s: float, accuracy_m: float = 5.0, y: float = 0.0, who: str = "r") -> tuple[str, Fix]:
    lat, lon = PLANE.point(x, y)
    return who, Fix(lat, lon, int(at_s * 1000), accuracy_m)


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
    assert fences.inside("r") == {}


def test_a_vague_fix_does_not_leave(fences: Geofences) -> None:
    fences.observe([seen(0, 0)])
    assert fences.observe([seen(150, 5, accuracy_m=90)]) == []
    assert list(fences.inside("r")) == ["gate"]
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


def test_there_is_room_for_a_whole_campus(fences: Geofences) -> None:
    everybody = [f"r{n}" for n in range(700)]
    for runner in everybody:
        fences.admit(runner)
    fixes = [seen(0 if n % 2 else 900, 1)[1] for n in range(700)]
    crossings, _ = fences.judge(everybody, fixes)
    assert [crossing.runner_id for crossing in crossings] == everybody[1::2]
    for runner in everybody[:350]:
        fences.forget(runner)
    fences.admit("late")
    assert len(fences.runner_ids) == 351 and list(fences.inside("r401")) == ["gate"]
    assert fences.observe([seen(0, 2, who="r401")]) == []


def test_a_circle_is_round_not_square(fences: Geofences) -> None:
    assert [fence.id for fence in fences.containing(PLANE.point(34, 34))] == ["gate"]
    assert fences.containing(PLANE.point(40, 40)) == []
    assert [fence.id for fence in fences.containing(PLANE.point(250, 49))] == ["square"]


def test_who_leaves_the_service_leaves_the_fences(fences: Geofences) -> None:
    fences.observe([seen(0, 0, who="a"), seen(10, 9, who="b")])
    last = fences.forget("b")
    assert last is not None and last.at_ms == 9_000 and last.point == pytest.approx(PLANE.point(10, 0))
    assert fences.inside("b") == {} and list(fences.inside("a")) == ["gate"] and fences.runner_ids == {"a"}
    assert fences.forget("stranger") is None
    # Whoever takes the place over begins outside of everything.
    assert kinds(fences.observe([seen(0, 20, who="c")])) == [("gate", CrossingKind.ENTER)]


def test_a_runner_whom_nobody_admitted_is_not_judged(fences: Geofences) -> None:
    fences.admit("known")
    ids, fixes = zip(*[seen(0, 1, who="new"), seen(0, 1, who="known"), seen(250, 1, who="other")], strict=True)
    crossings, strangers = fences.judge(ids, fixes, 7.0)
    assert [crossing.runner_id for crossing in crossings] == ["known"] and strangers == [0, 2]
    assert fences.silent(7.0) == [] and fences.silent(7.1) == ["known"]


def test_stays_that_are_known_already_are_gone_on_with(fences: Geofences) -> None:
    fences.admit("r", [("gate", Stay(1_000)), ("a fence that is gone", Stay(5))])
    assert fences.observe([seen(0, 30)]) == []
    assert kinds(fences.observe([seen(0, 61)])) == [("gate", CrossingKind.DWELL)]
    left = fences.observe([seen(300, 71, y=200)])
    assert kinds(left) == [("gate", CrossingKind.EXIT)] and left[0].inside_s == 70
    fences.admit("s", [("gate", Stay(1_000, has_dwelled=True))])
    assert fences.observe([seen(0, 100, who="s")]) == []


def test_other_fences_take_the_runners_over(fences: Geofences) -> None:
    fences.observe([seen(0, 0), seen(250, 0, who="s")])
    later = Geofences([Geofence("gate", "南门", Circle(ORIGIN, 80.0)), Geofence("new", "", Outline(SQUARE))], ORIGIN)
    later.take_over(fences)
    assert later.observe([seen(90, 5)]) == [] and list(later.inside("r")) == ["gate"]
    assert kinds(later.observe([seen(251, 5, who="s")])) == [("new", CrossingKind.ENTER)]


def test_who_walks_through_a_fence_between_two_fixes_is_noticed(fences: Geofences) -> None:
    fences.observe([seen(-150, 0)])
    told = fences.observe([seen(150, 10)])
    assert kinds(told) == [("gate", CrossingKind.ENTER), ("gate", CrossingKind.EXIT)]
    assert [crossing.at_ms for crossing in told] == pytest.approx([3_333, 6_667], abs=2)
    assert told[0].point == pytest.approx(PLANE.point(-50, 0)) and told[1].point == pytest.approx(PLANE.point(50, 0))
    assert told[1].inside_s == pytest.approx(3.333, abs=0.01)
    through = fences.observe([seen(340, 20)])
    assert kinds(through) == [("square", CrossingKind.ENTER), ("square", CrossingKind.EXIT)]
    assert [crossing.at_ms for crossing in through] == pytest.approx([12_632, 17_895], abs=2)
    assert fences.inside("r") == {}


def test_who_went_through_but_is_still_near_has_not_left(fences: Geofences) -> None:
    fences.observe([seen(-150, 0)])
    assert kinds(fences.observe([seen(60, 5)])) == [("gate", CrossingKind.ENTER)]
    assert list(fences.inside("r")) == ["gate"]
    assert kinds(fences.observe([seen(100, 8)])) == [("gate", CrossingKind.EXIT)]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (seen(-150, 0), seen(150, 31)),  # nobody knows which way was taken
        (seen(-60, 0, y=60), seen(60, 9, y=60)),  # past the circle, though through its box
        (seen(-60, 0), seen(-75, 9)),  # hardly moved
        (seen(-150, 10), seen(150, 9)),  # back in time
    ],
)
def test_a_line_that_crosses_nothing(fences: Geofences, start: tuple[str, Fix], end: tuple[str, Fix]) -> None:
    assert fences.observe([start, end]) == []


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
