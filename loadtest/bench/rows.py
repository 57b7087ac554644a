"""The rows of the table: what each measures, against which bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from .geoadd import measure_geoadd
from .hub import HubUnderTest
from .lanes import LaneResult, Load, run_lane
from .machine import Cores
from .memory import measure_memory
from .servers import BareEpoll, Nchan, PlainTornado, Server
from .table import Row
from .verdicts import (
    BASELINE_DELIVERIES,
    BASELINE_FIXES,
    DELIVERIES,
    FIXES,
    SENDS,
    Condition,
    Figure,
    Reading,
    Summary,
    ratio,
    summary,
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    cores: Cores
    load: Load = Load()
    fences: int = 50
    servers: frozenset[str] = frozenset({"hub", "c", "tornado", "nchan"})
    settings: dict[str, str] = field(default_factory=dict)
    acks: bool = False
    least_rounds: int = 5
    connections: int = 9_000
    say: Callable[[str], None] = print


Measure = Callable[[Options], Awaitable[Row]]


def _hub(options: Options, orders: int = 0) -> HubUnderTest:
    return HubUnderTest(
        runners=options.load.runners, orders=orders, fences=options.fences, settings=options.settings,
        acks=options.acks,
    )  # fmt: skip


def _baselines(options: Options, *names: str) -> list[Server]:
    made: dict[str, Callable[[], Server]] = {"c": BareEpoll, "tornado": PlainTornado, "nchan": Nchan}
    return [made[name]() for name in names if name in options.servers]


def summaries(
    result: LaneResult, ours: tuple[Condition, ...], baseline: tuple[Condition, ...], least_rounds: int
) -> dict[str, Summary]:
    """Per server; the loop in C has no deliveries and no refusals to speak of."""
    found = {}
    for name, readings in result.readings.items():
        conditions = ours if name == HubUnderTest.name else SENDS if name == BareEpoll.name else baseline
        found[name] = summary(readings, conditions, least_rounds)
    return found


def _all(result: LaneResult) -> tuple[Reading, ...]:
    return tuple(reading for readings in result.readings.values() for reading in readings)


def _own_notes(hub: HubUnderTest | None) -> tuple[str, ...]:
    if hub is None:
        return ()
    fences = "the server has no geofences" if hub.fences is None else f"{hub.fences} geofences on the campus"
    return (fences,)


def _cost(row: str, summed: dict[str, Summary], name: str) -> Figure:
    ours = summed.get(HubUnderTest.name)
    return Figure(row, name, ours.cpu_us["server"] if ours else None, "µs", faults=ours.faults if ours else ())


async def idle(options: Options) -> Row:
    """CPU per fix, whole path, nobody watching."""
    load = replace(options.load, watchers=0)
    hub = _hub(options) if "hub" in options.servers else None
    servers: list[Server] = [*([hub] if hub else []), *_baselines(options, "c", "tornado", "nchan")]
    result = await run_lane(options.cores, load, servers, options.say)
    summed = summaries(result, FIXES, BASELINE_FIXES, options.least_rounds)
    ours = summed.get(HubUnderTest.name)
    figures = (
        _cost("idle", summed, "CPU per fix, nobody watching"),
        ratio("idle", "of plain Tornado", ours, summed.get(PlainTornado.name), 0.40, 0.30, PlainTornado.name),
        ratio("idle", "of nchan's publish", ours, summed.get(Nchan.name), 1.5, 1.0, Nchan.name),
    )
    return Row(
        "idle", "CPU per fix, whole path, nobody watching", figures, tuple(summed.values()), result.missing,
        _all(result), _own_notes(hub),
    )  # fmt: skip


async def deliver(options: Options) -> Row:
    """CPU per fix delivered to 3 watchers each, whole path."""
    load = replace(options.load, watchers=3)
    hub = _hub(options, orders=load.runners) if "hub" in options.servers else None
    servers: list[Server] = [*([hub] if hub else []), *_baselines(options, "tornado", "nchan")]
    result = await run_lane(options.cores, load, servers, options.say)
    summed = summaries(result, DELIVERIES, BASELINE_DELIVERIES, options.least_rounds)
    ours = summed.get(HubUnderTest.name)
    figures = (
        _cost("deliver", summed, "CPU per fix delivered to 3 watchers"),
        ratio("deliver", "of nchan with 3 subscribers", ours, summed.get(Nchan.name), 1.1, 0.85, Nchan.name),
    )
    return Row(
        "deliver", "CPU per fix delivered to 3 watchers each, whole path", figures, tuple(summed.values()),
        result.missing, _all(result), _own_notes(hub),
    )  # fmt: skip


async def memory(options: Options) -> Row:
    """Memory per signed-in connection that follows one topic: growth over 9,000."""
    return await measure_memory(
        options.cores, options.connections, options.fences, options.servers, options.settings, options.say
    )


async def geoadd(options: Options) -> Row:
    """GEOADD members a second per core of Redis at batch 1, 10, 100, 1000."""
    load = options.load
    return await measure_geoadd(options.cores, load.rounds, min(2.0, load.seconds / 2), options.say)


ROWS: dict[str, Measure] = {"idle": idle, "deliver": deliver, "memory": memory, "geoadd": geoadd}
