"""Reads an instance's four files; what is wrong in them is told with file, line and field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from .instance import Courier, Instance, Order, Restaurant, Rules

T = TypeVar("T")

ORDERS = "orders.txt"
COURIERS = "couriers.txt"
RESTAURANTS = "restaurants.txt"
RULES = "instance_parameters.txt"
FILES = (ORDERS, COURIERS, RESTAURANTS, RULES)
RULE_FIELDS = (
    "meters_per_minute",
    "pickup service minutes",
    "dropoff service minutes",
    "target click-to-door",
    "maximum click-to-door",
    "pay per order",
    "guaranteed pay per hour",
)


class BadInstance(ValueError):
    """A file that is not what it should be; the text names file, line and field."""

    def __init__(self, path: Path, why: str, line: int | None = None, field: str | None = None) -> None:
        where = str(path) + (f", line {line}" if line else "") + (f", field '{field}'" if field else "")
        super().__init__(f"{where}: {why}")
        self.path, self.line, self.field = path, line, field


class Row:
    """One line of a file; every read checks and names what it reads."""

    def __init__(self, path: Path, line: int, cells: dict[str, str]) -> None:
        self.path, self.line, self._cells = path, line, cells

    def bad(self, field: str, why: str) -> BadInstance:
        return BadInstance(self.path, why, self.line, field)

    def text(self, field: str) -> str:
        value = self._cells[field].strip()
        if not value or any(c.isspace() for c in value):
            raise self.bad(field, f"{value!r} is not a name")
        return value

    def whole(self, field: str, least: int | None = None) -> int:
        value = self._cells[field].strip()
        try:
            number = int(value)
        except ValueError:
            raise self.bad(field, f"{value!r} is not a whole number") from None
        if least is not None and number < least:
            raise self.bad(field, f"{number} is below {least}")
        if abs(number) > 10_000_000:
            raise self.bad(field, f"{number} is out of range")
        return number

    def amount(self, field: str) -> float:
        value = self._cells[field].strip()
        try:
            number = float(value)
        except ValueError:
            raise self.bad(field, f"{value!r} is not a number") from None
        if not 0 <= number < 1e6:
            raise self.bad(field, f"{value} is out of range")
        return number


def read_instance(folder: Path) -> Instance:
    """Raises ``BadInstance``."""
    if not folder.is_dir():
        raise BadInstance(folder, "no such folder")
    rules = _rules(folder / RULES)
    restaurants = _unique(folder / RESTAURANTS, ("restaurant", "x", "y"), _restaurant)
    known = {r.id for r in restaurants}
    fields = ("order", "x", "y", "placement_time", "restaurant", "ready_time")
    orders = _unique(folder / ORDERS, fields, lambda row: _order(row, known))
    couriers = _unique(folder / COURIERS, ("courier", "x", "y", "on_time", "off_time"), _courier)
    return Instance(folder.resolve().name, orders, couriers, restaurants, rules)


def is_instance(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def _restaurant(row: Row) -> tuple[str, Restaurant]:
    name = row.text("restaurant")
    return name, Restaurant(name, row.whole("x"), row.whole("y"))


def _order(row: Row, restaurants: set[str]) -> tuple[str, Order]:
    name, at = row.text("order"), row.text("restaurant")
    if at not in restaurants:
        raise row.bad("restaurant", f"{at!r} is not in {RESTAURANTS}")
    placed = row.whole("placement_time", 0)
    ready = row.whole("ready_time", 0)
    if ready < placed:
        raise row.bad("ready_time", f"{ready} is before the order is placed ({placed})")
    return name, Order(name, row.whole("x"), row.whole("y"), placed, at, ready)


def _courier(row: Row) -> tuple[str, Courier]:
    name, on, off = row.text("courier"), row.whole("on_time", 0), row.whole("off_time", 0)
    if off < on:
        raise row.bad("off_time", f"{off} is before on_time ({on})")
    return name, Courier(name, row.whole("x"), row.whole("y"), on, off)


def _rules(path: Path) -> Rules:
    rows = list(_rows(path, RULE_FIELDS))
    if len(rows) != 1:
        raise BadInstance(path, f"{len(rows)} lines of parameters instead of one")
    row = rows[0]
    pickup, dropoff = row.whole(RULE_FIELDS[1], 0), row.whole(RULE_FIELDS[2], 0)
    for name, minutes in ((RULE_FIELDS[1], pickup), (RULE_FIELDS[2], dropoff)):
        # Half of it is before the food changes hands, half after: both are whole minutes.
        if minutes % 2:
            raise row.bad(name, f"{minutes} is odd, and half of it has to be whole minutes")
    target, maximum = row.whole(RULE_FIELDS[3], 1), row.whole(RULE_FIELDS[4], 1)
    pay, hourly = row.amount(RULE_FIELDS[5]), row.amount(RULE_FIELDS[6])
    return Rules(row.whole(RULE_FIELDS[0], 1), pickup, dropoff, target, maximum, pay, hourly)


def _unique(path: Path, fields: Sequence[str], parse: Callable[[Row], tuple[str, T]]) -> tuple[T, ...]:
    found: dict[str, T] = {}
    for row in _rows(path, fields):
        name, value = parse(row)
        if name in found:
            raise row.bad(fields[0], f"{name!r} is there twice")
        found[name] = value
    if not found:
        raise BadInstance(path, "holds nothing below its header")
    return tuple(found.values())


def _rows(path: Path, fields: Sequence[str]) -> Iterator[Row]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise BadInstance(path, "is missing") from None
    except (OSError, UnicodeDecodeError) as e:
        raise BadInstance(path, f"cannot be read: {e}") from None
    lines = text.splitlines()
    header = [c.strip() for c in lines[0].split("\t")] if lines else []
    if header != list(fields):
        raise BadInstance(path, f"the header is {header}, not {list(fields)} (tab-separated)", 1)
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) < len(fields):
            raise BadInstance(path, "is missing on this line", number, fields[len(cells)])
        if len(cells) > len(fields):
            raise BadInstance(path, f"{len(cells)} fields instead of {len(fields)}", number)
        yield Row(path, number, dict(zip(fields, cells, strict=True)))
