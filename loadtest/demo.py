"""The people of the demonstration: they come in over HTTP and sockets like anybody else, and stay until told to go."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .api_client import campus_places, open_session, server_clock
from .asyncio_driver import World
from .crowd import Crowd
from .figures import Figures
from .people import PlanFile, Profile, read_plan

#: Each student of the demonstration wishes for something so often per business hour.
WISHES_PER_STUDENT_HOUR = 2.2
#: At the start orders come quickly, so that there is something to see.
RUSH_S = 240.0
RUSH = 5.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    plan: Path
    url: str
    seconds: float | None = None
    seed: int | None = None
    certificate: Path | None = None


async def demo(options: DemoOptions) -> Figures:
    """Live on the campus until SIGTERM, Ctrl-C or ``seconds`` have passed."""
    plan = read_plan(options.plan)
    figures = Figures(time.perf_counter)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopped.set)
    async with open_session(pinned=options.certificate) as session:
        clock = await server_clock(session, options.url.rstrip("/"), plan.campus_id)
        places = await campus_places(session, options.url.rstrip("/"), plan.campus_id)
        world = World(session, options.url.rstrip("/"), plan, clock, figures)
        crowd = Crowd(world, plan, profile_of(plan), places, Random(options.seed))
        figures.begin()
        crowd.start()
        per_hour = WISHES_PER_STUDENT_HOUR * max(1, len(crowd.students))
        wishing = asyncio.create_task(
            crowd.wish(lambda passed_s: per_hour * (RUSH if passed_s < RUSH_S else 1.0), float("inf"))
        )
        try:
            async with asyncio.timeout(options.seconds):
                await stopped.wait()
        except TimeoutError:
            pass
        finally:
            wishing.cancel()
            await asyncio.gather(wishing, return_exceptions=True)
            await crowd.stop()
    return figures


def profile_of(plan: PlanFile) -> Profile:
    """Everybody in the plan takes part; one operator looks on and leaves most to whoever sits at the console."""
    students, runners, operators = (len(plan.of_role(role)) for role in ("student", "runner", "operator"))
    return Profile("demo", students, runners, operators, 0, 0, 5, 0)
