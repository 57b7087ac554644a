"""Plays many instances with several policies, in several processes, and validates every day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from .baselines import Match30, NearestCourier
from .evaluator_files import write_files
from .figures import Day, bound, day
from .instance import Instance
from .ours import Ours
from .parameters import Setup
from .reader import read_instance
from .sets import is_chosen
from .validator import faults
from .world import Policy, play

BOUND = "bound"
#: By name: what it is, and how it is made.
POLICIES: dict[str, tuple[str, Callable[[Setup], Policy]]] = {
    "greedy": ("first ready, first served, by the nearest free courier", lambda _: NearestCourier()),
    "match30": ("one linear assignment a minute, no bundles", lambda _: Match30()),
    "ours": ("the shipping optimizer", Ours),
    "fallback": ("the shipping optimizer's greedy, for a tick over its deadline", lambda s: Ours(s, "greedy")),
}
NAMES = (BOUND, *POLICIES)


@dataclass(frozen=True, slots=True)
class Job:
    """One instance with one policy; ``solutions``: where the evaluator's files go, None: nowhere."""

    folder: Path
    policy: str
    setup: Setup
    solutions: Path | None = None


def run(job: Job) -> Day:
    """Reads, plays, validates and counts."""
    instance = read_instance(job.folder)
    if job.policy == BOUND:
        return bound(instance, is_chosen(instance.name))
    return play_day(instance, job)


def play_day(instance: Instance, job: Job) -> Day:
    """An instance that was read already: plays it, writes its files where they are wanted, validates and counts."""
    began = perf_counter()
    played = play(instance, POLICIES[job.policy][1](job.setup))
    seconds = perf_counter() - began
    if job.solutions is not None:
        write_files(job.solutions / job.policy / instance.name, instance, played.solution)
    found = [str(fault) for fault in faults(instance, played.solution)]
    return day(instance, job.policy, played.solution, played.tick_ms, seconds, found, is_chosen(instance.name))


def run_all(jobs: Sequence[Job], processes: int) -> Iterator[Day]:
    """As they come. The largest first, so that the last one does not keep everybody waiting."""
    ordered = sorted(jobs, key=_size, reverse=True)
    if processes == 1:
        yield from map(run, ordered)
        return
    # A fresh process each: one that is forked inherits the threads' locks of numeric libraries.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        pending: list[Future[Day]] = [pool.submit(run, job) for job in ordered]
        try:
            for future in as_completed(pending):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _size(job: Job) -> int:
    weight = {"ours": 10, "fallback": 5}.get(job.policy, 1)
    return weight * (job.folder / "orders.txt").stat().st_size
