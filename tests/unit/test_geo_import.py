"""Importing a campus: small files of every kind, and what is said about broken ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path as FilePath

import pytest

import geo.survey
from geo.campus import AreaKind, CampusMap, PathKind
from geo.errors import ImportFailed
from geo.geojson_import import import_geojson
from geo.osm_import import import_osm
from geo.point import LocalPlane, Point, distance_m
from geo.survey import floors_of, open_source, path_kind, use_of
from geo.walkway import Walkways

PLANE = LocalPlane(Point(42.05, -87.675))


class Sketch:
    """Writes the same small campus as OpenStreetMap XML and as GeoJSON."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[float, float], int] = {}
        self.node_tags: dict[int, dict[str, str]] = {}
        self.ways: list[tuple[list[int], dict[str, str]]] = []
        self.relations: list[tuple[list[tuple[int, str]], dict[str, str]]] = []
        self.bounds = ""

    def node(self, x: float, y: float, **tags: str) -> int:
        ref = self.nodes.setdefault((x, y), len(self.nodes) + 1)
        if tags:
            self.node_tags[ref] = {key.replace("__", ":"): value for key, value in tags.items()}
        return ref

    def way(self, *xy: tuple[float, float], **tags: str) -> int:
        named = {key.replace("__", ":"): value for key, value in tags.items()}
        self.ways.append(([self.node(x, y) for x, y in xy], named))
        return len(self.ways)

    def box(self, x: float, y: float, size: float, **tags: str) -> int:
        corners = ((x, y), (x + size, y), (x + size, y + size), (x, y + size), (x, y))
        return self.way(*corners, **tags)

    def osm(self) -> bytes:
        def tags_of(tags: dict[str, str]) -> str:
            return "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())

        out = [f'<?xml version="1.0"?><osm version="0.6">{self.bounds}']
        for (x, y), ref in self.nodes.items():
            p = PLANE.point(x, y)
            out.append(
                f'<node id="{ref}" lat="{p.lat:.7f}" lon="{p.lon:.7f}">{tags_of(self.node_tags.get(ref, {}))}</node>'
            )
        for ref, (nodes, tags) in enumerate(self.ways, 1):
            members = "".join(f'<nd ref="{node}"/>' for node in nodes)
            out.append(f'<way id="{ref}">{members}{tags_of(tags)}</way>')
        for ref, (ways, tags) in enumerate(self.relations, 1):
            members = "".join(f'<member type="way" ref="{way}" role="{role}"/>' for way, role in ways)
            out.append(f'<relation id="{ref}">{members}{tags_of(tags)}</relation>')
        return ("".join(out) + "</osm>").encode()

    def geojson(self) -> bytes:
        places = {ref: PLANE.point(x, y) for (x, y), ref in self.nodes.items()}
        features: list[dict[str, object]] = []
        for ref, tags in self.node_tags.items():
            point = [places[ref].lon, places[ref].lat]
            features.append(
                {"type": "Feature", "properties": tags, "geometry": {"type": "Point", "coordinates": point}}
            )
        for number, (nodes, tags) in enumerate(self.ways, 1):
            line = [[round(places[n].lon, 7), round(places[n].lat, 7)] for n in nodes]
            is_area = nodes[0] == nodes[-1] and "highway" not in tags
            shape = (
                {"type": "Polygon", "coordinates": [line]} if is_area else {"type": "LineString", "coordinates": line}
            )
            features.append({"type": "Feature", "id": f"way/{number}", "properties": tags, "geometry": shape})
        return json.dumps({"type": "FeatureCollection", "features": features}).encode()


@pytest.fixture
def sketch() -> Sketch:
    drawn = Sketch()
    drawn.box(-200, -200, 400, amenity="university", name="山水大学", name__en="Hill University")
    drawn.box(-100, 20, 40, building="dormitory", name="一舍", building__levels="6", alt_name="甲楼;A 楼")
    drawn.box(40, 20, 40, building="yes", name="大食堂")
    drawn.box(120, 20, 30, building="house", addr__housenumber="12", addr__street="柳巷")
    drawn.box(20, -120, 2, building="yes", name="kiosk")
    drawn.box(1_000, 1_000, 40, building="yes", name="far away")
    drawn.box(-60, -150, 50, natural="water", name="荷塘")
    drawn.box(60, -150, 40, landuse="construction")
    drawn.box(120, -150, 3, leisure="garden")
    drawn.way((-200, 0), (-80, 0), (60, 0), (200, 0), highway="footway", name="林荫道")
    drawn.way((60, 0), (60, -100), highway="steps")
    drawn.way((60, -100), (150, -100), (1_500, -100), highway="residential")
    drawn.way((-80, 0), (-80, -30), highway="footway", access="private")
    drawn.way((-150, 2_000), (0, 2_000), highway="footway")
    drawn.node(-80, 20, entrance="main", name="南门")
    drawn.node(-60, 40, entrance="yes")
    drawn.node(-100, 40, entrance="emergency")
    drawn.node(900, 900, entrance="yes")
    drawn.node(50, 40, shop="convenience", name="小卖部")
    drawn.node(50, 50, amenity="restaurant", name="大食堂")
    drawn.node(1_900, 50, shop="books", name="远书店")
    drawn.node(190, 0, barrier="gate", name="东门")
    return drawn


@pytest.mark.parametrize("kind", ["osm", "osm.gz", "geojson"])
def test_one_campus_three_files(sketch: Sketch, kind: str, tmp_path: FilePath) -> None:
    if kind == "geojson":
        campus, report = import_geojson(sketch.geojson())
    else:
        file = tmp_path / f"hill.{kind}"
        file.write_bytes(gzip.compress(sketch.osm()) if kind == "osm.gz" else sketch.osm())
        campus, report = import_osm(file)
    assert campus.name == "山水大学" and campus.name_en == "Hill University"
    assert {building.name for building in campus.buildings} == {"一舍", "大食堂", "12 柳巷"}
    assert report.made["buildings"] == 3 and report.left_out["buildings away from the campus"] == 1
    assert report.left_out["buildings too small to matter"] == 1
    check_buildings(campus)
    check_ground(campus)
    assert report.boundary_from.startswith("outline of")
    assert report.made["flights of steps"] == 1 and report.left_out["ways that are not for walking"] == 1
    assert report.left_out["ways away from the campus"] == 1
    assert report.left_out["entrances of no building on the campus"] == 1
    assert report.left_out["spots away from the campus"] == 1 and report.left_out["spots that are their building"] == 1
    assert report.made["mapped gates"] == 2 and report.made["guessed gates"] == 2
    assert report.connected_share > 0.95 and report.path_km > 0.5
    assert any("山水大学" in line for line in report.lines())
    assert CampusMap.from_bytes(campus.to_bytes()).to_bytes() == campus.to_bytes()


def check_buildings(campus: CampusMap) -> None:
    hall = campus.search("一舍")[0]
    assert hall.floors == 6 and hall.kind == "dormitory" and hall.aliases == ("甲楼", "A 楼")
    assert [gate.name for gate in hall.gates] == ["南门", ""], "the main entrance first"
    canteen = campus.search("食堂")[0]
    assert canteen.kind == "canteen" and not canteen.gates[0].is_mapped
    assert distance_m(canteen.point, PLANE.point(60, 20)) < 25, "the guessed door looks to the path"
    assert campus.search("柳巷")[0].kind == "address"
    shop = campus.search("小卖部")[0]
    assert shop.building_id == canteen.id and shop.gates == canteen.gates
    assert campus.search("东门")[0].kind == "gate"


def check_ground(campus: CampusMap) -> None:
    assert [area.kind for area in campus.areas] == [AreaKind.WATER]
    assert len(campus.zones) == 2
    assert campus.is_no_go(PLANE.point(-40, -130)) and campus.is_no_go(PLANE.point(80, -130))
    assert campus.contains(PLANE.point(230, 0)) and not campus.contains(PLANE.point(260, 0))
    assert max(distance_m(PLANE.point(0, 0), p) for path in campus.paths for p in path.points) < 400
    ways = Walkways.of(campus)
    assert ways.walk_m(PLANE.point(60, 0), PLANE.point(60, -100)) == pytest.approx(200, rel=0.05)


def test_the_given_name_wins(sketch: Sketch) -> None:
    campus, report = import_osm(sketch.osm(), "我们的校园")
    assert campus.name == report.name == "我们的校园" and campus.name_en == ""


def test_without_a_university_the_buildings_draw_the_line() -> None:
    drawn = Sketch()
    drawn.box(0, 0, 40, building="yes", name="A")
    drawn.box(200, 100, 40, building="yes")
    campus, report = import_osm(drawn.osm())
    assert "hull of 2 buildings" in report.boundary_from and len(report.warnings) == 2
    assert "no footpaths" in report.warnings[1]
    assert campus.name == "Campus" and campus.buildings[0].gates == ()
    assert Walkways.of(campus).graph is None


def test_a_relation_of_joined_ways_with_a_hole(sketch: Sketch) -> None:
    drawn = Sketch()
    south = drawn.way((0, 0), (100, 0), (100, 100))
    north = drawn.way((0, 0), (0, 100), (100, 100))
    hole = drawn.box(40, 40, 10)
    drawn.relations.append(
        (
            [(south, "outer"), (north, "outer"), (hole, "inner")],
            {"type": "multipolygon", "building": "yes", "name": "Ring"},
        )
    )
    drawn.relations.append(
        ([(south, "outer"), (77, "outer")], {"type": "multipolygon", "amenity": "university", "name": "Half"})
    )
    drawn.relations.append(([(south, "outer")], {"type": "route"}))
    drawn.ways.append(([1, 2, 999], {"highway": "footway"}))
    campus, report = import_osm(drawn.osm())
    assert [building.id for building in campus.buildings] == ["r1"]
    assert len(campus.buildings[0].ring) == 4
    assert campus.name == "Half" and "hull of 1 pieces" in report.boundary_from
    assert report.left_out["relation members outside the extract"] == 1
    assert report.left_out["nodes outside the extract"] == 1


def test_a_campus_in_two_parts_is_taken_whole() -> None:
    drawn = Sketch()
    one, two = drawn.box(0, 0, 100), drawn.box(300, 0, 100)
    drawn.relations.append(([(one, "outer"), (two, "outer")], {"type": "multipolygon", "amenity": "college"}))
    drawn.box(320, 20, 30, building="yes", name="East")
    low, high = PLANE.point(-50, 10), PLANE.point(390, 500)
    drawn.bounds = f'<bounds minlat="{low.lat}" minlon="{low.lon}" maxlat="{high.lat}" maxlon="{high.lon}"/>'
    campus, report = import_osm(drawn.osm())
    assert "hull of 2 pieces" in report.boundary_from
    assert campus.is_on_campus(PLANE.point(200, 50)) and not campus.is_on_campus(PLANE.point(200, 5))


def test_water_across_the_border_is_cut() -> None:
    drawn = Sketch()
    drawn.box(0, 0, 100, amenity="university", name="Shore")
    drawn.box(10, 10, 30, building="yes")
    drawn.box(80, 0, 2_000, natural="water", name="Sea")
    drawn.way((0, 5), (100, 5), highway="footway")
    campus, _ = import_osm(drawn.osm())
    assert campus.is_no_go(PLANE.point(100, 50)) and not campus.is_no_go(PLANE.point(700, 50))


def test_a_network_in_pieces_is_warned_of() -> None:
    drawn = Sketch()
    drawn.box(0, 0, 300, amenity="university", name="Isles")
    drawn.box(10, 10, 30, building="yes")
    for y in (60, 120, 180):
        drawn.way((0, y), (300, y), highway="path")
    _, report = import_osm(drawn.osm())
    assert "hangs together" in report.warnings[0]


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>'
    b'<osm><node id="1" lat="1" lon="1"><tag k="name" v="&lol2;"/></node></osm>'
)
NODE = b'<osm><node id="1" lat="%s" lon="%s"/></osm>'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"not xml at all", "not well-formed"),
        (b"<osm><node", "not well-formed"),
        (b"<html></html>", "<html>, not <osm>"),
        (b"<osm></osm>", "no nodes"),
        (BOMB, "entities"),
        (NODE % (b"91", b"1"), "outside the map"),
        (NODE % (b"nan", b"1"), "outside the map"),
        (NODE % (b"x", b"1"), "no readable lat"),
        (b'<osm><node id="1" lon="1"/></osm>', "no readable lat"),
        (NODE % (b"1", b"1"), "no buildings"),
        (gzip.compress(b"<osm></osm>", mtime=0)[:-9], "cannot be unpacked"),
        (b"\x1f\x8b broken", "cannot be unpacked"),
    ],
)
def test_broken_extracts_are_refused_in_words(body: bytes, said: str) -> None:
    with pytest.raises(ImportFailed) as refused:
        import_osm(body)
    assert said in str(refused.value)


def feature(geometry: object, **tags: object) -> dict[str, object]:
    return {"type": "Feature", "properties": tags, "geometry": geometry}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ([], "FeatureCollection"),
        ({"type": "Feature"}, "FeatureCollection"),
        ({"type": "FeatureCollection", "features": []}, "no features"),
        ({"type": "FeatureCollection", "features": "x"}, "no features"),
        ([1], "FeatureCollection"),
        ({"type": "FeatureCollection", "features": [1]}, "feature 0 is no GeoJSON Feature"),
        ({"type": "FeatureCollection", "features": [feature(3)]}, "no object"),
        ({"type": "FeatureCollection", "features": [feature({"type": "Point", "coordinates": "x"})]}, "no [longitude"),
        (
            {"type": "FeatureCollection", "features": [feature({"type": "Point", "coordinates": [True, 1]})]},
            "no [longitude",
        ),
        (
            {"type": "FeatureCollection", "features": [feature({"type": "Point", "coordinates": [30.5, 114.4]})]},
            "longitude first",
        ),
        (
            {"type": "FeatureCollection", "features": [feature({"type": "LineString", "coordinates": []})]},
            "no coordinates",
        ),
        (
            {"type": "FeatureCollection", "features": [feature(None), feature({"type": "Sphere", "coordinates": []})]},
            "no buildings",
        ),
    ],
)
def test_broken_geojson_is_refused_in_words(document: object, said: str) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ImportFailed) as refused:
        import_geojson(body)
    assert said in str(refused.value)


def test_geojson_in_many_parts() -> None:
    def ring(x: float, y: float, size: float) -> list[list[float]]:
        corners = ((x, y), (x + size, y), (x + size, y + size), (x, y + size), (x, y))
        return [[PLANE.point(*corner).lon, PLANE.point(*corner).lat] for corner in corners]

    features = [
        feature(
            {"type": "MultiPolygon", "coordinates": [[ring(0, 0, 50)], [ring(100, 0, 50)]]}, building="yes", name="Twin"
        ),
        feature(
            {"type": "MultiLineString", "coordinates": [ring(60, 0, 30), ring(60, 40, 30)]}, tags={"highway": "path"}
        ),
        feature({"type": "Polygon", "coordinates": [ring(0, 0, 50)[:2]]}, building="yes"),
        feature({"type": "LineString", "coordinates": ring(0, 0, 50)[:1]}, highway="path"),
        {"type": "Feature", "properties": None, "geometry": {"type": "Point", "coordinates": ring(0, 0, 1)[0]}},
    ]
    campus, report = import_geojson(json.dumps({"type": "FeatureCollection", "features": features}).encode(), "Twins")
    assert [building.id for building in campus.buildings] == ["f0", "f0#1"]
    assert report.made["paths"] == 2 and campus.name == "Twins"


def test_a_missing_file_is_named(tmp_path: FilePath) -> None:
    with pytest.raises(ImportFailed, match=r"nowhere\.osm"):
        import_osm(tmp_path / "nowhere.osm")


def test_an_archive_that_unpacks_without_end_is_stopped() -> None:
    bomb = gzip.compress(b"x" * 10_000, mtime=0)
    with pytest.raises(ImportFailed, match="more than"), open_source(bomb, 5_000) as stream:
        stream.read()


def test_a_city_is_too_much(monkeypatch: pytest.MonkeyPatch, sketch: Sketch) -> None:
    monkeypatch.setattr("geo.osm_import.MAX_FEATURES", 10)
    monkeypatch.setattr("geo.geojson_import.MAX_FEATURES", 10)
    with pytest.raises(ImportFailed, match="more than 10"):
        import_osm(sketch.osm())
    with pytest.raises(ImportFailed, match="more than 10"):
        import_geojson(sketch.geojson())
    assert geo.survey.MAX_FEATURES > 100_000


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ({"highway": "steps"}, PathKind.STEPS),
        ({"highway": "footway", "footway": "crossing"}, PathKind.CROSSING),
        ({"highway": "cycleway"}, PathKind.CYCLEWAY),
        ({"highway": "service"}, PathKind.ROAD),
        ({"highway": "service", "access": "private", "foot": "yes"}, PathKind.ROAD),
        ({"highway": "service", "access": "private"}, None),
        ({"highway": "footway", "foot": "no"}, None),
        ({"highway": "motorway"}, None),
        ({"highway": "bus_stop"}, None),
    ],
)
def test_what_can_be_walked(tags: dict[str, str], kind: PathKind | None) -> None:
    assert path_kind(tags) is kind


@pytest.mark.parametrize(
    ("tags", "use"),
    [
        ({"name": "菜鸟驿站"}, "parcel"),
        ({"name": "紫荆公寓"}, "dormitory"),
        ({"amenity": "library"}, "library"),
        ({"shop": "books"}, "shop"),
        ({"leisure": "sports_centre"}, "sports"),
        ({"building": "university"}, "teaching"),
        ({"building": "yes"}, "building"),
    ],
)
def test_what_a_building_is_for(tags: dict[str, str], use: str) -> None:
    assert use_of(tags) == use


@pytest.mark.parametrize(
    ("levels", "floors"), [("6", 6), ("2.5", 2), ("0", None), ("many", None), ("inf", None), ("", None)]
)
def test_floors_are_whole_and_sane(levels: str, floors: int | None) -> None:
    assert floors_of({"building:levels": levels}) == floors
