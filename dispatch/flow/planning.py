"""Planning within a deadline: the optimizer thinks in its own thread; where it is late, the greedy plan acts."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..assign.params import Params
from ..assign.solver import Lap, plan
from ..assign.state import Method, Plan, RunnerIn, TaskIn, Ways
from ..ticks.record import ShadowNote, differing, pairs, plan_digest
from ..ticks.recorder import Recorder
from ..ticks.variant import Variant, method_of
from .context import Context
from .standing import Standings

log = logging.getLogger(__name__)

T = TypeVar("T")
#: Real seconds that a plan may take before the greedy one acts instead.
DEADLINE_S = 1.0
#: The shadow is asked only where the acting plan took at most this part of the deadline.
CALM = 0.25

#: What plans; the optimizer, unless a test has another.
Planner = Callable[[Sequence[TaskIn], Sequence[RunnerIn], Ways, int, Params, Method, Lap | None], Plan]


class Overdue(Exception):
    """Nobody waits for this plan any more."""


@dataclass
class Stopwatch:
    """Real milliseconds per stage; as a plan's ``lap`` it also ends a plan that nobody waits for."""

    monotonic_s: Callable[[], float]
    ms: dict[str, float] = field(default_factory=dict)
    is_over: bool = False

    def __post_init__(self) -> None:
        self._last_s = self.monotonic_s()

    def __call__(self, stage: str) -> None:
        now_s = self.monotonic_s()
        self.ms[stage] = self.ms.get(stage, 0.0) + (now_s - self._last_s) * 1000
        self._last_s = now_s
        if self.is_over:
            raise Overdue


class Bench(Generic[T]):
    """One seat for work in a thread: who does not finish in time keeps it, and nobody else is let in meanwhile."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.is_taken = False

    async def work(self, do: Callable[[], T], within_s: float) -> T:
        """What ``do`` gives; raises :class:`TimeoutError` when it takes longer, and lets it run."""
        assert not self.is_taken
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def tell(set_it: Callable[[], None]) -> None:
            try:
                loop.call_soon_threadsafe(lambda: None if answer.done() else set_it())
            except RuntimeError:
                log.debug("the loop ended before its plan")

        def run() -> None:
            try:
                result = do()
            except BaseException as fault:  # whatever it is, whoever waits hears of it
                heard = fault
                self.is_taken = False
                tell(lambda: answer.set_exception(heard))
            else:
                self.is_taken = False
                tell(lambda: answer.set_result(result))

        # A daemon: a plan that is never done must not keep a process from ending.
        self.is_taken = True
        threading.Thread(target=run, name=self._name, daemon=True).start()
        return await asyncio.wait_for(answer, within_s)


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be planned."""

    tasks: Sequence[TaskIn]
    runners: Sequence[RunnerIn]
    ways: Ways
    now_ms: int
    params: Params
    method: Method = "optimizer"


@dataclass(frozen=True, slots=True)
class Answer:
    """The plan that acts; ``fallback`` says why it is not of the method that was asked for: ``deadline`` or ``busy``
    (the plan before is still being thought about)."""

    plan: Plan
    stages_ms: Mapping[str, float]
    fallback: str = ""

    @property
    def ms(self) -> float:
        return sum(self.stages_ms.values())


class Desk:
    """What a planner keeps from tick to tick: the seats of its threads, its recorder, its shadow, how runners stand."""

    def __init__(
        self,
        ctx: Context,
        *,
        deadline_s: float = DEADLINE_S,
        recorder: Recorder | None = None,
        shadow: Variant | None = None,
        method: str | None = None,
        planner: Planner = plan,
    ) -> None:
        self.deadline_s = deadline_s
        self.shadow_deadline_s = deadline_s
        self.recorder = recorder
        self.shadow = shadow
        self.method = method_of(method)
        self.monotonic_s = ctx.clock.monotonic_s
        self.standings = Standings(ctx.store, ctx.clock)
        #: Per campus, of the last plan: whom it had in mind for a task that is kept open, and when they are to go.
        self.foreseen: dict[str, dict[str, tuple[str, int]]] = {}
        self._plan = planner
        self._acting: Bench[Plan] = Bench("plan")
        self._shadowing: Bench[Plan] = Bench("shadow-plan")

    @property
    def is_thinking(self) -> bool:
        """Whether a plan, late or not, is being made."""
        return self._acting.is_taken or self._shadowing.is_taken

    async def think(self, question: Question) -> Answer:
        """The plan that is to act, within the deadline."""
        if not question.tasks:
            return Answer(Plan(method=question.method, params_version=question.params.version), {})
        if question.method == "greedy":
            return await self._greedy(question, "")
        if self._acting.is_taken:
            return await self._greedy(question, "busy")
        watch = Stopwatch(self.monotonic_s)
        try:
            found = await self._acting.work(lambda: self._planned(question, watch), self.deadline_s)
        except TimeoutError:
            watch.is_over = True
            return await self._greedy(question, "deadline")
        return Answer(found, watch.ms)

    async def _greedy(self, question: Question, fallback: str) -> Answer:
        watch = Stopwatch(self.monotonic_s)
        asked = Question(
            question.tasks, question.runners, question.ways, question.now_ms, question.params, method="greedy"
        )
        return Answer(await asyncio.to_thread(self._planned, asked, watch), watch.ms, fallback)

    def _planned(self, question: Question, watch: Stopwatch) -> Plan:
        return self._plan(
            question.tasks, question.runners, question.ways, question.now_ms, question.params, question.method, watch
        )

    async def shade(self, question: Question, acted: Answer) -> ShadowNote | None:
        """What the shadow would have done. It never acts, and thinks only when there is time for it."""
        if self.shadow is None or not question.tasks:
            return None
        words = self.shadow.words()
        if self._shadowing.is_taken or self._acting.is_taken:
            return ShadowNote(words, skipped="busy")
        if acted.ms > CALM * self.deadline_s * 1000:
            return ShadowNote(words, skipped="load")
        method = method_of(self.shadow.method or question.method)
        other = Question(
            question.tasks, question.runners, question.ways, question.now_ms,
            self.shadow.params(question.params), method,
        )  # fmt: skip
        watch = Stopwatch(self.monotonic_s)
        try:
            found = await self._shadowing.work(lambda: self._planned(other, watch), self.shadow_deadline_s)
        except TimeoutError:
            watch.is_over = True
            return ShadowNote(words, skipped="deadline")
        except Exception:
            # It does not act, so its faults are nobody's trouble but the log's.
            log.exception("the shadow failed")
            return ShadowNote(words, skipped="failed")
        chosen = pairs(found.assignments)
        return ShadowNote(
            variant=words,
            digest=plan_digest(found),
            chosen=chosen,
            planned=pairs(found.planned),
            different=len(differing(pairs(acted.plan.assignments), chosen)),
            ms=sum(watch.ms.values()),
        )
