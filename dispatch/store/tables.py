"""The tables as the queries see them; the migrations make them, and a test holds the two together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, LargeBinary, MetaData, Table, Text

from ..model.account import Role, RunnerStatus
from ..model.campus import AssignMode, CampusSettings
from ..model.coupon import CouponReason, CouponState
from ..model.credit import AppealStatus, CreditReason
from ..model.event import EventKind
from ..model.geofence import FenceShape
from ..model.offer import OfferStatus
from ..model.order import OrderStatus
from ..model.pin import PinKind
from ..model.quote import Quote
from ..model.shift import Timetable
from ..model.stop import Stop, StopRole
from ..model.task import TaskStatus
from .columns import EnumText, Instant, Json

metadata = MetaData()
_Row = Mapping[str, Any]


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _int(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _at(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Instant, nullable=nullable)


def _bytes(name: str, *, nullable: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=nullable)


def _json(name: str, kind: Any, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Json(kind), nullable=nullable)


def _sequence() -> Column[int]:
    return Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True)


schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True), _at("applied_at"))

accounts = Table(
    "accounts", metadata,
    _key("id"), _bytes("name_sealed"), _bytes("phone_sealed"), _bytes("phone_hash"), _text("key_id"),
    _text("language"), Column("is_blocked", Boolean, nullable=False), _at("created_at"),
    _text("password_hash", nullable=True),
)  # fmt: skip

campuses = Table(
    "campuses", metadata,
    _key("id"), _text("name"), _json("settings", CampusSettings), _at("created_at"), _int("version"), _bytes("map"),
)  # fmt: skip

memberships = Table(
    "memberships", metadata,
    _key("account_id"), _key("campus_id"), _json("roles", frozenset[Role]),
    Column("runner_status", EnumText(RunnerStatus), nullable=False), _int("credit"), _text("vehicle"),
    Column("is_on_duty", Boolean, nullable=False), _int("credit_lines"),
)  # fmt: skip

credit_entries = Table(
    "credit_entries", metadata,
    _key("id"), _text("campus_id"), _text("account_id"), _int("number"), _at("at"), _int("delta"), _int("balance"),
    Column("reason", EnumText(CreditReason), nullable=False), _text("subject_id"), _text("rule_version"),
    _text("order_id", nullable=True), _json("facts", dict[str, Any]), _text("note"), _text("actor_id", nullable=True),
)  # fmt: skip

credit_appeals = Table(
    "credit_appeals", metadata,
    _key("id"), _text("campus_id"), _text("account_id"), _text("entry_id"), _at("made_at"), _text("text"),
    Column("status", EnumText(AppealStatus), nullable=False), _at("decided_at", nullable=True),
    _text("decided_by", nullable=True), _text("answer"),
)  # fmt: skip

#: The sums are beside the quote so that statistics need not open every record.
orders = Table(
    "orders", metadata,
    _key("id"), _text("campus_id"), _text("code"), _text("student_id"), _text("type_code"),
    Column("status", EnumText(OrderStatus), nullable=False), _int("version"),
    _json("quote", Quote), _int("service_fen"), _int("goods_cap_fen"),
    _json("stops", tuple[Stop, ...]), _bytes("stops_sealed", nullable=True), _text("key_id", nullable=True),
    _text("description"), _int("weight_g"), _int("volume_ml"), _at("placed_at"), _at("promised_at"),
    _text("merchant_id", nullable=True), _text("runner_id", nullable=True),
    _at("pickup_after", nullable=True), _at("paid_at", nullable=True), _at("assigned_at", nullable=True),
    _at("picked_up_at", nullable=True), _at("delivered_at", nullable=True), _at("confirmed_at", nullable=True),
    _at("cancelled_at", nullable=True), _text("cancel_reason", nullable=True),
    _int("goods_actual_fen", nullable=True), _int("held_fen"), _int("captured_fen"), _int("released_fen"),
    _int("refunded_fen"), _text("pin"), _int("pin_tries"), _int("rating", nullable=True), _text("rating_text"),
    _text("goods_runner_id", nullable=True),
)  # fmt: skip

tasks = Table(
    "tasks", metadata,
    _key("id"), _text("campus_id"), _text("order_id"), Column("status", EnumText(TaskStatus), nullable=False),
    _int("version"), _text("runner_id", nullable=True), _at("opened_at"), _text("offer_id", nullable=True),
    _text("decision_id", nullable=True), _int("fence"),
)  # fmt: skip

offers = Table(
    "offers", metadata,
    _key("id"), _text("campus_id"), _text("task_id"), _text("order_id"), _text("runner_id"),
    Column("status", EnumText(OfferStatus), nullable=False), _at("offered_at"), _at("expires_at"),
    _text("decision_id", nullable=True),
)  # fmt: skip

decisions = Table(
    "decisions", metadata,
    _key("id"), _text("campus_id"), _text("task_id"), _text("order_id"), _at("at"), _text("mode"),
    _text("runner_id", nullable=True), Column("regret_s", Float, nullable=True), _int("fence"),
    _json("candidates", list[dict[str, Any]]), _text("note"), _text("tick_id", nullable=True),
)  # fmt: skip

events = Table(
    "events", metadata,
    _sequence(), _text("id"), _text("campus_id"), Column("kind", EnumText(EventKind), nullable=False),
    _text("subject_id"), _int("version"), _at("at"), _json("payload", dict[str, Any]),
    _text("actor_id", nullable=True), _text("student_id", nullable=True), _text("runner_id", nullable=True),
    _text("former_runner_id", nullable=True), _json("private", dict[str, dict[str, Any]], nullable=True),
    _at("published_at", nullable=True),
)  # fmt: skip

commands = Table(
    "commands", metadata,
    _sequence(), _text("id"), _text("campus_id"), _text("order_id"), _text("kind"), _bytes("body"),
    _at("created_at"), _at("sent_at", nullable=True),
)  # fmt: skip

inbox = Table("inbox", metadata, _key("event_id"), _key("campus_id"), _at("accepted_at"))

jobs = Table(
    "jobs", metadata,
    _key("campus_id"), _key("kind"), _key("subject_id"), _at("due_at"), _json("payload", dict[str, Any]),
    _int("fence"), _int("tries"), _text("holder", nullable=True), _at("leased_until", nullable=True),
)  # fmt: skip

leases = Table("leases", metadata, _key("name"), _text("holder"), _int("fence"), _at("expires_at"))

audit = Table(
    "audit", metadata,
    _key("id"), _text("campus_id"), _at("at"), _text("actor_id"), _text("action"), _text("subject"), _text("reason"),
    _json("before", dict[str, Any], nullable=True), _json("after", dict[str, Any], nullable=True),
)  # fmt: skip

idempotency = Table(
    "idempotency", metadata,
    _key("campus_id"), _key("account_id"), _key("key"), _bytes("request_hash"), _bytes("answer"), _at("stored_at"),
    _text("key_id", nullable=True),
)  # fmt: skip

photos = Table(
    "photos", metadata,
    _key("id"), _text("campus_id"), _text("order_id"), _text("runner_id"), _at("taken_at"), _bytes("jpeg"),
    _int("width"), _int("height"),
)  # fmt: skip

alerts = Table(
    "alerts", metadata,
    _key("id"), _text("campus_id"), _text("kind"), _text("subject_id"), _at("raised_at"), _text("text_zh"),
    _text("text_en"), _at("acknowledged_at", nullable=True), _text("acknowledged_by", nullable=True),
)  # fmt: skip

geofences = Table(
    "geofences", metadata,
    _key("id"), _text("campus_id"), _text("name"), _text("name_en", nullable=True), _json("shape", FenceShape),
    _int("dwell_s", nullable=True), _int("version"), Column("is_active", Boolean, nullable=False),
    _at("created_at"), _at("updated_at"), _text("updated_by"),
)  # fmt: skip

geofence_stays = Table(
    "geofence_stays", metadata,
    _key("id"), _text("campus_id"), _text("fence_id"), _text("runner_id"), _at("entered_at"),
    _at("left_at", nullable=True), Column("has_dwelled", Boolean, nullable=False),
)  # fmt: skip

stop_visits = Table(
    "stop_visits", metadata,
    _key("campus_id"), _key("order_id"), Column("role", EnumText(StopRole), primary_key=True), _key("runner_id"),
    _text("type_code"), _at("begun_at"), _text("place_id", nullable=True), _at("near_at", nullable=True),
    _at("arrived_at", nullable=True), _at("left_at", nullable=True), _at("confirmed_at", nullable=True),
    _at("done_at", nullable=True), _int("times"),
)  # fmt: skip

delays = Table(
    "delays", metadata,
    _key("campus_id"), _key("order_id"), _at("expected_at"), _at("first_told_at"), _at("told_at"), _int("times"),
)  # fmt: skip

runner_plans = Table(
    "runner_plans", metadata,
    _key("campus_id"), _key("runner_id"), _int("version"), _json("timetable", Timetable),
    _json("zones", tuple[str, ...], nullable=True), _at("updated_at"),
)  # fmt: skip

runner_pauses = Table(
    "runner_pauses", metadata,
    _key("campus_id"), _key("runner_id"), _at("break_until", nullable=True), _at("cool_until", nullable=True),
    _int("declines"), _at("declined_at", nullable=True),
)  # fmt: skip

zones = Table(
    "zones", metadata,
    _key("campus_id"), _key("fence_id"), Column("mode", EnumText(AssignMode), nullable=False),
    _json("runner_ids", tuple[str, ...], nullable=True),
)  # fmt: skip

pins = Table(
    "pins", metadata,
    _key("campus_id"), _key("order_id"), Column("kind", EnumText(PinKind), nullable=False), _text("runner_id"),
    _at("placed_at"), _text("placed_by"), _at("until", nullable=True),
)  # fmt: skip

escalations = Table(
    "escalations", metadata,
    _key("campus_id"), _key("order_id"), _at("since"), _int("told"), _int("calls"), _at("called_at", nullable=True),
)  # fmt: skip

sessions = Table(
    "sessions", metadata,
    _key("id"), _text("account_id"), _text("campus_id"), _bytes("refresh_hash"), _at("created_at"), _at("expires_at"),
    _at("revoked_at", nullable=True), _json("roles", frozenset[Role], nullable=True),
)  # fmt: skip

sign_in_codes = Table(
    "sign_in_codes", metadata,
    Column("phone_hash", LargeBinary, primary_key=True), _key("campus_id"), _bytes("code_hash"), _at("sent_at"),
    _at("expires_at"), _int("failures"),
)  # fmt: skip

links = Table(
    "links", metadata,
    Column("code_hash", LargeBinary, primary_key=True), _text("account_id"), _text("campus_id"),
    _json("roles", frozenset[Role], nullable=True), _at("expires_at"),
)  # fmt: skip

lockouts = Table(
    "lockouts", metadata,
    Column("key_hash", LargeBinary, primary_key=True), _int("failures"), _at("failed_at"),
    _at("locked_until", nullable=True),
)  # fmt: skip

planned_routes = Table(
    "planned_routes", metadata,
    _key("campus_id"), _key("runner_id"), _json("visits", tuple[tuple[str, str], ...]), _at("planned_at"),
)  # fmt: skip

coupons = Table(
    "coupons", metadata,
    _key("id"), _text("campus_id"), _text("student_id"), Column("reason", EnumText(CouponReason), nullable=False),
    _text("incident"), _int("amount_fen"), _text("payer"), _text("granted_for"), _at("granted_at"), _at("valid_until"),
    Column("state", EnumText(CouponState), nullable=False), _text("order_id", nullable=True),
)  # fmt: skip

#: What is learned about arrivals; the records are spelt out in ``store.arrivals``.
arrival_models = Table("arrival_models", metadata, _key("campus_id"), _text("body"), _at("learned_at"))

runner_paces = Table(
    "runner_paces", metadata,
    _key("campus_id"), _key("runner_id"), _key("vehicle"), _text("pace"), _at("learned_at"),
)  # fmt: skip
