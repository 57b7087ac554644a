"""Recorded GPS tracks as runners' days: read from CSV, cut to the campus, moved to the server's time."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

#: South, west, north, east of the campus that the sample is cut to, degrees.
BOX = (39.990, 116.305, 40.016, 116.340)
BIGGEST_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    at_ms: int
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class PersonDay:
    """What one person's device recorded on one day, in the order of its times."""

    name: str
    readings: tuple[Reading, ...]

    @property
    def length_s(self) -> float:
        return (self.readings[-1].at_ms - self.readings[0].at_ms) / 1000


def read_tracks(path: Path, box: Sequence[float] = BOX) -> list[PersonDay]:
    """Person-days within the box from ``lat,lng,datetime,uid`` (UTC), gzip or plain; the times sorted, nothing else
    changed. Raises ValueError that names what is wrong with the file."""
    days: dict[tuple[str, date], list[Reading]] = {}
    for uid, at, lat, lon in _rows(path):
        if box[0] <= lat <= box[2] and box[1] <= lon <= box[3]:
            days.setdefault((uid, at.date()), []).append(Reading(int(at.timestamp() * 1000), lat, lon))
    if not days:
        raise ValueError(f"{path}: no reading lies in {box}")
    return [
        PersonDay(f"{uid} {day}", tuple(sorted(days[uid, day], key=lambda reading: reading.at_ms)))
        for uid, day in sorted(days)
    ]


def _rows(path: Path) -> Iterator[tuple[str, datetime, float, float]]:
    with path.open("rb") as raw:
        text = (gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw).read(BIGGEST_BYTES + 1)
    if len(text) > BIGGEST_BYTES:
        raise ValueError(f"{path}: larger than {BIGGEST_BYTES >> 20} MB")
    for number, row in enumerate(csv.DictReader(io.StringIO(text.decode("utf-8"))), start=2):
        try:
            at = datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC)
            yield row["uid"], at, float(row["lat"]), float(row["lng"])
        except (KeyError, TypeError, ValueError) as fault:
            raise ValueError(f"{path}: line {number} is no reading ({fault})") from None


def without_long_gaps(day: PersonDay, most_s: float) -> PersonDay:
    """The same day with every longer pause cut to ``most_s``: nothing is sent in a pause, so nothing is lost by it."""
    readings: list[Reading] = []
    cut_ms, last_ms = 0, day.readings[0].at_ms
    for reading in day.readings:
        cut_ms += max(0, reading.at_ms - last_ms - int(most_s * 1000))
        last_ms = reading.at_ms
        readings.append(Reading(reading.at_ms - cut_ms, reading.lat, reading.lon))
    return PersonDay(day.name, tuple(readings))


def box_campus(box: Sequence[float] = BOX) -> str:
    """GeoJSON of a campus that is little more than its boundary: there is no map of the place where the tracks are
    from. One path across and one house, because an import without any is refused."""
    south, west, north, east = box
    lat, lon, half = (south + north) / 2, (west + east) / 2, 0.0002
    features = [
        _feature({"amenity": "university", "name": "Track box"}, "Polygon", [_ring(south, west, north, east)]),
        _feature(
            {"building": "yes", "name": "House"}, "Polygon", [_ring(lat - half, lon - half, lat + half, lon + half)]
        ),
        _feature({"highway": "footway"}, "LineString", [[west, lat - 2 * half], [east, lat - 2 * half]]),
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def _ring(south: float, west: float, north: float, east: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def _feature(tags: dict[str, str], kind: str, coordinates: object) -> dict[str, object]:
    return {"type": "Feature", "properties": tags, "geometry": {"type": kind, "coordinates": coordinates}}
