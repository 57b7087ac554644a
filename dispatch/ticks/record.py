"""A planning tick as a record that can be planned again: its packed form, and the digest of a plan.

Rows of one kind are packed by column, so that alike values lie together; what is equal in every row to the default is
left out, and so a record of an earlier version is read with the defaults of this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from hashlib import blake2b
from itertools import islice
from typing import Any, TypeVar

import msgspec

from ..assign.params import Params
from ..assign.state import Plan, RouteStop, RunnerIn, TaskIn

T = TypeVar("T")
FORMAT = 1

#: A task and the runner that it was meant for.
Pair = tuple[str, str]


class BadRecord(ValueError):
    """These bytes are no record of a tick."""


@dataclass(frozen=True, slots=True)
class ShadowNote:
    """What the optimizer that does not act would have done. ``skipped``: why it was not asked, or did not answer."""

    variant: str = ""
    skipped: str = ""
    digest: str = ""
    chosen: tuple[Pair, ...] = ()
    planned: tuple[Pair, ...] = ()
    different: int = 0
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class TickRecord:
    """One tick. ``asked`` is the method that was to plan, ``acted`` the one that did, ``fallback`` why another did.

    ``map_id`` names the map that the ways were measured on; ``digest`` is that of the plan that acted, ``chosen`` and
    ``planned`` are what it said; ``stages_ms`` are real milliseconds.
    """

    id: str
    campus_id: str
    now_ms: int
    map_id: str
    tasks: tuple[TaskIn, ...]
    runners: tuple[RunnerIn, ...]
    params: Params
    asked: str = "optimizer"
    acted: str = "optimizer"
    fallback: str = ""
    digest: str = ""
    chosen: tuple[Pair, ...] = ()
    planned: tuple[Pair, ...] = ()
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    shadow: ShadowNote | None = None


def _plain(thing: Any) -> Any:
    """Numbers of numpy as Python's own."""
    if hasattr(thing, "item"):
        return thing.item()
    raise TypeError(f"a record holds no {type(thing).__name__}")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain, order="deterministic")


def plan_digest(plan: Plan) -> str:
    """The same for plans that are the same in every byte: every number, text and order of rows counts."""
    return blake2b(_ENCODER.encode(plan), digest_size=16).hexdigest()


def pairs(assignments: Sequence[Any]) -> tuple[Pair, ...]:
    """Which task goes to which runner, in the plan's own order."""
    return tuple((one.task_id, one.runner_id) for one in assignments)


def differing(one: Sequence[Pair], other: Sequence[Pair]) -> list[str]:
    """Tasks that the two give to different runners, or that only one of them gives to anybody, by id."""
    a, b = dict(one), dict(other)
    return [task_id for task_id in sorted(a.keys() | b.keys()) if a.get(task_id) != b.get(task_id)]


# --- columns ----------------------------------------------------------------------------------------------------------


def _default(of: Any) -> Any:
    return of.default_factory() if of.default_factory is not MISSING else of.default


def _columns(rows: Sequence[Any], kind: type[Any], without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The rows' fields as lists by name, ids last: there a packer that looks back finds them again."""
    found: dict[str, Any] = {"": len(rows)}
    names = [each for each in fields(kind) if each.name not in without]
    for each in sorted(names, key=lambda one: one.name in ("id", "order_id", "task_id")):
        values = [getattr(row, each.name) for row in rows]
        default = _default(each)
        if any(value != default or type(value) is not type(default) for value in values):
            found[each.name] = values
    return found


def _rows(packed: Sequence[tuple[str, Any]], kind: type[T]) -> list[T]:
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    columns = dict(packed)
    count = columns.pop("")
    columns = {name: values for name, values in columns.items() if name in known}
    if any(len(values) != count for values in columns.values()):
        raise BadRecord("its columns differ in length")
    if not columns:
        return [msgspec.convert({}, kind) for _ in range(count)]
    rows = zip(*columns.values(), strict=True)
    return [msgspec.convert(dict(zip(columns, row, strict=True)), kind) for row in rows]


# --- packing ----------------------------------------------------------------------------------------------------------

_APART = frozenset({"tasks", "runners", "params"})
#: What may go wrong while bytes that nobody wrote are read.
_FAULTS = (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError, StopIteration)


def pack(record: TickRecord) -> bytes:
    """The record's bytes; the same for equal records."""
    stops = [stop for runner in record.runners for stop in runner.route]
    # A list, for a mapping would be sorted by name: ids come last.
    return _ENCODER.encode(
        [
            FORMAT,
            {each.name: getattr(record.params, each.name) for each in fields(Params)},
            {each.name: getattr(record, each.name) for each in fields(TickRecord) if each.name not in _APART},
            [len(runner.route) for runner in record.runners],
            list(_columns(stops, RouteStop).items()),
            list(_columns(record.runners, RunnerIn, frozenset({"route"})).items()),
            list(_columns(record.tasks, TaskIn).items()),
        ]
    )


def unpack(body: bytes) -> TickRecord:
    """The record; raises :class:`BadRecord` for anything that ``pack`` did not write."""
    try:
        form, settings, head, counts, packed_stops, packed_runners, packed_tasks = msgspec.msgpack.decode(body)
        if form != FORMAT:
            raise BadRecord(f"it has format {form!r}, this program reads {FORMAT}")
        stops = iter(_rows(packed_stops, RouteStop))
        routes = [tuple(islice(stops, count)) for count in counts]
        free = _rows(packed_runners, RunnerIn)
        runners = [replace(runner, route=route) for runner, route in zip(free, routes, strict=True)]
        known = {each.name for each in fields(Params)}
        params = msgspec.convert({name: value for name, value in settings.items() if name in known}, Params)
        tasks = _rows(packed_tasks, TaskIn)
        return msgspec.convert(head | {"tasks": tasks, "runners": runners, "params": params}, TickRecord)
    except _FAULTS as fault:
        raise BadRecord(f"this is no record of a tick: {fault}") from fault
