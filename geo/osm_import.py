"""A campus from an OpenStreetMap XML extract (.osm or .osm.gz): read as a stream, bounded, entities refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import IO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from .assemble import assemble
from .campus import CampusMap
from .errors import ImportFailed
from .point import Point, is_valid
from .survey import MAX_FEATURES, Feature, Geometry, ImportReport, open_source

ATTRIBUTION = "© OpenStreetMap contributors, ODbL 1.0"

# A closed way is an area unless it is one of these, which may run in a circle.
_LINEAR = ("highway", "barrier", "railway", "waterway", "power")


def import_osm(source: FilePath | str | bytes, name: str = "") -> tuple[CampusMap, ImportReport]:
    """Read an extract into a map; ``ImportFailed`` says what is missing or broken. ``name`` wins over the file's."""
    with open_source(source) as stream:
        reader = _Reader()
        try:
            reader.read(stream)
        except ParseError as error:
            raise ImportFailed(f"the file is not well-formed XML: {error}", "file") from None
        except DefusedXmlException:
            raise ImportFailed("the file declares XML entities, which no OpenStreetMap extract does", "file") from None
    report = ImportReport()
    report.read.update(nodes=len(reader.nodes), ways=len(reader.ways), relations=len(reader.relations))
    if not reader.nodes:
        raise ImportFailed("the file holds no nodes", "node")
    features = list(reader.features(report))
    return assemble(features, name, report, bounds=reader.bounds, attribution=ATTRIBUTION), report


class _Reader:
    """What the file holds, by id."""

    def __init__(self) -> None:
        self.nodes: dict[str, Point] = {}
        self.node_tags: dict[str, dict[str, str]] = {}
        self.ways: dict[str, tuple[list[str], dict[str, str]]] = {}
        self.relations: dict[str, tuple[list[tuple[str, str, str]], dict[str, str]]] = {}
        self.bounds: tuple[Point, Point] | None = None

    def read(self, stream: IO[bytes]) -> None:
        root: Element | None = None
        for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
            if root is None:
                root = element
                if element.tag != "osm":
                    raise ImportFailed(f"the file's root is <{element.tag}>, not <osm>", "file")
            if event == "end" and element.tag in ("node", "way", "relation", "bounds"):
                self._take(element)
                root.clear()
            if len(self.nodes) + len(self.ways) > MAX_FEATURES:
                raise ImportFailed(f"the extract holds more than {MAX_FEATURES} things: cut out the campus alone")

    def _take(self, element: Element) -> None:
        tags = {tag.get("k", ""): tag.get("v", "") for tag in element.iter("tag")}
        ref = element.get("id", "")
        if element.tag == "node":
            point = _point(element.get("lat"), element.get("lon"), f"node {ref}")
            self.nodes[ref] = point
            if tags:
                self.node_tags[ref] = tags
        elif element.tag == "way":
            self.ways[ref] = ([nd.get("ref", "") for nd in element.iter("nd")], tags)
        elif element.tag == "relation":
            members = [(m.get("type", ""), m.get("ref", ""), m.get("role", "")) for m in element.iter("member")]
            self.relations[ref] = (members, tags)
        else:
            low = _point(element.get("minlat"), element.get("minlon"), "bounds")
            self.bounds = low, _point(element.get("maxlat"), element.get("maxlon"), "bounds")

    def features(self, report: ImportReport) -> Iterator[Feature]:
        for ref, tags in self.node_tags.items():
            yield Feature(f"n{ref}", Geometry.POINT, (self.nodes[ref],), tags)
        for ref, (nodes, tags) in self.ways.items():
            if not tags:
                continue
            known = [node for node in nodes if node in self.nodes]
            if len(known) < len(nodes):
                report.left_out["nodes outside the extract"] += len(nodes) - len(known)
            if len(known) >= 2:
                yield self._way(f"w{ref}", known, tags)
        for ref, (members, tags) in self.relations.items():
            if tags.get("type") in ("multipolygon", "boundary", "site"):
                yield from self._relation(ref, members, tags, report)

    def _way(self, ref: str, nodes: list[str], tags: dict[str, str]) -> Feature:
        points = tuple(self.nodes[node] for node in nodes)
        closed = nodes[0] == nodes[-1] and len(nodes) >= 4
        linear = any(key in tags for key in _LINEAR) and tags.get("area") != "yes"
        if closed and (not linear or "building" in tags):
            return Feature(ref, Geometry.AREA, points[:-1], tags)
        return Feature(ref, Geometry.LINE, points, tags)

    def _relation(
        self, ref: str, members: list[tuple[str, str, str]], tags: dict[str, str], report: ImportReport
    ) -> Iterator[Feature]:
        """Outer rings, joined from their ways; a ring with a gap stays a line (its tags say ``incomplete``)."""
        outer = [self.ways[m][0] for kind, m, role in members if kind == "way" and role != "inner" and m in self.ways]
        missing = sum(1 for kind, m, role in members if kind == "way" and role != "inner" and m not in self.ways)
        if missing:
            report.left_out["relation members outside the extract"] += missing
            tags = {**tags, "incomplete": "yes"}
        for part, chain in enumerate(_joined(outer)):
            points = tuple(self.nodes[node] for node in chain if node in self.nodes)
            if len(points) < 2:
                continue
            if chain[0] == chain[-1] and len(points) == len(chain) >= 4:
                yield Feature(f"r{ref}#{part}", Geometry.AREA, points[:-1], tags)
            else:
                yield Feature(f"r{ref}#{part}", Geometry.LINE, points, {**tags, "incomplete": "yes"})


def _joined(chains: list[list[str]]) -> list[list[str]]:
    """Ways put end to end wherever they share an end."""
    done: list[list[str]] = []
    open_ends = [list(chain) for chain in chains if len(chain) >= 2]
    while open_ends:
        chain = open_ends.pop()
        grew = True
        while grew and chain[0] != chain[-1]:
            grew = False
            for index, other in enumerate(open_ends):
                if chain[-1] in (other[0], other[-1]):
                    chain += other[1:] if other[0] == chain[-1] else other[-2::-1]
                elif chain[0] in (other[0], other[-1]):
                    chain = (other[:-1] if other[-1] == chain[0] else other[:0:-1]) + chain
                else:
                    continue
                del open_ends[index]
                grew = True
                break
        done.append([node for index, node in enumerate(chain) if index == 0 or node != chain[index - 1]])
    return done


def _point(lat: str | None, lon: str | None, what: str) -> Point:
    try:
        point = Point(float(lat or ""), float(lon or ""))
    except ValueError:
        raise ImportFailed(f"{what} has no readable lat and lon", "lat") from None
    if not is_valid(*point):
        raise ImportFailed(f"{what} lies outside the map", "lat")
    return point
