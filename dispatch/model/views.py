"""What the server answers, as types: the same records feed HTTP, the hub's snapshots and the OpenAPI document.

Amounts are fen, times Unix milliseconds, positions in the datum that the caller asked for.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .assurance import Assurance


class View(Struct, frozen=True, kw_only=True):
    """Base of all answers."""


class AccountView(View, frozen=True, kw_only=True):
    id: str
    name: str
    phone: str  # masked except for oneself
    language: str
    campus_id: str
    campus_name: str
    roles: list[str]
    permissions: list[str]
    runner_status: str = "none"
    is_blocked: bool = False


class SessionView(View, frozen=True, kw_only=True):
    """Tokens are empty where cookies carry them; ``csrf_token`` goes into the X-CSRF-Token header of later requests."""

    account: AccountView
    access_token: str = ""
    refresh_token: str = ""
    expires_in_s: int = 0
    csrf_token: str = ""


class SocketTokenView(View, frozen=True, kw_only=True):
    """A short-lived token for the hub's first frame."""

    token: str
    expires_in_s: int


class PlaceView(View, frozen=True, kw_only=True):
    id: str
    name: str
    name_en: str
    lat: float
    lon: float
    floors: int
    is_quick: bool
    kind: str


class OrderTypeView(View, frozen=True, kw_only=True):
    code: str
    name_zh: str
    name_en: str
    stops: list[str]
    base_fen: int
    has_goods: bool
    is_timed: bool


class CampusView(View, frozen=True, kw_only=True):
    id: str
    name: str
    lat: float
    lon: float
    is_open: bool
    opens: str
    closes: str
    time_zone: str
    mode: str
    types: list[OrderTypeView]
    now_ms: int
    time_scale: float
    version: int
    has_job_hint: bool = True
    assurances: tuple[Assurance, ...] = ()


class QuoteLineView(View, frozen=True, kw_only=True):
    kind: str
    label_zh: str
    label_en: str
    amount_fen: int
    payer: str


class QuoteView(View, frozen=True, kw_only=True):
    lines: list[QuoteLineView]
    service_fen: int
    goods_cap_fen: int
    total_fen: int
    distance_m: int
    duration_s: int
    arrive_from_ms: int
    arrive_by_ms: int
    rule_version: str
    discount_fen: int = 0
    coupon_id: str | None = None


class StopView(View, frozen=True, kw_only=True):
    """``detail`` and the contact are empty for those who may not see them."""

    role: str
    lat: float
    lon: float
    label: str
    floor: int
    place_id: str | None = None
    detail: str = ""
    contact_name: str = ""
    contact_phone: str = ""


class RunnerCard(View, frozen=True, kw_only=True):
    """What a student sees of the runner who carries the live order."""

    id: str
    name: str  # masked
    vehicle: str
    credit: int
    stars: float | None
    phone: str  # masked or virtual number
    has_badge: bool = False  # of the good level of credit
    position: list[float] | None = None  # [lat, lon, fixed_at_ms]


class StepView(View, frozen=True, kw_only=True):
    """``accepted`` | ``picked_up`` | ``on_the_way`` | ``delivered``, with the time it was reached."""

    step: str
    at_ms: int | None


class EtaView(View, frozen=True, kw_only=True):
    """Arrival as a range in which four of five end, after whatever the runner carries besides; ``at_ms``: the middle.

    ``warnings`` from ``stale_position`` (nobody knows where the runner is now), ``off_route`` (they are going away from
    every stop of theirs), ``not_picked_up`` (they come by way of the pick-up) and ``low_confidence`` (the range is
    wider than the time that is left). ``location_age_ms``: of the position that it is reckoned from; None without one.
    """

    from_ms: int
    to_ms: int
    warnings: list[str]
    at_ms: int = 0
    location_age_ms: int | None = None


class NearView(View, frozen=True, kw_only=True):
    """Where the runner is by position: ``near`` a stop (``role``: pickup, dropoff, place) or ``there`` since then;
    ``is_confirmed``: they have said so themselves."""

    role: str
    state: str
    since_ms: int
    is_confirmed: bool


class DelayView(View, frozen=True, kw_only=True):
    """Both sides were told that it will be late; the promise stays beside it as it was given."""

    expected_ms: int
    told_ms: int


class RiskView(View, frozen=True, kw_only=True):
    """Why nobody can pay now. ``decision``: challenge (``challenge``: face | code) | hold (somebody calls) | refuse.
    ``demo_proof``: in a demonstration, the answer to a challenge for a face."""

    decision: str
    code: str
    challenge: str | None = None
    demo_proof: str | None = None


class CodeSentView(View, frozen=True, kw_only=True):
    """A one-time code is on its way; it comes back with this id, as ``<code_id>:<code>``."""

    code_id: str
    expires_at_ms: int


class PassedOverView(View, frozen=True, kw_only=True):
    """The way to pay that the student chose, and why another one was taken; no reason: it does not answer now."""

    channel: str
    name_zh: str
    name_en: str
    reason: str | None


class PaymentView(View, frozen=True, kw_only=True):
    """``state``: pending | processing | success | failed | suspicious. ``kind`` of the credential, by what a page does
    with it: qr | redirect | form | jsapi | app | sandbox. An amount over the channel's limit is paid in ``parts``, the
    ``part`` named now; either all of them are paid or all are given back. ``name_zh``, ``name_en``: the channel's;
    ``passed_over``: the one that the student chose, when it is another."""

    state: str
    channel: str | None
    amount_fen: int
    credential: dict[str, Any] | None
    expires_at_ms: int | None
    reason: str | None = None
    kind: str | None = None
    part: int = 1
    parts: int = 1
    risk: RiskView | None = None
    name_zh: str | None = None
    name_en: str | None = None
    passed_over: PassedOverView | None = None


class DispatchView(View, frozen=True, kw_only=True):
    """How an order that waits is doing, for the campus team. ``state``: waiting | offered | escalated | failed (the
    ladder is at its end); ``step`` of ``model.escalation``. ``pinned_runner_id``: the only one who may have it."""

    state: str
    step: str
    since_ms: int
    refusals: int
    mode: str
    zone_id: str | None = None
    pinned_runner_id: str | None = None
    pinned_until_ms: int | None = None


class OrderView(View, frozen=True, kw_only=True):
    """One order as its parties and operators see it; fields that a caller may not see are None or empty.

    ``status`` and ``task_status`` are of ``model.order`` and ``model.task``.
    """

    id: str
    code: str  # the last six characters, for people
    campus_id: str
    type_code: str
    status: str
    task_status: str | None
    task_id: str | None
    version: int
    quote: QuoteView
    stops: list[StopView]
    description: str
    weight_g: int
    volume_ml: int
    placed_at_ms: int
    promised_at_ms: int
    steps: list[StepView]
    eta: EtaView | None = None
    near: NearView | None = None
    delay: DelayView | None = None
    runner: RunnerCard | None = None
    student_id: str | None = None
    student_name: str | None = None
    student_phone: str | None = None
    pin: str | None = None
    payment: PaymentView | None = None
    cancel_price_fen: int | None = None
    cancel_reason: str | None = None
    rating: int | None = None
    rating_text: str = ""
    goods_actual_fen: int | None = None
    held_fen: int = 0
    captured_fen: int = 0
    released_fen: int = 0
    refunded_fen: int = 0
    is_late: bool = False
    settle_at_ms: int | None = None
    confirmed_at_ms: int | None = None
    photo_ids: list[str] = []
    undo_until_ms: int | None = None  # a forced reassignment can be taken back until then
    dispatch: DispatchView | None = None
    is_choice: bool = False  # nobody comes: the student may wait on or have everything back


class OrderPage(View, frozen=True, kw_only=True):
    orders: list[OrderView]
    next_before: str | None  # pass as ``before`` for the next page


class EventView(View, frozen=True, kw_only=True):
    id: str
    kind: str
    at_ms: int
    actor: str | None
    data: dict[str, Any]


class TimelineView(View, frozen=True, kw_only=True):
    events: list[EventView]


class TrackView(View, frozen=True, kw_only=True):
    """``points``: [lat, lon, fixed_at_ms] in order, as they were read; ``line``: the way taken as it is to be drawn,
    over the paths of the map, [lat, lon] (empty for the runner, who knows); ``path``: the way still to go, likewise."""

    points: list[list[float]]
    path: list[list[float]]
    line: list[list[float]] = []


class OfferView(View, frozen=True, kw_only=True):
    id: str
    order_id: str
    task_id: str
    type_code: str
    expires_at_ms: int
    offered_at_ms: int
    pay_fen: int
    pickup_m: int
    trip_m: int
    weight_g: int
    volume_ml: int
    goods_cap_fen: int
    promised_at_ms: int
    stops: list[StopView]
    description: str


class RunnerStateView(View, frozen=True, kw_only=True):
    """Everything that a runner's page shows after a (re)load. ``offers``: all that wait for an answer, the soonest to
    expire first; ``offer`` is the first of them. ``orders``: the one whose stop is next first."""

    is_on_duty: bool
    vehicle: str
    offer: OfferView | None
    offers: list[OfferView]
    orders: list[OrderView]
    today_orders: int
    today_fen: int
    on_time_percent: int | None
    credit: int
    report_every_ms: int
    runner_status: str
    excluded: str | None = None  # why no offers come now, and until when they do
    until_ms: int | None = None
    break_until_ms: int | None = None
    cool_until_ms: int | None = None
    credit_level: str = "normal"  # good | normal | warned | limited | removed
    max_tasks: int = 0  # at once, as the level has it


class PhotoView(View, frozen=True, kw_only=True):
    id: str
    bytes: int
    width: int
    height: int


class ChannelView(View, frozen=True, kw_only=True):
    """A way to pay. ``needs``: what it still has to be told of the one who asks, which is given as ``binding`` says:
    ``page`` (a page of the provider's) or ``token`` (by hand); ``is_bound``: it was, and can be forgotten."""

    code: str
    name_zh: str
    name_en: str
    is_demo: bool
    needs: list[str] = []
    binding: str = ""
    is_bound: bool = False


class ErrorBody(View, frozen=True, kw_only=True):
    """Every error has this form. ``code`` is stable; ``field`` names the input at fault, dotted."""

    code: str
    message: str
    field: str | None = None
    detail: dict[str, Any] | None = None


class ErrorView(View, frozen=True, kw_only=True):
    error: ErrorBody
