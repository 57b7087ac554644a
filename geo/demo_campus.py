"""云湖大学, a campus that never was: made by code for demos and tests, always the same."""

from __future__ import annotations

from math import cos, pi, radians, sin
from typing import NamedTuple

from .campus import Area, AreaKind, Building, CampusMap, Gate, Path, PathKind, Place, Ring, Zone, ZoneKind
from .drawing import XY, box, curve, door_ways, ellipse, join_lines, stadium, turned
from .point import LocalPlane, Point

# Inside China, so that GCJ-02 makes a difference here.
_ORIGIN = Point(30.5, 114.4)


class _Plan(NamedTuple):
    """A building on the drawing board: metres east and north of the middle, size, shape and turn."""

    id: str
    name: str
    name_en: str
    kind: str
    x: float
    y: float
    width: float
    height: float
    shape: str = "box"
    turn_deg: float = 0.0
    floors: int = 1
    aliases: tuple[str, ...] = ()


_BUILDINGS = (
    _Plan("library", "图书馆", "Library", "library", 96, 0, 92, 72, "u", -3, 7, ("云湖图书馆", "自习室")),
    _Plan("info", "信息楼", "Information Building", "teaching", 96, -84, 104, 30, "box", 2, 8, ("计算机学院", "CS")),
    _Plan("arts", "艺术楼", "Arts Building", "teaching", 92, 80, 74, 40, "round", 0, 4, ("美术馆",)),
    _Plan("teach-1", "第一教学楼", "Teaching Building 1", "teaching", 258, -62, 84, 62, "h", 1, 5, ("一教",)),
    _Plan("teach-2", "第二教学楼", "Teaching Building 2", "teaching", 259, 60, 84, 62, "h", 2, 5, ("二教",)),
    _Plan("teach-3", "第三教学楼", "Teaching Building 3", "teaching", 392, -50, 78, 64, "l", 3, 6, ("三教",)),
    _Plan("lab", "实验楼", "Laboratory Building", "teaching", 394, 62, 78, 60, "u", 0, 6, ("物理实验", "化学实验")),
    _Plan("admin", "行政楼", "Administration", "office", 95, -290, 96, 36, "h", 0, 6, ("教务处",)),
    _Plan("hall", "大礼堂", "Great Hall", "hall", -92, -285, 78, 58, "round", 0, 2, ()),
    _Plan("business", "商学院", "Business School", "teaching", 96, -183, 96, 58, "l", 0, 6, ()),
    _Plan("museum", "校史馆", "University Museum", "hall", -92, -183, 84, 54, "u", 180, 3, ("博物馆",)),
    _Plan("gym", "体育馆", "Gymnasium", "sports", 262, -172, 88, 58, "round", 0, 2, ("健身房",)),
    _Plan("pool", "游泳馆", "Swimming Hall", "sports", 388, -166, 72, 44, "box", 4, 2, ()),
    _Plan("zhu-1", "竹园1舍", "Bamboo Court 1", "dormitory", -394, -147, 84, 19, "box", 3, 7, ("竹一",)),
    _Plan("zhu-2", "竹园2舍", "Bamboo Court 2", "dormitory", -391, -185, 84, 19, "box", 3, 7, ("竹二",)),
    _Plan("zhu-3", "竹园3舍", "Bamboo Court 3", "dormitory", -386, -258, 84, 19, "box", 5, 7, ("竹三",)),
    _Plan("zhu-4", "竹园4舍", "Bamboo Court 4", "dormitory", -364, -293, 68, 19, "box", 5, 7, ("竹四",)),
    _Plan("canteen-1", "第一食堂", "Canteen 1", "canteen", -256, -176, 82, 56, "box", 2, 3, ("竹园食堂", "一食堂")),
    _Plan("zhu-shop", "竹园超市", "Bamboo Supermarket", "shop", -284, -268, 48, 30, "box", 3, 2, ("小卖部",)),
    _Plan("zhu-parcel", "竹园快递站", "Bamboo Parcel Station", "parcel", -222, -296, 46, 26, "box", 0, 1, ("取件点",)),
    _Plan("mei-1", "梅园1舍", "Plum Court 1", "dormitory", 98, 316, 134, 19, "box", 0, 7, ("梅一",)),
    _Plan("mei-2", "梅园2舍", "Plum Court 2", "dormitory", 98, 273, 134, 19, "box", 0, 7, ("梅二",)),
    _Plan("mei-3", "梅园3舍", "Plum Court 3", "dormitory", 266, 316, 92, 19, "box", -1, 7, ("梅三",)),
    _Plan("mei-4", "梅园4舍", "Plum Court 4", "dormitory", 268, 273, 92, 19, "box", -1, 7, ("梅四",)),
    _Plan("lan-1", "兰园研究生公寓", "Orchid Court", "dormitory", 378, 286, 60, 48, "u", -4, 12, ("研究生宿舍",)),
    _Plan("canteen-2", "第二食堂", "Canteen 2", "canteen", 98, 181, 94, 60, "box", 1, 3, ("梅园食堂", "二食堂")),
    _Plan("canteen-3", "第三食堂", "Canteen 3", "canteen", 396, 182, 70, 52, "box", 0, 2, ("清真食堂", "三食堂")),
    _Plan("mei-parcel", "梅园快递站", "Plum Parcel Station", "parcel", 246, 208, 54, 26, "box", 0, 1, ("取件点",)),
    _Plan("mei-shop", "梅园超市", "Plum Supermarket", "shop", 296, 164, 46, 32, "box", 2, 2, ("便利店",)),
    _Plan("cafe", "云间咖啡", "Cloud Café", "cafe", 232, 160, 28, 26, "round", 0, 1, ("奶茶",)),
    _Plan("clinic", "校医院", "Campus Clinic", "clinic", -72, 300, 66, 42, "l", 0, 4, ("医务室", "药房")),
    _Plan("intl", "留学生公寓", "International House", "dormitory", -76, 184, 76, 62, "l", 0, 9, ("桂园",)),
    _Plan("archive", "档案馆", "Archive", "office", -176, 184, 58, 38, "box", 10, 3, ()),
    _Plan("green", "植物园温室", "Botanical Greenhouse", "hall", -408, 84, 44, 66, "round", 0, 1, ()),
    _Plan("hotel", "国际交流中心", "Exchange Centre", "office", -404, -30, 52, 66, "l", 0, 8, ("宾馆", "酒店")),
    _Plan("bank", "服务大厅", "Service Hall", "shop", -30 - 110, 296, 44, 30, "box", -2, 2, ("打印店", "校园卡中心")),
)

# Name, kind, corners of a curve in metres; the first and last corner meet where a line is closed.
_WAYS: tuple[tuple[str, PathKind, tuple[XY, ...]], ...] = (
    (
        "环校路",
        PathKind.ROAD,
        (
            (0, -347),
            (-190, -340),
            (-345, -326),
            (-428, -270),
            (-452, -130),
            (-456, 20),
            (-438, 180),
            (-372, 308),
            (-230, 350),
            (0, 354),
            (200, 352),
            (350, 344),
            (430, 290),
            (456, 130),
            (456, -90),
            (444, -250),
            (398, -328),
            (250, -346),
            (120, -348),
            (0, -347),
        ),
    ),
    ("学府大道", PathKind.ROAD, ((0, -392), (0, -347), (0, -237), (0, -130), (2, -40), (6, 40), (-4, 116))),
    ("学府大道", PathKind.ROAD, ((-4, 116), (-10, 180), (-6, 240), (0, 300), (0, 354), (0, 392))),
    (
        "明德路",
        PathKind.ROAD,
        (
            (-494, -96),
            (-452, -108),
            (-330, -116),
            (-182, -128),
            (0, -130),
            (190, -124),
            (328, -114),
            (456, -92),
            (494, -88),
        ),
    ),
    ("求是路", PathKind.ROAD, ((-4, 116), (90, 118), (194, 122), (332, 126), (456, 124))),
    ("勤学路", PathKind.FOOTWAY, ((190, -124), (184, -40), (188, 40), (194, 122), (198, 180), (196, 241), (200, 352))),
    ("致远路", PathKind.FOOTWAY, ((328, -114), (322, -20), (330, 60), (332, 126), (338, 190), (336, 241), (332, 346))),
    ("梅园路", PathKind.FOOTWAY, ((-6, 240), (90, 238), (196, 241), (336, 238), (446, 236))),
    ("竹园路", PathKind.FOOTWAY, ((-444, -216), (-326, -224), (-184, -234), (0, -237), (120, -240), (190, -236))),
    ("竹影巷", PathKind.FOOTWAY, ((-330, -116), (-324, -170), (-326, -224), (-320, -270), (-322, -330))),
    ("书香巷", PathKind.FOOTWAY, ((-182, -128), (-186, -180), (-184, -234), (-176, -290), (-180, -340))),
    ("健身路", PathKind.FOOTWAY, ((190, -124), (190, -180), (190, -236), (188, -300), (186, -347))),
    ("体育场路", PathKind.FOOTWAY, ((190, -214), (262, -212), (340, -208), (446, -206))),
    ("泳馆路", PathKind.FOOTWAY, ((326, -115), (330, -160), (328, -209))),
    ("云山路", PathKind.FOOTWAY, ((-6, 240), (-110, 236), (-220, 218), (-310, 186), (-440, 170))),
    ("医院路", PathKind.FOOTWAY, ((-110, 236), (-112, 290), (-108, 352))),
    ("桂园路", PathKind.FOOTWAY, ((-10, 140), (-76, 138), (-150, 140), (-214, 152), (-222, 217))),
    ("望云路", PathKind.FOOTWAY, ((-452, 30), (-400, 28), (-354, 22))),
    ("湖心堤", PathKind.FOOTWAY, ((-126, -60), (-60, -66), (1, -66))),
    ("湖心堤", PathKind.FOOTWAY, ((-72, 34), (-30, 40), (6, 38))),
    ("湖南径", PathKind.FOOTWAY, ((-214, -88), (-212, -127))),
    ("湖北径", PathKind.FOOTWAY, ((-206, 128), (-214, 152))),
    ("登云步道", PathKind.FOOTWAY, ((-310, 186), (-322, 206), (-326, 218))),
    ("登云阶", PathKind.STEPS, ((-326, 218), (-332, 240), (-330, 256))),
    ("观云台", PathKind.FOOTWAY, ((-330, 256), (-318, 266), (-304, 262))),
    ("下云阶", PathKind.STEPS, ((-304, 262), (-280, 278), (-262, 300))),
    ("下云径", PathKind.FOOTWAY, ((-262, 300), (-246, 322), (-240, 349))),
    ("图书馆步道", PathKind.FOOTWAY, ((4, 0), (22, 2), (36, 3))),
    ("图书馆南径", PathKind.FOOTWAY, ((1, -56), (90, -54), (186, -50))),
    ("图书馆北径", PathKind.FOOTWAY, ((6, 48), (96, 48), (189, 50))),
    ("一教北径", PathKind.FOOTWAY, ((186, -4), (260, -6), (323, -4))),
    ("三教北径", PathKind.FOOTWAY, ((324, 8), (390, 6), (456, 10))),
    ("梅园中径", PathKind.FOOTWAY, ((2, 295), (98, 295), (198, 295), (268, 294), (336, 292))),
    ("竹园北径", PathKind.FOOTWAY, ((-454, -168), (-392, -166), (-324, -172))),
    (
        "竹园南径",
        PathKind.FOOTWAY,
        ((-434, -276), (-380, -276), (-322, -279), (-300, -291), (-262, -288), (-236, -276), (-178, -272)),
    ),
)

_GATES = (
    ("gate-south", "南门", "South Gate", (0.0, -392.0)),
    ("gate-north", "北门", "North Gate", (0.0, 392.0)),
    ("gate-west", "西门", "West Gate", (-494.0, -96.0)),
    ("gate-east", "东门", "East Gate", (494.0, -88.0)),
)

_OUTLINE: tuple[XY, ...] = (
    (0, -396), (-220, -388), (-392, -368), (-470, -290), (-497, -120), (-498, 40), (-482, 210), (-420, 350),
    (-250, 396), (0, 398), (220, 397), (390, 388), (474, 320), (499, 140), (499, -100), (488, -270),
    (430, -376), (260, -394), (120, -396), (0, -396),
)  # fmt: skip
_LAKE_MIDDLE: XY = (-214, 20)

_QUICK = ("zhu-parcel", "mei-parcel", "canteen-1", "canteen-2", "canteen-3", "library", "mei-1", "zhu-1", "gate-south")


def _lake_ring(grow_m: float = 0.0) -> list[XY]:
    """A shore that bends in and out, ``grow_m`` metres outwards."""
    x, y = _LAKE_MIDDLE
    ring = []
    for step in range(72):
        angle = 2 * pi * step / 72
        reach = 1 + 0.07 * sin(2 * angle + 0.6) + 0.06 * sin(3 * angle - 1.1)
        ring.append((x + (118 * reach + grow_m) * cos(angle), y + (82 * reach + grow_m) * sin(angle)))
    return ring


def _outline(plan: _Plan) -> list[XY]:
    w, h = plan.width / 2, plan.height / 2
    wing = 0.28
    shapes: dict[str, list[XY]] = {
        "box": box(w, h),
        "round": ellipse(w, h),
        "l": [(-w, -h), (w, -h), (w, -h * wing), (-w * wing, -h * wing), (-w * wing, h), (-w, h)],
        "u": [
            (-w, -h), (w, -h), (w, h), (w * 0.5, h), (w * 0.5, -h * 0.1), (-w * 0.5, -h * 0.1), (-w * 0.5, h), (-w, h),
        ],
        "h": [
            (-w, -h), (-w * 0.45, -h), (-w * 0.45, -h * 0.28), (w * 0.45, -h * 0.28), (w * 0.45, -h), (w, -h),
            (w, h), (w * 0.45, h), (w * 0.45, h * 0.28), (-w * 0.45, h * 0.28), (-w * 0.45, h), (-w, h),
        ],
    }  # fmt: skip
    return [(plan.x + x, plan.y + y) for x, y in turned(shapes[plan.shape], radians(plan.turn_deg))]


def _areas() -> list[tuple[str, AreaKind, list[XY]]]:
    def at(x: float, y: float, ring: list[XY]) -> list[XY]:
        return [(x + dx, y + dy) for dx, dy in ring]

    def lawn(*corners: XY) -> list[XY]:
        return curve([*corners, corners[0]])

    wood = lawn((-424, 186), (-300, 200), (-238, 244), (-252, 320), (-330, 322), (-400, 262))
    return [
        ("云湖", AreaKind.WATER, _lake_ring()),
        ("云山", AreaKind.WOOD, wood),
        ("湖畔草坪", AreaKind.GREEN, lawn((-62, -108), (-14, -112), (-10, -74), (-60, -72), (-84, -84))),
        ("桃李园", AreaKind.GREEN, lawn((-58, 54), (-12, 52), (-14, 112), (-58, 120), (-78, 84))),
        ("西岸草坪", AreaKind.GREEN, lawn((-352, -60), (-366, -8), (-368, -92), (-310, -102))),
        ("桂园草坪", AreaKind.GREEN, lawn((-206, 172), (-212, 206), (-140, 224), (-136, 150), (-196, 150))),
        ("中心广场", AreaKind.PLAZA, at(0, -130, ellipse(34, 26))),
        ("图书馆广场", AreaKind.PLAZA, at(28, 2, box(14, 26))),
        ("正门广场", AreaKind.PLAZA, at(0, -372, box(34, 16))),
        ("正门花坛", AreaKind.GREEN, at(-26, -318, box(14, 16))),
        ("正门花坛", AreaKind.GREEN, at(26, -318, box(14, 16))),
        (
            "礼堂草坪",
            AreaKind.GREEN,
            lawn((-162, -328), (-36, -334), (-20, -262), (-36, -246), (-164, -244), (-158, -290)),
        ),
        ("商学院草坪", AreaKind.GREEN, at(34, -184, box(10, 34))),
        ("教学区草坪", AreaKind.GREEN, at(258, 0, box(46, 9))),
        ("教学区草坪", AreaKind.GREEN, at(392, 24, box(44, 8))),
        ("教学区草坪", AreaKind.GREEN, lawn((202, -104), (314, -98), (312, -108), (204, -115))),
        ("梅林", AreaKind.GREEN, at(98, 258, box(76, 4))),
        ("梅林", AreaKind.GREEN, at(98, 334, box(78, 4))),
        ("梅林", AreaKind.GREEN, at(266, 334, box(50, 3))),
        ("兰圃", AreaKind.GREEN, lawn((350, 322), (352, 330), (404, 320), (424, 292), (424, 250), (416, 244))),
        ("竹林", AreaKind.WOOD, lawn((-446, -128), (-438, -196), (-448, -196))),
        ("竹林", AreaKind.WOOD, lawn((-340, -132), (-340, -210), (-348, -206), (-346, -138))),
        ("竹林", AreaKind.WOOD, lawn((-424, -236), (-340, -232), (-338, -242), (-428, -244))),
        ("体育场看台", AreaKind.PLAZA, at(316, -225, box(60, 5))),
        ("田径场", AreaKind.PLAZA, at(316, -282, stadium(88, 47))),
        ("田径场", AreaKind.GREEN, at(316, -282, stadium(76, 36))),
        ("足球场", AreaKind.PITCH, at(316, -282, box(46, 29))),
        ("篮球场", AreaKind.PITCH, at(424, -256, box(8, 14))),
        ("篮球场", AreaKind.PITCH, at(208, -300, box(9, 15))),
        ("网球场", AreaKind.PITCH, at(208, -258, box(9, 13))),
        ("停车场", AreaKind.PARKING, at(-62, -368, box(22, 8))),
        ("停车场", AreaKind.PARKING, at(477, 20, box(8, 30))),
    ]


def demo_campus() -> CampusMap:
    """About 1.0 by 0.8 km, 36 buildings with gates and floors, curved paths, a lake that nobody delivers into."""
    plane = LocalPlane(_ORIGIN)

    def ring(xy: list[XY]) -> Ring:
        return tuple(plane.point(round(x, 2), round(y, 2)) for x, y in xy)

    outlines = {plan.id: _outline(plan) for plan in _BUILDINGS}
    ways = [(name, kind, curve(corners)) for name, kind, corners in _WAYS]
    shore = _lake_ring(22)
    ways.append(("环湖步道", PathKind.FOOTWAY, [*shore, shore[0]]))
    doors = door_ways(outlines, [line for _, _, line in ways])
    connectors = [("", PathKind.FOOTWAY, way) for found in doors.values() for _, way in found]
    lines = join_lines([line for _, _, line in ways], [line for _, _, line in connectors])
    names = [(name, kind) for name, kind, _ in (*ways, *connectors)]
    buildings = [
        Building(
            plan.id,
            plan.name,
            ring(outlines[plan.id]),
            plane.point(plan.x, plan.y),
            tuple(Gate(f"{plan.id}-{side}", ring([way[0]])[0], _SIDES[side]) for side, way in doors[plan.id]),
            plan.floors,
            plan.name_en,
            plan.kind,
            plan.aliases,
        )
        for plan in _BUILDINGS
    ]
    substation = [(-212 + x, -252 + y) for x, y in box(14, 9)]
    return CampusMap(
        name="云湖大学",
        name_en="Yunhu University",
        boundary=ring(curve(_OUTLINE)[:-1]),
        buildings=tuple(buildings),
        paths=tuple(Path(ring(line), kind, name) for (name, kind), line in zip(names, lines, strict=True)),
        zones=(
            Zone("lake", "云湖", ring(_lake_ring()), ZoneKind.NO_GO),
            Zone("substation", "变电站", ring(substation), ZoneKind.NO_GO),
        ),
        areas=tuple(Area(ring(shape), kind, name) for name, kind, shape in _areas()),
        spots=tuple(Place(place_id, name, ring([at])[0], "gate", name_en) for place_id, name, name_en, at in _GATES),
        quick_ids=_QUICK,
    )


_SIDES = {"s": "南门", "n": "北门", "e": "东门", "w": "西门"}
