"""What holds for any place and any fix, however odd."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.campus import CampusMap
from geo.datum import Datum, from_wgs84, is_in_china, to_wgs84
from geo.errors import BadFence, BadMap, GeoError, ImportFailed
from geo.fence_shape import LaidFence
from geo.filters import FilterState, Reason, Verdict, check
from geo.fix import Fix
from geo.geofence import Circle, CrossingKind, Geofence, Geofences, Outline
from geo.geojson_import import import_geojson
from geo.osm_import import import_osm
from geo.point import LocalPlane, Point, distance_m
from geo.track import Track, simplify_points
from geo.walkway import Walkways

china = st.builds(Point, st.floats(1.0, 55.5), st.floats(72.5, 137.5))
anywhere = st.builds(Point, st.floats(-85, 85), st.floats(-180, 180))
any_float = st.floats(allow_nan=True, allow_infinity=True)
maybe_float = st.none() | any_float
PLANE = LocalPlane(Point(30.5, 114.4))


@given(china)
def test_datum_round_trip_in_china(point: Point) -> None:
    shifted = from_wgs84(point, Datum.GCJ02)
    assert 10 < distance_m(point, shifted) < 2_000
    assert distance_m(to_wgs84(shifted, Datum.GCJ02), point) < 0.5


@given(anywhere.filter(lambda p: not is_in_china(*p) and not (0 <= p.lat <= 57 and 71 <= p.lon <= 139)))
def test_datum_is_the_identity_abroad(point: Point) -> None:
    assert from_wgs84(point, Datum.GCJ02) == point == to_wgs84(point, Datum.GCJ02)


fixes = st.builds(
    Fix,
    lat=any_float,
    lon=any_float,
    fixed_at_ms=st.integers(-(2**62), 2**62),
    accuracy_m=maybe_float,
    speed_mps=maybe_float,
    bearing_deg=maybe_float,
    battery=maybe_float,
)
near_fixes = st.builds(
    Fix,
    lat=st.floats(30.4, 30.6),
    lon=st.floats(114.3, 114.5),
    fixed_at_ms=st.integers(0, 120_000),
    accuracy_m=maybe_float,
)


@given(st.lists(fixes | near_fixes, max_size=40), st.integers(0, 2**62))
@settings(max_examples=300)
def test_filters_never_raise_and_accept_only_real_places(stream: list[Fix], now_ms: int) -> None:
    state = FilterState()
    for fix in stream:
        verdict = check(state, fix, now_ms)
        assert isinstance(verdict, Verdict | Reason)
        if isinstance(verdict, Verdict):
            assert -85.05 <= fix.lat <= 85.05 and -180 <= fix.lon <= 180
        assert state.anchor_ms == -1 or state.anchor_ms <= now_ms + 60_000


@given(st.lists(near_fixes, max_size=60))
def test_the_dot_never_moves_back_and_no_moment_counts_twice(stream: list[Fix]) -> None:
    state = FilterState()
    newest = -1
    seen: set[int] = set()
    for fix in stream:
        verdict = check(state, fix, 120_000)
        if isinstance(verdict, Verdict):
            assert fix.fixed_at_ms not in seen
            seen.add(fix.fixed_at_ms)
        if verdict is Verdict.LIVE:
            assert fix.fixed_at_ms > newest
            newest = fix.fixed_at_ms
        elif verdict is Verdict.LATE:
            assert fix.fixed_at_ms < newest


@given(st.lists(st.integers(0, 50), max_size=80), st.integers(1, 20))
def test_a_track_is_ordered_and_bounded(times: list[int], capacity: int) -> None:
    track = Track(capacity)
    for at in times:
        track.add(Fix(30.5, 114.4, at))
    kept = [fix.fixed_at_ms for fix in track]
    assert kept == sorted(set(kept)) and len(kept) <= capacity
    assert not times or kept[-1] == max(times)


@given(st.lists(st.tuples(st.floats(-400, 400), st.floats(-400, 400)), min_size=2, max_size=30), st.floats(0.5, 30))
def test_simplified_lines_keep_ends_and_points(xy: list[tuple[float, float]], tolerance_m: float) -> None:
    line = [PLANE.point(x, y) for x, y in xy]
    short = simplify_points(line, tolerance_m)
    assert set(short) <= set(line)
    assert short[0] == line[0] and short[-1] == line[-1]


FENCES = (
    Geofence("round", "round", Circle(PLANE.point(0, 0), 100.0), dwell_s=30),
    Geofence(
        "square", "square", Outline(tuple(PLANE.point(x, y) for x, y in ((0, 0), (300, 0), (300, 300), (0, 300))))
    ),
)
steps = st.tuples(st.floats(-400, 400), st.floats(-400, 400), st.floats(0, 80))


@given(st.lists(steps, max_size=60))
def test_crossings_alternate_and_exits_are_well_outside(walk: list[tuple[float, float, float]]) -> None:
    fences = Geofences(FENCES, Point(30.5, 114.4))
    told: dict[str, list[CrossingKind]] = {"round": [], "square": []}
    for second, (x, y, accuracy_m) in enumerate(walk):
        for crossing in fences.observe([("r", Fix(*PLANE.point(x, y), second * 1000, accuracy_m))]):
            told[crossing.fence_id].append(crossing.kind)
            if crossing.fence_id == "round" and crossing.kind is CrossingKind.EXIT:
                assert (x * x + y * y) ** 0.5 - accuracy_m > 100 + 20 - 0.5
            if crossing.fence_id == "round" and crossing.kind is CrossingKind.ENTER:
                assert PLANE.xy(crossing.point) == pytest.approx((0, 0), abs=100.5)
                assert distance_m(crossing.point, PLANE.origin) <= 100.5
    for kinds in told.values():
        moves = [kind for kind in kinds if kind is not CrossingKind.DWELL]
        assert all(a != b for a, b in pairwise(moves))
        assert not moves or moves[0] is CrossingKind.ENTER


corners = st.tuples(st.floats(-300, 300), st.floats(-300, 300)).map(lambda xy: PLANE.point(*xy))
shapes = st.one_of(
    st.builds(Circle, corners, st.floats(5, 200)),
    st.lists(corners, min_size=3, max_size=8, unique=True).map(lambda ring: Outline(tuple(ring))),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(shapes, max_size=6), st.lists(st.tuples(st.floats(-400, 400), st.floats(-400, 400)), max_size=20))
def test_the_raster_says_what_each_fence_says(drawn: list[Circle | Outline], places: list[tuple[float, float]]) -> None:
    fences, plane = [Geofence(str(row), "", shape) for row, shape in enumerate(drawn)], LocalPlane(PLANE.origin)
    try:
        laid = [LaidFence(fence, plane) for fence in fences]
    except BadFence:
        return
    judged = Geofences(fences, PLANE.origin)
    for x, y in places:
        point = plane.point(x, y)
        assert [fence.id for fence in judged.containing(point)] == [
            one.fence.id for one in laid if one.covers(*plane.xy(point))
        ]


turns = st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(0, 40))


@settings(deadline=None, max_examples=60)
@given(st.lists(shapes, min_size=1, max_size=4), st.lists(turns, max_size=80))
def test_the_quick_way_tells_what_the_plain_way_tells(
    drawn: list[Circle | Outline], walk: list[tuple[float, float, float]]
) -> None:
    fences, plane = [Geofence(str(row), "", shape) for row, shape in enumerate(drawn)], LocalPlane(PLANE.origin)
    try:
        laid = [LaidFence(fence, plane) for fence in fences]
    except BadFence:
        return
    judged, inside, told, expected = Geofences(fences, PLANE.origin), set[str](), [], []
    x = y = 0.0
    for second, (east, north, accuracy_m) in enumerate(walk):
        x, y = x + east, y + north
        at = plane.point(x, y)
        for crossing in judged.observe([("r", Fix(*at, second * 1000, accuracy_m))]):
            told.append((second, crossing.fence_id, crossing.kind))
        for one in laid:
            if one.fence.id not in inside and one.covers(*plane.xy(at)):
                expected.append((second, one.fence.id, CrossingKind.ENTER))
                inside.add(one.fence.id)
            elif one.fence.id in inside and one.is_left(*plane.xy(at), accuracy_m):
                expected.append((second, one.fence.id, CrossingKind.EXIT))
                inside.remove(one.fence.id)
    assert sorted(told) == sorted(expected)


@given(st.lists(st.floats(-15, 15), min_size=2, max_size=60))
def test_a_dot_that_trembles_on_the_line_enters_once(noise: list[float]) -> None:
    fences = Geofences(FENCES[:1], Point(30.5, 114.4))
    crossings = [
        crossing
        for second, metres in enumerate(noise)
        for crossing in fences.observe([("r", Fix(*PLANE.point(100 + metres, 0), second * 1000, 5.0))])
        if crossing.kind is not CrossingKind.DWELL
    ]
    assert len(crossings) <= 1


KEYS = ["building", "amenity", "highway", "natural", "landuse", "entrance", "name", "access", "area", "shop"]
VALUES = ["yes", "university", "footway", "steps", "water", "grass", "construction", "main", "no", "图书馆", ""]
tags = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=4)
positions = st.tuples(st.floats(-500, 500), st.floats(-500, 500)).map(
    lambda xy: [PLANE.point(*xy).lon, PLANE.point(*xy).lat]
)
odd = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=3), lambda inner: st.lists(inner))


def rings(least: int, most: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(positions, min_size=least, max_size=most)


geometries = st.one_of(
    st.builds(lambda c: {"type": "Point", "coordinates": c}, positions),
    st.builds(lambda c: {"type": "LineString", "coordinates": c}, rings(1, 6)),
    st.builds(lambda c: {"type": "Polygon", "coordinates": [c]}, rings(1, 7)),
    st.builds(lambda c: {"type": "MultiPolygon", "coordinates": [[c], [c]]}, rings(3, 5)),
    st.builds(lambda kind, c: {"type": kind, "coordinates": c}, st.sampled_from(["Point", "Polygon", "Cube"]), odd),
)
mapped = st.builds(lambda t, g: {"type": "Feature", "properties": t, "geometry": g}, tags, geometries)


@given(st.lists(mapped, max_size=12))
@settings(max_examples=200, deadline=None)
def test_an_import_makes_a_map_or_says_why_not(features: list[dict[str, object]]) -> None:
    body = msgspec.json.encode({"type": "FeatureCollection", "features": features})
    try:
        campus, report = import_geojson(body)
    except GeoError:
        return
    assert CampusMap.from_bytes(campus.to_bytes()).to_bytes() == campus.to_bytes()
    assert report.made["buildings"] == len(campus.buildings) > 0
    ways = Walkways.of(campus)
    centers = [building.centroid for building in campus.buildings]
    assert (ways.walk_m_many(centers, centers[0]) < 1e5).all()
    msgspec.json.encode(campus.to_geojson())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_map_or_refused(body: bytes) -> None:
    for source in (body, b"CAMPUS\x01" + body):
        try:
            CampusMap.from_bytes(source)
        except BadMap:
            continue
    for importer in (import_osm, import_geojson):
        try:
            importer(body)
        except ImportFailed:
            continue
