"""What callers may send, as types: decoded once at the edge, refused with the name of the field at fault."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from .geofence import MAX_DWELL_S, MIN_DWELL_S, CircleShape, PolygonShape

Text = Annotated[str, Meta(max_length=500)]
Short = Annotated[str, Meta(min_length=1, max_length=80)]
IdText = Annotated[str, Meta(pattern=r"^[a-z]{3}_[0-9A-HJKMNP-TV-Z]{26}$")]
Phone = Annotated[str, Meta(pattern=r"^\+?[0-9]{8,15}$")]
Lat = Annotated[float, Meta(ge=-90, le=90)]
Lon = Annotated[float, Meta(ge=-180, le=180)]
AmountFen = Annotated[int, Meta(ge=0, le=1_000_000)]
WeightG = Annotated[int, Meta(ge=0, le=50_000)]
VolumeMl = Annotated[int, Meta(ge=0, le=60_000)]
Minutes = Annotated[int, Meta(ge=0, le=480)]
Version = Annotated[int, Meta(ge=0, le=2**53)]
EpochMs = Annotated[int, Meta(ge=0, le=2**53)]
DatumName = Literal["wgs84", "gcj02"]


class Request(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all requests: a field that the server does not know is a mistake, not noise."""


# --- signing in -------------------------------------------------------------------------------------------------------


class AskCode(Request, frozen=True, kw_only=True):
    """Ask for a sign-in code by SMS."""

    phone: Phone
    campus_id: IdText


class SignIn(Request, frozen=True, kw_only=True):
    """Sign in by code or by password; a first sign-in by code registers the account as a student of the campus."""

    phone: Phone
    campus_id: IdText
    code: Annotated[str, Meta(pattern=r"^[0-9]{6}$")] | None = None
    password: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    #: Pages ask for cookies; API clients take the tokens from the answer.
    use_cookies: bool = False


class ExchangeLink(Request, frozen=True, kw_only=True):
    """Exchange a one-time link code (from a URL's fragment) for a session with cookies."""

    code: Annotated[str, Meta(min_length=20, max_length=100)]


class Refresh(Request, frozen=True, kw_only=True):
    """Exchange a refresh token for new ones; the old one is spent. Pages send it as a cookie."""

    refresh_token: Annotated[str, Meta(max_length=1000)] | None = None


class SetPassword(Request, frozen=True, kw_only=True):
    """Set or change the password; changing asks for the old one."""

    new_password: Annotated[str, Meta(min_length=8, max_length=200)]
    old_password: Annotated[str, Meta(max_length=200)] | None = None


class EditProfile(Request, frozen=True, kw_only=True):
    """Change one's own name or language."""

    name: Annotated[str, Meta(min_length=1, max_length=40)] | UnsetType = UNSET
    language: Literal["zh-CN", "en"] | UnsetType = UNSET


# --- ordering ---------------------------------------------------------------------------------------------------------


class StopRequest(Request, frozen=True, kw_only=True):
    """A stop: a known place by id, or a point. ``detail`` and contact reach only the runner who carries the order."""

    place_id: Annotated[str, Meta(max_length=80)] | None = None
    lat: Lat | None = None
    lon: Lon | None = None
    label: Annotated[str, Meta(max_length=80)] = ""
    floor: Annotated[int, Meta(ge=-5, le=80)] = 0
    detail: Annotated[str, Meta(max_length=200)] = ""
    contact_name: Annotated[str, Meta(max_length=40)] = ""
    contact_phone: Phone | None = None


class QuoteRequest(Request, frozen=True, kw_only=True):
    """What an errand would cost and by when it would arrive."""

    type_code: Short
    stops: Annotated[list[StopRequest], Meta(max_length=4)]
    weight_g: WeightG = 0
    volume_ml: VolumeMl = 0
    wait_min: Minutes = 0
    goods_cap_fen: AmountFen = 0
    #: One of the student's own that is to be used.
    coupon_id: IdText | None = None
    datum: DatumName = "wgs84"


class PlaceOrder(QuoteRequest, frozen=True, kw_only=True):
    """Place an order. ``expected_total_fen`` is the total of the quote that the student saw; another is refused."""

    description: Annotated[str, Meta(min_length=2, max_length=500)]
    expected_total_fen: AmountFen
    channel: Short | None = None
    pickup_after_ms: EpochMs | None = None
    #: A runner who carried for the student before, and is asked first.
    wish_runner_id: IdText | None = None
    #: What a face service gave beforehand, for whom risk is going to ask.
    challenge_token: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


class PayOrder(Request, frozen=True, kw_only=True):
    """Choose the channel to pay with; the answer says "accepted", the result arrives over the hub."""

    channel: Short


class MeetChallenge(Request, frozen=True, kw_only=True):
    """The proof that risk asked for: what a face service gave, or ``<code id>:<code>``."""

    token: Annotated[str, Meta(min_length=1, max_length=4096)]


class SandboxPay(Request, frozen=True, kw_only=True):
    """Pay a sandbox credential as the student's wallet would (demonstration channel only)."""

    token: Annotated[str, Meta(max_length=200)]
    outcome: Literal["ok", "insufficient"] = "ok"


class CancelOrder(Request, frozen=True, kw_only=True):
    """Cancel an order. ``expected_price_fen`` is the price that was shown; it is refused if it has changed."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    version: Version
    expected_price_fen: AmountFen | None = None


class ConfirmOrder(Request, frozen=True, kw_only=True):
    """Confirm that the errand was received; the money is divided 24 hours later."""

    version: Version | None = None


class RateOrder(Request, frozen=True, kw_only=True):
    """Rate the delivered order, once."""

    stars: Annotated[int, Meta(ge=1, le=5)]
    text: Text = ""


# --- carrying ---------------------------------------------------------------------------------------------------------


class SetDuty(Request, frozen=True, kw_only=True):
    """Come on or go off duty. Going off finishes what is being carried first."""

    is_on: bool
    vehicle: Literal["walk", "e_bike"] = "walk"


class Tap(Request, frozen=True, kw_only=True):
    """Where and when the runner pressed the button; a tap made offline arrives later with its own time. Without a
    position the runner's track says where it was."""

    tapped_at_ms: EpochMs | None = None
    lat: Lat | None = None
    lon: Lon | None = None
    accuracy_m: Annotated[float, Meta(ge=0, le=100_000)] | None = None
    datum: DatumName = "wgs84"


class DeclineOffer(Request, frozen=True, kw_only=True):
    """Decline an offer. ``ask_again_s``: busy, ask me again after so many seconds; that counts as no refusal in a
    row."""

    reason: Annotated[str, Meta(max_length=200)] = ""
    ask_again_s: Annotated[int, Meta(ge=60, le=7200)] | None = None


class PickUp(Tap, frozen=True, kw_only=True):
    """Confirm the pick-up; ``goods_actual_fen`` is what the receipt says where goods were bought."""

    goods_actual_fen: AmountFen | None = None


class Deliver(Tap, frozen=True, kw_only=True):
    """Confirm the hand-over by the student's 4-digit code, or by a photo uploaded before."""

    pin: Annotated[str, Meta(pattern=r"^[0-9]{4}$")] | None = None
    photo_id: IdText | None = None


# --- operating --------------------------------------------------------------------------------------------------------

Reason = Literal["runner_unreachable", "runner_asked", "student_asked", "too_late", "accident", "other"]


class SeenMove(Request, frozen=True, kw_only=True):
    """By how much another order was said to be done later, and whether it would be late."""

    order_id: IdText
    seconds: Annotated[int, Meta(ge=-(10**7), le=10**7)]
    is_late: bool


class Reassign(Request, frozen=True, kw_only=True):
    """Put an order onto a runner by force; ``runner_id`` None takes it away and lets the planner look again.

    ``seen``: what it was said to mean for other orders; it is refused when it means something else by now.
    """

    runner_id: IdText | None
    version: Version
    reason: Reason
    note: Annotated[str, Meta(max_length=200)] = ""
    seen: Annotated[list[SeenMove], Meta(max_length=50)] | None = None


class PreviewPlan(Request, frozen=True, kw_only=True):
    """Plan what waits without acting; ``preset``: what counts most; ``without``: orders to leave out."""

    preset: Literal["balanced", "fastest", "fewest_km"] = "balanced"
    without: Annotated[list[IdText], Meta(max_length=300)] = field(default_factory=list)
    datum: DatumName = "wgs84"


class CommitPlan(Request, frozen=True, kw_only=True):
    """Act on these pairs of a previewed plan: put them to their runners, or give them by force."""

    preview_id: IdText
    order_ids: Annotated[list[IdText], Meta(min_length=1, max_length=300)]
    act: Literal["offer", "force"] = "offer"
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class UndoReassign(Request, frozen=True, kw_only=True):
    """Take a forced reassignment back, within 10 seconds."""

    version: Version


class OperatorCancel(Request, frozen=True, kw_only=True):
    """Cancel an order as an operator; ``charge_percent`` of the service price is captured and divided like a fare. It
    asks for a runner who has the order."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    version: Version
    charge_percent: Annotated[int, Meta(ge=0, le=100)] = 0


class Reveal(Request, frozen=True, kw_only=True):
    """See masked personal data; the reason is audited."""

    reason: Annotated[str, Meta(min_length=3, max_length=200)]


class BlockAccount(Request, frozen=True, kw_only=True):
    """Block or unblock an account; its sessions and sockets end."""

    is_blocked: bool
    reason: Annotated[str, Meta(min_length=3, max_length=200)]


class ReviewRunner(Request, frozen=True, kw_only=True):
    """Decide on a runner's application, or remove a runner."""

    status: Literal["approved", "removed", "applied"]
    reason: Annotated[str, Meta(max_length=200)] = ""


class SetRoles(Request, frozen=True, kw_only=True):
    """Give an account its roles at this campus (admin)."""

    roles: list[Literal["student", "runner", "operator", "admin"]]


class EditAlarms(Request, frozen=True, kw_only=True):
    """After how many seconds the campus team is told that a runner has not set out, stands with something in hand or is
    silent, and after how many metres that one goes astray; fields left out stay."""

    late_departure_s: Annotated[int, Meta(ge=30, le=7_200)] | UnsetType = UNSET
    stopped_s: Annotated[int, Meta(ge=60, le=7_200)] | UnsetType = UNSET
    off_course_m: Annotated[int, Meta(ge=50, le=5_000)] | UnsetType = UNSET
    silent_s: Annotated[int, Meta(ge=60, le=3_600)] | UnsetType = UNSET


Gain = Annotated[int, Meta(ge=0, le=100)]
Loss = Annotated[int, Meta(ge=-100, le=0)]
Threshold = Annotated[int, Meta(ge=1, le=100)]


class LateStepRequest(Request, frozen=True, kw_only=True):
    """Later than ``over_s`` seconds moves the score by ``delta``, which is below zero."""

    over_s: Annotated[int, Meta(ge=0, le=86_400)]
    delta: Annotated[int, Meta(ge=-100, le=-1)]


class EditCredit(Request, frozen=True, kw_only=True):
    """Change what moves runners' credit and what a score allows; lines that were written stay as they are."""

    on_time: Gain | UnsetType = UNSET
    well_rated: Gain | UnsetType = UNSET
    badly_rated: Loss | UnsetType = UNSET
    lost: Loss | UnsetType = UNSET
    damaged: Loss | UnsetType = UNSET
    declined: Loss | UnsetType = UNSET
    ignored: Loss | UnsetType = UNSET
    far_from_stop: Loss | UnsetType = UNSET
    late: Annotated[list[LateStepRequest], Meta(max_length=10)] | UnsetType = UNSET
    free_ignored: Annotated[int, Meta(ge=0, le=1_000)] | UnsetType = UNSET
    far_m: Annotated[int, Meta(ge=20, le=5_000)] | UnsetType = UNSET
    fade_after_days: Annotated[int, Meta(ge=1, le=365)] | UnsetType = UNSET
    appeal_days: Annotated[int, Meta(ge=1, le=365)] | UnsetType = UNSET
    good_from: Threshold | UnsetType = UNSET
    normal_from: Threshold | UnsetType = UNSET
    warned_from: Threshold | UnsetType = UNSET
    limited_from: Threshold | UnsetType = UNSET
    limited_tasks: Annotated[int, Meta(ge=1, le=10)] | UnsetType = UNSET
    limited_value_fen: AmountFen | UnsetType = UNSET
    limited_hall_delay_s: Annotated[int, Meta(ge=0, le=3_600)] | UnsetType = UNSET
    is_removal_automatic: bool | UnsetType = UNSET


class EditCampus(Request, frozen=True, kw_only=True):
    """Change the campus's settings (operator); fields left out stay."""

    version: Version
    mode: Literal["dispatch", "grab", "mixed"] | UnsetType = UNSET
    opens: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | UnsetType = UNSET
    closes: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | UnsetType = UNSET
    max_tasks_per_runner: Annotated[int, Meta(ge=1, le=10)] | UnsetType = UNSET
    runner_percent: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    campus_percent: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    alarms: EditAlarms | UnsetType = UNSET
    credit: EditCredit | UnsetType = UNSET


class DrawGeofence(Request, frozen=True, kw_only=True):
    """Draw a geofence. ``dwell_s``: after so long inside a dwell is told, None: never."""

    name: Short
    name_en: Short | None = None
    shape: CircleShape | PolygonShape
    dwell_s: Annotated[int, Meta(ge=MIN_DWELL_S, le=MAX_DWELL_S)] | None = None
    datum: DatumName = "wgs84"


class ReplaceGeofence(DrawGeofence, frozen=True, kw_only=True):
    """Draw a geofence anew; ``version`` is the one that was seen."""

    version: Version
