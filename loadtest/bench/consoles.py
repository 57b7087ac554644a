"""Profile T: few runners, many consoles that each see all of them; what it takes of one core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median

from .hub import ConsolesUnderTest
from .lanes import Load, run_lane
from .machine import Cores
from .table import Row
from .verdicts import FIXES, LEAST_DELIVERED, Condition, Figure, summary

RUNNERS, CONSOLES, REPORT_S = 200, 500, 5.0
MOST_AGE_P99_MS = 1_000.0


async def measure_consoles(
    cores: Cores, load: Load, fences: int, settings: dict[str, str], least_rounds: int, say: Callable[[str], None]
) -> Row:
    """Every runner reports once in five seconds; 500 screens of 25 operators follow the campus."""
    is_small = load.runners < RUNNERS
    runners, consoles = (20, 40) if is_small else (RUNNERS, CONSOLES)
    # A measured part holds several reports of every runner.
    seconds = load.seconds if is_small else max(load.seconds, 4 * REPORT_S)
    load = replace(
        load, runners=runners, rate=runners / REPORT_S, seconds=seconds, warm_s=max(load.warm_s, REPORT_S),
        watchers=consoles, together=1,
    )  # fmt: skip
    operators = -(-consoles // ConsolesUnderTest.PER_ACCOUNT)
    server = ConsolesUnderTest(runners=runners, operators=operators, fences=fences, settings=settings)
    result = await run_lane(cores, load, [server], say)
    readings = result.readings[server.name]
    conditions = (
        *FIXES,
        Condition("delivered", least=LEAST_DELIVERED),
        Condition("age_p99_ms", most=MOST_AGE_P99_MS),
    )
    summed = summary(readings, conditions, least_rounds)
    percent = median(each.cpu_ns["server"] / 1e7 / each.seconds for each in readings)
    figure = Figure("profile-t", "of one core", percent, "%", 15.0, 8.0, summed.faults)
    title = f"profile T: {runners} runners every {REPORT_S:g} s, {consoles} consoles that each see all"
    return Row("profile-t", title, (figure,), (summed,), result.missing, tuple(readings), server.remarks)
