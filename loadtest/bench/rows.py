"""The rows of the table: what each measures, against which bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from .consoles import measure_consoles
from .events import measure_events
from .geoadd import measure_geoadd
from .hub import HubUnderTest
from .lanes import LaneResult, Load, run_lane
from .machine import Cores
from .memory import measure_memory
from .servers import BareEpoll, Nchan, PlainTornado, Server
from .storm import measure_storm
from .table import Row
from .verdicts import (
    BASELINE_DELIVERIES,
    BASELINE_FIXES,
    DELIVERIES,
    FIXES,
    MEMBERS,
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
    """Per server; the loop in C has no deliveries and no refusals to speak of, and nchan writes nowhere."""
    of_server = {HubUnderTest.NAME: ours, BareEpoll.name: SENDS, PlainTornado.name: (*baseline, MEMBERS)}
    return {
        name: summary(readings, of_server.get(name, baseline), least_rounds)
        for name, readings in result.readings.items()
    }


def _all(result: LaneResult) -> tuple[Reading, ...]:
    return tuple(reading for readings in result.readings.values() for reading in readings)


def _cost(row: str, summed: dict[str, Summary], name: str) -> Figure:
    ours = summed.get(HubUnderTest.NAME)
    return Figure(row, name, ours.cpu_us["server"] if ours else None, "µs", faults=ours.faults if ours else ())


def failed_row(name: str, why: str) -> Row:
    """A row that could not be measured is told as such, and never passed."""
    return Row(name, about(name), (Figure(name, "the whole row", None, "", 0.0),), missing={"the row": why})


def about(name: str) -> str:
    """What a row is, in one line."""
    return (ROWS[name].__doc__ or name).splitlines()[0].rstrip(".")


async def idle(options: Options) -> Row:
    """CPU per fix, whole path, nobody watching."""
    load = replace(options.load, watchers=0)
    hub = _hub(options) if "hub" in options.servers else None
    servers: list[Server] = [*([hub] if hub else []), *_baselines(options, "c", "tornado", "nchan")]
    result = await run_lane(options.cores, load, servers, options.say)
    summed = summaries(result, FIXES, BASELINE_FIXES, options.least_rounds)
    ours = summed.get(HubUnderTest.NAME)
    figures = (
        _cost("idle", summed, "CPU per fix, nobody watching"),
        ratio("idle", "of plain Tornado", ours, summed.get(PlainTornado.name), 0.40, 0.30, PlainTornado.name),
        ratio("idle", "of nchan's publish", ours, summed.get(Nchan.name), 1.5, 1.0, Nchan.name),
    )
    return Row(
        "idle", "CPU per fix, whole path, nobody watching", figures, tuple(summed.values()), result.missing,
        _all(result), hub.remarks if hub else (),
    )  # fmt: skip


async def deliver(options: Options) -> Row:
    """CPU per fix delivered to 3 watchers each, whole path."""
    load = replace(options.load, watchers=3)
    hub = _hub(options, orders=load.runners) if "hub" in options.servers else None
    servers: list[Server] = [*([hub] if hub else []), *_baselines(options, "tornado", "nchan")]
    result = await run_lane(options.cores, load, servers, options.say)
    summed = summaries(result, DELIVERIES, BASELINE_DELIVERIES, options.least_rounds)
    ours = summed.get(HubUnderTest.NAME)
    figures = (
        _cost("deliver", summed, "CPU per fix delivered to 3 watchers"),
        ratio("deliver", "of nchan with 3 subscribers", ours, summed.get(Nchan.name), 1.1, 0.85, Nchan.name),
    )
    return Row(
        "deliver", "CPU per fix delivered to 3 watchers each, whole path", figures, tuple(summed.values()),
        result.missing, _all(result), hub.remarks if hub else (),
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


async def profile_t(options: Options) -> Row:
    """Profile T: 200 runners every 5 s, 500 consoles that each see all: share of one core."""
    return await measure_consoles(
        options.cores, options.load, options.fences, options.settings, options.least_rounds, options.say
    )


async def events(options: Options) -> Row:
    """CPU per event delivered to 3 watchers, with history and resume, against the state lane."""
    return await measure_events(
        options.cores, options.load, options.fences, options.settings, options.least_rounds, options.say
    )


async def storm(options: Options) -> Row:
    """9,000 watchers reconnect and resume within 10 s on one worker."""
    return await measure_storm(
        options.cores, options.connections, options.load.rounds, options.fences, options.settings, options.say
    )


async def workers(options: Options) -> Row:
    """CPU per fix with two workers against one."""
    figures: list[Figure] = []
    summed: list[Summary] = []
    readings: list[Reading] = []
    for watchers, words in ((0, "nobody watching"), (3, "3 watchers each")):
        load = replace(options.load, watchers=watchers)
        made = [
            HubUnderTest(
                name=f"{count} worker{'s' if count > 1 else ''}, {words}", runners=load.runners, workers=count,
                orders=load.runners if watchers else 0, fences=options.fences, settings=options.settings,
            )
            for count in (1, 2)
        ]  # fmt: skip
        result = await run_lane(options.cores, load, made, options.say)
        conditions = DELIVERIES if watchers else FIXES
        one, two = (summary(result.readings[each.name], conditions, options.least_rounds) for each in made)
        figures.append(ratio("workers", f"two workers of one, {words}", two, one, 1.15, 1.05, one.server))
        summed += [one, two]
        readings += _all(result)
    title = "CPU per fix with two workers (on the one core) against one"
    return Row("workers", title, tuple(figures), tuple(summed), {}, tuple(readings), made[0].remarks)


ROWS: dict[str, Measure] = {
    "idle": idle,
    "deliver": deliver,
    "events": events,
    "profile-t": profile_t,
    "memory": memory,
    "storm": storm,
    "workers": workers,
    "geoadd": geoadd,
}
