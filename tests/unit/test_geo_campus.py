"""The demo campus as a map: places, zones, search, drawing, bytes."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import shapely

from geo.campus import Building, CampusMap, Gate, Place, ZoneKind
from geo.datum import Datum, from_wgs84
from geo.demo_campus import demo_campus
from geo.errors import BadMap, UnknownPlace
from geo.place_search import PlaceSearch
from geo.point import Point, distance_m


@pytest.fixture(scope="module")
def campus() -> CampusMap:
    return demo_campus()


def test_it_is_always_the_same_and_survives_as_bytes(campus: CampusMap) -> None:
    body = campus.to_bytes()
    assert demo_campus().to_bytes() == body
    again = CampusMap.from_bytes(body)
    assert again.to_bytes() == body
    assert [b.name for b in again.buildings] == [b.name for b in campus.buildings]
    moved = zip(again.gates(), campus.gates(), strict=True)
    assert all(a.id == b.id and distance_m(a.point, b.point) < 0.02 for (_, a), (_, b) in moved)
    assert len(body) < 30_000


def test_it_is_about_a_kilometre_in_china(campus: CampusMap) -> None:
    low, high = campus.bounds
    assert 900 < distance_m(low, Point(low.lat, high.lon)) < 1_100
    assert 700 < distance_m(low, Point(high.lat, low.lon)) < 900
    assert distance_m(campus.center, from_wgs84(campus.center, Datum.GCJ02)) > 100
    assert campus.contains(campus.center) and campus.is_on_campus(campus.center)
    assert not campus.contains(Point(30.6, 114.4))


def test_every_building_has_a_name_a_gate_and_floors(campus: CampusMap) -> None:
    assert 25 <= len(campus.buildings) <= 40
    for building in campus.buildings:
        assert building.name and building.name_en and building.gates and building.floors >= 1
        for gate in building.gates:
            assert campus.contains(gate.point) and not campus.is_no_go(gate.point)


def test_buildings_stand_apart_and_out_of_the_lake(campus: CampusMap) -> None:
    shapes = {b.id: shapely.Polygon(campus.plane.xy_many(b.ring)) for b in campus.buildings}
    lake = shapely.Polygon(campus.plane.xy_many(campus.zones[0].ring))
    for name, shape in shapes.items():
        assert shape.is_valid and not shape.intersects(lake), name
        for other, there in shapes.items():
            assert other == name or not shape.intersects(there), (name, other)


def test_no_way_runs_through_a_building(campus: CampusMap) -> None:
    solid = [shapely.Polygon(campus.plane.xy_many(b.ring)).buffer(-1.0) for b in campus.buildings]
    tree = shapely.STRtree(solid)
    for path in campus.paths:
        line = shapely.LineString(campus.plane.xy_many(path.points))
        rows = tree.query(line, predicate="intersects")
        assert not len(rows), (path.name, [campus.buildings[int(row)].name for row in rows])


def test_nobody_delivers_into_the_lake(campus: CampusMap) -> None:
    lake = next(zone for zone in campus.zones if zone.id == "lake")
    middle = campus.plane.points(campus.plane.xy_many(lake.ring).mean(axis=0, keepdims=True))[0]
    assert campus.is_no_go(middle) and campus.zone_at(middle) == lake
    assert not campus.is_no_go(campus.place("library").point)
    shore = lake.ring[0]
    east, inside = campus.plane.xy_many([shore, middle])
    just_in = campus.plane.points((east + (inside - east) * 5 / np.hypot(*(inside - east)))[None])[0]
    gate = campus.place("library").point
    many = [middle, just_in, gate]
    assert campus.are_no_go(many).tolist() == [campus.is_no_go(one) for one in many] == [True, True, False]
    assert campus.are_no_go(many, 15.0).tolist() == [True, False, False], "who may be off by so much may be ashore"
    assert campus.are_no_go(many, [1e4, 0.0, 0.0]).tolist() == [False, True, False] and not len(campus.are_no_go([]))
    quiet = CampusMap(name="q", boundary=campus.boundary, zones=(replace(lake, kind=ZoneKind.QUIET),))
    assert not quiet.is_no_go(middle) and not quiet.are_no_go([middle])[0]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("图书馆", "library"),
        ("图馆", "library"),
        ("Library", "library"),
        ("LIBR", "library"),
        ("一教", "teach-1"),
        ("第三教学楼", "teach-3"),
        ("第3教学楼", "teach-3"),
        ("竹园 快递", "zhu-parcel"),
        ("梅园３舍", "mei-3"),
        ("south gate", "gate-south"),
        ("parcel plum", "mei-parcel"),
        ("奶茶", "cafe"),
    ],
)
def test_places_are_found_as_people_type_them(campus: CampusMap, text: str, first: str) -> None:
    assert campus.search(text)[0].id == first


def test_search_is_ranked_and_bounded(campus: CampusMap) -> None:
    assert {place.kind for place in campus.search("食堂")} == {"canteen"}
    assert len(campus.search("园", 3)) == 3
    for nothing in ("", "   ", "zzz", "·", "x" * 10_000):
        assert campus.search(nothing) == []
    assert campus.search("图书馆", 0) == []


def test_a_streets_houses_do_not_bury_the_library() -> None:
    places = [Place(f"h{n}", f"{n} Library Place", Point(1, 1), "address") for n in range(5)]
    search = PlaceSearch([*places, Place("lib", "The Old Library", Point(1, 1), "library")])
    assert [place.id for place in search.find("library", 2)] == ["lib", "h0"]


@pytest.mark.parametrize(("typed", "name"), [("12号楼", "十二号楼"), ("二十号楼", "20号楼"), ("十号", "10号楼")])
def test_numbers_meet_in_either_script(typed: str, name: str) -> None:
    assert PlaceSearch([Place("p", name, Point(1, 1))]).find(typed, 1)


def test_a_map_says_little_of_itself(campus: CampusMap) -> None:
    assert len(repr(campus)) < 200


def test_quick_addresses_cover_the_usual_errands(campus: CampusMap) -> None:
    quick = campus.quick()
    assert {"parcel", "canteen", "dormitory", "library"} <= {place.kind for place in quick}
    assert len(campus.quick(3)) == 3
    unset = CampusMap(name="x", boundary=campus.boundary, buildings=campus.buildings, spots=campus.spots)
    kinds = [place.kind for place in unset.quick(6)]
    assert len(set(kinds)) == 6, "every kind gets its turn"
    assert unset.quick(-1) == []


def test_places_by_id_and_by_position(campus: CampusMap) -> None:
    library = campus.place("library")
    assert library.building_id == "library" and library.floors == 7
    building = campus.building("library")
    assert building is not None and campus.building("nothing") is None
    assert campus.nearest_place(library.point) == library
    assert campus.nearest_place(building.ring[0]) == library
    assert campus.nearest_place(Point(31, 115), within_m=100) is None
    assert library.gate(None) == library.gates[0]
    assert library.gate(library.gates[-1].id) == library.gates[-1]
    assert Place("p", "p", Point(1, 1)).gate("x") is None
    with pytest.raises(UnknownPlace) as refused:
        campus.place("atlantis")
    assert refused.value.field == "place_id"


@pytest.mark.parametrize("datum", list(Datum))
def test_the_drawing_is_small_valid_and_in_the_datum_asked_for(campus: CampusMap, datum: Datum) -> None:
    drawing = campus.to_geojson(datum)
    body = json.dumps(drawing, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(body) < 100_000
    features = drawing["features"]
    assert isinstance(features, list)
    layers = {feature["properties"]["layer"] for feature in features}
    assert {"boundary", "building", "path", "gate", "zone", "area", "place"} <= layers
    for feature in features:
        assert shapely.from_geojson(json.dumps(feature)).is_valid, feature["properties"]
    library = next(f for f in features if f["properties"].get("id") == "library")
    lon, lat = library["geometry"]["coordinates"][0][0]
    building = campus.building("library")
    assert building is not None
    assert distance_m(Point(lat, lon), from_wgs84(building.ring[0], datum)) < 1.0


def test_a_map_needs_a_boundary_and_unique_ids(campus: CampusMap) -> None:
    with pytest.raises(BadMap):
        CampusMap(name="x", boundary=campus.boundary[:2])
    twice = Building("b", "B", campus.boundary, campus.center)
    with pytest.raises(BadMap, match="two places"):
        CampusMap(name="x", boundary=campus.boundary, buildings=(twice, twice))


def test_a_building_without_gate_is_entered_at_its_middle(campus: CampusMap) -> None:
    bare = Building("b", "", campus.boundary, campus.center, name_en="Shed")
    plain = CampusMap(name="x", boundary=campus.boundary, buildings=(bare, Building("c", "", (), campus.center)))
    assert plain.place("b").point == campus.center and plain.place("b").name == "Shed"
    assert "c" not in plain.places
    assert plain.building_at(campus.center) == bare
    assert CampusMap.from_bytes(plain.to_bytes()).buildings[1].ring == ()


def damaged(body: bytes) -> list[bytes]:
    packed = body[7:]
    opened = bytearray(zlib.decompress(packed))
    wrong_type = zlib.compress(msgspec.msgpack.encode({"name": 1}))
    whole = msgspec.msgpack.decode(bytes(opened))
    odd = zlib.compress(msgspec.msgpack.encode({**whole, "boundary": [1, 2, 3]}))
    away = zlib.compress(msgspec.msgpack.encode({**whole, "boundary": [2_000_000_000, 0] * 3}))
    two = whole["buildings"][0]
    two[5] = [1, 1, 1, 1]
    doubled = zlib.compress(msgspec.msgpack.encode({**whole, "buildings": [two]}))
    head = body[:7]
    return [
        b"",
        b"CAMPUS",
        b"PK\x03\x04 something else",
        b"CAMPUS\x63" + packed,
        head,
        head + b"noise",
        body[: len(body) // 2],
        head + wrong_type,
        head + odd,
        head + away,
        head + doubled,
    ]


def test_damaged_bytes_are_refused_in_words(campus: CampusMap) -> None:
    for body in damaged(campus.to_bytes()):
        with pytest.raises(BadMap) as refused:
            CampusMap.from_bytes(body)
        assert len(str(refused.value)) > 15


def test_a_bomb_is_not_unpacked(campus: CampusMap) -> None:
    bomb = campus.to_bytes()[:7] + zlib.compress(b"\0" * (65 * 1024 * 1024), 9)
    with pytest.raises(BadMap, match="too big"):
        CampusMap.from_bytes(bomb)


def test_gates_keep_what_is_known_of_them(campus: CampusMap) -> None:
    gate = Gate("g", campus.center, "东门", is_mapped=False)
    place = Place("p", "店", campus.center, "shop", "Shop", (gate,), 3, None, ("小店",))
    plain = CampusMap(name="x", boundary=campus.boundary, spots=(place,), quick_ids=("p", "gone"))
    again = CampusMap.from_bytes(plain.to_bytes())
    assert again.spots[0].gates[0].name == "东门" and not again.spots[0].gates[0].is_mapped
    assert again.spots[0].aliases == ("小店",) and again.quick() == [again.place("p")]
