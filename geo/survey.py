"""What an importer hands over: features as mapped, in OpenStreetMap's vocabulary, and the report of an import."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path as FilePath
from typing import IO

from .campus_parts import AreaKind, PathKind, Ring
from .errors import ImportFailed

# A campus with its surroundings takes a few megabytes; a city is somebody's mistake, a bomb somebody's intent.
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_FEATURES = 2_000_000


class Geometry(StrEnum):
    POINT = "point"
    LINE = "line"
    AREA = "area"


@dataclass(frozen=True, slots=True)
class Feature:
    """One mapped thing. An area's ring is not closed. Parts of one relation share the ``id`` before the ``#``."""

    id: str
    geometry: Geometry
    points: Ring
    tags: Mapping[str, str]

    @property
    def thing(self) -> str:
        return self.id.partition("#")[0]


@dataclass(slots=True)
class ImportReport:
    """What an import read, made and left out."""

    name: str = ""
    read: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    boundary_from: str = ""
    path_km: float = 0.0
    graph_nodes: int = 0
    connected_share: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for people, a line a fact."""

        def counted(counter: Counter[str]) -> str:
            return ", ".join(f"{count} {what}" for what, count in sorted(counter.items())) or "nothing"

        return [
            f"campus: {self.name}",
            f"read: {counted(self.read)}",
            f"made: {counted(self.made)}",
            f"left out: {counted(self.left_out)}",
            f"boundary: {self.boundary_from}",
            f"paths: {self.path_km:.1f} km, {self.graph_nodes} nodes, {self.connected_share:.1%} of them connected",
            *(f"warning: {warning}" for warning in self.warnings),
        ]


class _Bounded(io.RawIOBase):
    """Reads on, but never past the bound: a small archive may unpack into anything."""

    def __init__(self, inner: IO[bytes], most: int) -> None:
        self._inner = inner
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            block = self._inner.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise ImportFailed(f"the file cannot be unpacked: {error}") from None
        self._left -= len(block)
        if self._left < 0:
            raise ImportFailed(f"the file unpacks into more than {MAX_FILE_BYTES // 1024 // 1024} MB")
        buffer[: len(block)] = block
        return len(block)


def open_source(source: FilePath | str | bytes, max_bytes: int = MAX_FILE_BYTES) -> IO[bytes]:
    """A file or its bytes, unpacked if it is gzip, bounded. ``ImportFailed`` if there is nothing to read."""
    if isinstance(source, bytes):
        raw: IO[bytes] = io.BytesIO(source)
    else:
        path = FilePath(source)
        if not path.is_file():
            raise ImportFailed(f"there is no file {path}", "file")
        raw = path.open("rb")
    head = raw.read(2)
    raw.seek(0)
    if not head:
        raise ImportFailed("the file is empty", "file")
    inner = gzip.GzipFile(fileobj=raw) if head == b"\x1f\x8b" else raw
    return io.BufferedReader(_Bounded(inner, max_bytes))  # type: ignore[arg-type, type-var, unused-ignore]


_ROADS = {
    "residential", "service", "living_street", "unclassified", "tertiary", "secondary", "primary",
    "tertiary_link", "secondary_link", "primary_link", "track",
}  # fmt: skip
_FOOT = {"footway", "path", "pedestrian", "corridor", "bridleway", "platform"}
_SHUT = {"no", "private"}


def path_kind(tags: Mapping[str, str]) -> PathKind | None:
    """How one walks here; None where one does not."""
    highway = tags.get("highway", "")
    foot = tags.get("foot", "")
    if foot in _SHUT or (tags.get("access") in _SHUT and foot not in {"yes", "designated", "permissive"}):
        return None
    if highway == "steps":
        return PathKind.STEPS
    if highway in _FOOT:
        return PathKind.CROSSING if tags.get("footway") == "crossing" else PathKind.FOOTWAY
    if highway == "cycleway":
        return PathKind.CYCLEWAY
    if highway in _ROADS:
        return PathKind.ROAD
    return None


def area_kind(tags: Mapping[str, str]) -> AreaKind | None:
    """How an area is drawn; None if it is not."""
    natural, landuse, leisure = tags.get("natural", ""), tags.get("landuse", ""), tags.get("leisure", "")
    if natural == "water" or "water" in tags or landuse in {"reservoir", "basin"}:
        return AreaKind.WATER
    if natural in {"wood", "scrub"} or landuse == "forest":
        return AreaKind.WOOD
    if leisure in {"pitch", "track"}:
        return AreaKind.PITCH
    if landuse in {"grass", "meadow", "recreation_ground", "flowerbed"} or leisure in {"park", "garden"}:
        return AreaKind.GREEN
    if tags.get("amenity") == "parking":
        return AreaKind.PARKING
    if tags.get("highway") in {"pedestrian", "footway"} or tags.get("area:highway") in {"footway", "pedestrian"}:
        return AreaKind.PLAZA
    return None


_BY_AMENITY = {
    "restaurant": "canteen", "fast_food": "canteen", "food_court": "canteen", "canteen": "canteen",
    "cafe": "cafe", "bar": "cafe", "pub": "cafe", "library": "library", "post_office": "parcel",
    "parcel_locker": "parcel", "post_depot": "parcel", "hospital": "clinic", "clinic": "clinic", "doctors": "clinic",
    "pharmacy": "shop", "bank": "shop", "marketplace": "shop", "theatre": "hall", "arts_centre": "hall",
    "events_venue": "hall", "cinema": "hall", "social_centre": "hall",
}  # fmt: skip
_BY_BUILDING = {
    "dormitory": "dormitory", "university": "teaching", "college": "teaching", "school": "teaching", "retail": "shop",
    "supermarket": "shop", "office": "office", "commercial": "office", "hospital": "clinic", "sports_hall": "sports",
    "sports_centre": "sports", "stadium": "sports", "apartments": "residence", "house": "residence",
    "residential": "residence", "detached": "residence", "terrace": "residence", "hotel": "office",
}  # fmt: skip
# Mappers often leave the use to the name.
_BY_NAME = (
    (re.compile(r"快递|驿站|parcel", re.I), "parcel"),
    (re.compile(r"食堂|餐厅|饭堂|dining|canteen", re.I), "canteen"),
    (re.compile(r"图书馆|library", re.I), "library"),
    (re.compile(r"宿舍|公寓|学舍|\d舍|residence hall|dormitory|residential college", re.I), "dormitory"),
    (re.compile(r"超市|便利店|商店", re.I), "shop"),
    (re.compile(r"体育|游泳|操场|gym|aquatic|stadium|arena", re.I), "sports"),
    (re.compile(r"医院|医务|clinic|health", re.I), "clinic"),
)


def use_of(tags: Mapping[str, str]) -> str:
    """What a building or spot is for, one word: the kinds that ``campus`` knows, else ``building``."""
    name = f"{tags.get('name', '')} {tags.get('name:en', '')}"
    for pattern, use in _BY_NAME:
        if pattern.search(name):
            return use
    if tags.get("amenity") in _BY_AMENITY:
        return _BY_AMENITY[tags["amenity"]]
    if "shop" in tags:
        return "shop"
    if tags.get("leisure") in {"sports_centre", "fitness_centre", "stadium"}:
        return "sports"
    return _BY_BUILDING.get(tags.get("building", ""), "building")


def is_named(tags: Mapping[str, str]) -> bool:
    return any(tags.get(key) for key in ("name", "name:zh", "name:en"))


def names_of(tags: Mapping[str, str]) -> tuple[str, str, tuple[str, ...]]:
    """Name, English name and other names. Where nothing has a name, its address is one."""
    address = " ".join(filter(None, (tags.get("addr:housenumber"), tags.get("addr:street"))))
    has_address = "addr:housenumber" in tags
    name = tags.get("name") or tags.get("name:zh") or tags.get("name:en") or (address if has_address else "")
    english = tags.get("name:en", "")
    others: list[str] = []
    for key in ("name:zh", "alt_name", "short_name", "official_name", "old_name", "loc_name", "ref"):
        others += [part.strip() for part in tags.get(key, "").split(";")]
    if has_address:
        others.append(address)
    kept = tuple(dict.fromkeys(other for other in others if other and other not in (name, english)))
    return name[:120], (english if english != name else "")[:120], kept[:8]


def floors_of(tags: Mapping[str, str]) -> int | None:
    """``building:levels`` as a whole number of storeys, None when it is missing or nonsense."""
    try:
        levels = round(float(tags.get("building:levels", "")))
    except (ValueError, OverflowError):
        return None
    return levels if 1 <= levels <= 200 else None
