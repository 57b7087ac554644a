"""What operators are answered about plans: what is foreseen for what waits, why not somebody else, and previews."""

from __future__ import annotations

from msgspec import field

from .views import View


class ForeseenView(View, frozen=True, kw_only=True):
    """An order that waits, as the planner's last plan has it.

    ``state``: planned (``runner_id`` is foreseen, to go at ``leave_at_ms`` and done at ``done_at_ms``) or waiting;
    ``reason``: of ``assign.state.Waiting``. Whether it is being offered, escalated or given up is in its own view.
    """

    order_id: str
    state: str
    reason: str
    runner_id: str | None = None
    leave_at_ms: int | None = None
    done_at_ms: int | None = None


class OutlookView(View, frozen=True, kw_only=True):
    """What the planner said last about everything that waits. ``at_ms``: when; None: it has not spoken lately.
    ``left_out``: of a very long list so many are not told."""

    at_ms: int | None
    orders: list[ForeseenView]
    left_out: int = 0


class WhyNotView(View, frozen=True, kw_only=True):
    """Why an order did not go to this runner.

    ``rule``: an exclusion; ``dearer`` (than the chosen, by ``gap_s``) or ``cheaper_now`` (the plan as a whole was
    better); ``chosen``; a reason for which nobody had it; or why there is no answer: ``not_recorded`` (any more),
    ``not_planned`` (it was grabbed or forced), ``not_there`` (the runner was not on duty), ``not_in_tick``.
    ``terms`` and ``chosen_terms`` are seconds of the cost, for who was ruled out as if no rule were in the way;
    ``at_ms``: the moment that it is about; ``is_decided``: about a decision, else about how it looks now.
    """

    rule: str
    runner_id: str
    runner_name: str
    chosen_id: str | None = None
    chosen_name: str = ""
    cost_s: float | None = None
    gap_s: float | None = None
    terms: dict[str, float] = field(default_factory=dict)
    chosen_cost_s: float | None = None
    chosen_terms: dict[str, float] = field(default_factory=dict)
    at_ms: int | None = None
    is_decided: bool = False


class MoveView(View, frozen=True, kw_only=True):
    """An order that somebody carries and that is done ``seconds`` later (below zero: sooner) because of a change: at
    ``done_at_ms``, which is ``late_s`` after its promise; without the change it is ``was_late_s`` after it."""

    order_id: str
    code: str
    runner_id: str
    seconds: int
    done_at_ms: int
    promised_at_ms: int
    late_s: int
    was_late_s: int


class PlannedPair(View, frozen=True, kw_only=True):
    """An order and the runner whom a previewed plan gives it to. ``number``: its place among the new ones of this
    runner; ``late_s``: so much after its promise."""

    order_id: str
    code: str
    runner_id: str
    runner_name: str
    number: int
    cost_s: float
    regret_s: float | None
    distance_m: int
    leave_at_ms: int
    done_at_ms: int
    promised_at_ms: int
    late_s: int


class PlannedStopView(View, frozen=True, kw_only=True):
    """A stop of a previewed route; ``is_new``: of an order that the plan gives to this runner."""

    order_id: str
    code: str
    role: str
    lat: float
    lon: float
    done_at_ms: int
    is_new: bool


class PlannedRoute(View, frozen=True, kw_only=True):
    """Where a runner would go: from ``start`` ([lat, lon]) to the stops in order."""

    runner_id: str
    runner_name: str
    start: list[float]
    stops: list[PlannedStopView]


class PlanPreview(View, frozen=True, kw_only=True):
    """A plan of what waits that nobody has acted on. It can be committed until ``expires_at_ms``.

    ``waiting``: orders without a runner in it, with the reason; ``left_out``: so many were too many to look at;
    ``new_m``: metres that runners go more because of it; ``mean_wait_s``: until what it gives out is done.
    """

    id: str
    preset: str
    at_ms: int
    expires_at_ms: int
    pairs: list[PlannedPair]
    routes: list[PlannedRoute]
    waiting: list[ForeseenView]
    left_out: int
    late: int
    new_m: int
    mean_wait_s: int


class CommitResult(View, frozen=True, kw_only=True):
    """What became of one pair: ``refusal`` is a code of errors, None where it was done."""

    order_id: str
    code: str
    refusal: str | None = None
    message: str = ""
    field: str | None = None


class CommitView(View, frozen=True, kw_only=True):
    """A plan that was acted on, pair by pair."""

    preview_id: str
    act: str
    done: int
    results: list[CommitResult]
