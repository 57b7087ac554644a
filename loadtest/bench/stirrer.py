"""Events for the rows about the event lane: published by the same call that the relay makes, at a stated rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dispatch.live.connect import connect
from dispatch.live.resume_streams import Published, ResumeStreams
from dispatch.model.event import EventKind, Publication

from .crew import SentReport, wall_ms
from .publisher import LATE_MS

#: The relay is woken for what was committed; so often it finds something at this rate.
TICK_S = 0.01
#: The relay's own bound on one publication.
MOST_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class StirPlan:
    """``rate`` events a second over all topics in turn, from ``start_ms`` (wall clock) on."""

    redis_url: str
    campus_id: str
    topics: tuple[str, ...]
    start_ms: float
    seconds: float
    rate: float
    offset_ms: int = 0


class Stirrer:
    """Runs in a process of its own; see ``crew.Hand``."""

    def __init__(self) -> None:
        self._number = time.time_ns()

    def idle(self) -> None:
        time.sleep(0.005)

    def send(self, name: str, plan: StirPlan) -> SentReport:
        """Carry a plan out. An event's time is the moment that it was due."""
        return asyncio.run(self._send(plan))

    def publish_one_each(self, redis_url: str, campus_id: str, topics: Sequence[str], offset_ms: int) -> int:
        """One event on every topic, as fast as Redis takes them; how many."""

        async def run() -> int:
            redis = connect(redis_url)
            streams = ResumeStreams(redis)
            for begin in range(0, len(topics), MOST_AT_ONCE):
                at_ms = round(wall_ms()) + offset_ms
                batch = [self._event(topic, at_ms) for topic in topics[begin : begin + MOST_AT_ONCE]]
                await streams.publish_many(campus_id, batch)
            await redis.aclose()
            return len(topics)

        return asyncio.run(run())

    async def _send(self, plan: StirPlan) -> SentReport:
        redis = connect(plan.redis_url)
        streams = ResumeStreams(redis)
        count, sent, late, worst = round(plan.rate * plan.seconds), 0, 0, 0.0
        step_ms = 1000.0 / plan.rate
        while sent < count:
            now = wall_ms()
            due = min(count, int((now - plan.start_ms) / step_ms) + 1 if now >= plan.start_ms else 0)
            if due <= sent:
                await asyncio.sleep(TICK_S)
                continue
            batch = range(sent, min(due, sent + MOST_AT_ONCE))
            times = [plan.start_ms + k * step_ms for k in batch]
            # The tick is the relay's rhythm, not a delay of ours.
            is_late = now - times[0] > TICK_S * 1000 + LATE_MS
            late += len(batch) if is_late else 0
            worst = max(worst, now - times[0])
            events = [
                self._event(plan.topics[k % len(plan.topics)], round(at) + plan.offset_ms)
                for k, at in zip(batch, times, strict=True)
            ]
            await streams.publish_many(plan.campus_id, events)
            sent += len(batch)
        await redis.aclose()
        return SentReport(count, sent, late, count - sent, worst, 0, 0)

    def _event(self, topic: str, at_ms: int) -> Published:
        self._number += 1
        data = {
            "order_id": topic.partition(":")[2], "code": "BENCH1", "status": "assigned", "task_status": "assigned",
            "version": 5, "stop_role": "pickup", "at_ms": at_ms, "distance_m": 12,
        }  # fmt: skip
        publication = Publication(topic, EventKind.RUNNER_ARRIVED, data)
        return (f"evt_bench{self._number}", 5, at_ms, publication)
