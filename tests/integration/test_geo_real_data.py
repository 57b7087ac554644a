"""Real input: a whole campus from OpenStreetMap, and real tracks through the filters."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path as FilePath

import numpy as np
import pytest

from geo.campus import CampusMap
from geo.filters import FilterState, Reason, Verdict, check
from geo.fix import Fix
from geo.osm_import import import_osm
from geo.point import distance_m
from geo.survey import ImportReport
from geo.walkway import Walkways


@pytest.fixture(scope="module")
def imported(campus_data: FilePath) -> tuple[CampusMap, ImportReport]:
    return import_osm(campus_data / "osm_campus" / "nu_campus.osm.gz")


def test_a_real_campus_becomes_a_map(imported: tuple[CampusMap, ImportReport]) -> None:
    campus, report = imported
    print("\n".join(report.lines()))
    assert campus.name == "Northwestern University"
    assert report.read["nodes"] == 15_070
    assert report.made["buildings"] > 350 and report.made["mapped gates"] >= 30
    assert report.made["buildings with floors"] >= 20 and report.made["flights of steps"] >= 25
    assert report.connected_share > 0.95
    assert campus.search("university library")[0].kind == "library"
    assert "OpenStreetMap" in campus.attribution
    assert len(campus.quick()) == 12


def test_it_is_small_as_bytes_and_as_a_drawing(imported: tuple[CampusMap, ImportReport]) -> None:
    campus, _ = imported
    body = campus.to_bytes()
    assert len(body) < 150_000
    assert CampusMap.from_bytes(body).to_bytes() == body
    assert len(json.dumps(campus.to_geojson(), separators=(",", ":"), ensure_ascii=False).encode()) < 400_000


def test_its_places_are_reached_on_foot(imported: tuple[CampusMap, ImportReport]) -> None:
    campus, _ = imported
    ways = Walkways.of(campus, capacity=64)
    places = [place.point for place in campus.places.values()]
    ratios = []
    for target in places[::25]:
        walked = ways.walk_m_many(places, target)
        straight = np.array([distance_m(point, target) for point in places])
        assert np.isfinite(walked).all() and (walked >= straight - 0.5).all()
        ratios.append(walked[straight > 200] / straight[straight > 200])
    detour = float(np.median(np.concatenate(ratios)))
    print(f"median detour {detour:.2f}")
    assert 1.1 < detour < 1.6


def person_days(file: FilePath) -> Iterator[list[Fix]]:
    days: dict[tuple[str, str], list[Fix]] = defaultdict(list)
    with gzip.open(file, "rt") as rows:
        for row in csv.DictReader(rows):
            taken = datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC)
            fix = Fix(float(row["lat"]), float(row["lng"]), int(taken.timestamp() * 1000))
            days[row["uid"], row["datetime"][:10]].append(fix)
    for fixes in days.values():
        yield sorted(fixes, key=lambda fix: fix.fixed_at_ms)


def test_real_tracks_are_believed(campus_data: FilePath) -> None:
    told: Counter[Verdict | Reason] = Counter()
    on_campus: Counter[Verdict | Reason] = Counter()
    days = 0
    for fixes in person_days(campus_data / "geolife" / "geolife_sample.txt.gz"):
        state = FilterState()
        days += 1
        for fix in fixes:
            verdict = check(state, fix, fix.fixed_at_ms + 500)
            told[verdict] += 1
            if 39.990 <= fix.lat <= 40.016 and 116.305 <= fix.lon <= 116.340:
                on_campus[verdict] += 1
    print(f"{days} person-days: {dict(told)}; on the campuses: {dict(on_campus)}")
    assert sum(told.values()) == 217_653
    assert told[Verdict.LIVE] / sum(told.values()) >= 0.97
    assert on_campus[Verdict.LIVE] / sum(on_campus.values()) >= 0.97
    assert told[Verdict.LATE] == 0, "sorted by time, nothing is late"
