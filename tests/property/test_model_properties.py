"""The model's promises for every input: sums are kept, prices add up, nobody hears what is not theirs."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dispatch.model import ids
from dispatch.model.campus import CampusSettings
from dispatch.model.errors import InvalidInput
from dispatch.model.event import (
    Event,
    EventKind,
    Publication,
    console_topic,
    hall_topic,
    order_topic,
    publications,
    runner_topic,
)
from dispatch.model.money import MAX_ORDER_FEN, Fen, split_fen
from dispatch.model.order_type import DEFAULT_TYPES
from dispatch.model.quote import PricingRules, QuoteLine, price, service_fen

K = EventKind
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10_000), min_size=1, max_size=8))
def test_a_split_keeps_every_fen_and_is_fair_to_one(amount: int, weights: list[int]) -> None:
    assume(sum(weights) > 0)
    shares = split_fen(Fen(amount), weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        exact = amount * weight / sum(weights)
        assert share >= 0 and abs(share - exact) <= 1 + exact * 1e-12
        assert weight or not share, "no weight, no share"


@given(INSTANTS, st.binary(min_size=10, max_size=10), INSTANTS, st.binary(min_size=10, max_size=10))
def test_ids_sort_by_time_and_keep_their_form(a: datetime, luck_a: bytes, b: datetime, luck_b: bytes) -> None:
    one, two = ids.make_id("ord", a, luck_a), ids.make_id("ord", b, luck_b)
    assert ids.is_id("ord", one) and ids.is_id("int", ids.derived_id("int", one))
    if b - a >= timedelta(milliseconds=2):
        assert one < two


@given(st.text())
def test_only_ids_are_ids(text: str) -> None:
    if ids.is_id("ord", text):
        assert len(text) == 30 and text[4:].isalnum() and text[4:] == text[4:].upper()


ASKED: dict[str, Any] = {
    "kind": st.sampled_from(sorted(DEFAULT_TYPES)),
    "distance_m": st.integers(0, 20_000),
    "weight_g": st.integers(0, 50_000),
    "wait_min": st.integers(0, 480),
    "goods_cap_fen": st.integers(0, 100_000),
    "local_time": st.times(),
}


def lines_of(asked: dict[str, Any], promotions: tuple[QuoteLine, ...] = ()) -> tuple[QuoteLine, ...]:
    kind = DEFAULT_TYPES[asked["kind"]]
    rest = {name: value for name, value in asked.items() if name != "kind"}
    return price(kind, **rest, rules=PricingRules(), promotions=promotions)


@given(st.fixed_dictionaries(ASKED), st.lists(st.integers(-5_000, 0), max_size=4))
def test_the_lines_add_up_to_service_and_goods(asked: dict[str, Any], grants: list[int]) -> None:
    promotions = tuple(QuoteLine("promotion", "", "", Fen(amount), "campus") for amount in grants)
    lines = lines_of(asked, promotions)
    goods = sum(line.amount_fen for line in lines if line.kind == "goods")
    assert goods == asked["goods_cap_fen"]
    assert sum(line.amount_fen for line in lines) == service_fen(lines) + goods
    assert service_fen(lines) >= 0


@given(st.fixed_dictionaries(ASKED), st.sampled_from(["distance_m", "weight_g", "wait_min"]), st.integers(0, 5_000))
def test_more_never_costs_less(asked: dict[str, Any], what: str, more: int) -> None:
    assert service_fen(lines_of(asked | {what: asked[what] + more})) >= service_fen(lines_of(asked))


@given(st.fixed_dictionaries(ASKED), st.integers(0, 10**9))
def test_no_amount_is_too_large_to_be_refused(asked: dict[str, Any], goods_cap_fen: int) -> None:
    dear = asked | {"goods_cap_fen": Fen(goods_cap_fen)}
    total_fen = service_fen(lines_of(asked)) + goods_cap_fen
    if total_fen <= MAX_ORDER_FEN:
        assert sum(line.amount_fen for line in lines_of(dear)) == total_fen
    else:
        with pytest.raises(InvalidInput):
            lines_of(dear)


@given(st.times(), st.times(), INSTANTS)
def test_open_and_closed_are_opposites(opens: time, closes: time, now: datetime) -> None:
    assume(opens != closes)
    day, night = CampusSettings(opens=opens, closes=closes), CampusSettings(opens=closes, closes=opens)
    assert day.is_open(now) != night.is_open(now)


# --- who hears of what ------------------------------------------------------------------------------------------------

PRIVATE = {audience: {f"for_{audience}": 1} for audience in ("student", "runner", "operator", "hall")}
EVENTS = st.builds(
    Event,
    id=st.just("evt_1"),
    campus_id=st.just("cmp_1"),
    kind=st.sampled_from(EventKind),
    subject_id=st.sampled_from(["ord_1", "acc_1"]),
    version=st.integers(0, 9),
    at=INSTANTS,
    payload=st.just({"order_id": "ord_1"}),
    actor_id=st.none(),
    student_id=st.just("acc_s"),
    runner_id=st.sampled_from([None, "acc_r"]),
    former_runner_id=st.sampled_from([None, "acc_r", "acc_q"]),
    private=st.sampled_from([None, PRIVATE]),
)
OFFERING = {K.TASK_OFFERED, K.OFFER_DECLINED, K.OFFER_EXPIRED, K.OFFER_WITHDRAWN}
STAFF_ONLY = {
    K.MONEY_ALERT, K.ALERT_RAISED, K.ORDER_ESCALATED, K.ORDER_CALLED, K.ORDER_FREED, K.ORDER_HELD,
}  # fmt: skip
CROSSINGS = {K.GEOFENCE_ENTERED, K.GEOFENCE_LEFT, K.GEOFENCE_DWELLED}
ABOUT_PEOPLE = CROSSINGS | {
    K.RUNNER_ON_DUTY, K.RUNNER_OFF_DUTY, K.RUNNER_PAUSED, K.ACCOUNT_BLOCKED, K.ACCESS_CHANGED, K.CREDIT_CHANGED,
    K.WITHDRAWAL_HELD, K.WITHDRAWAL_APPROVED, K.WITHDRAWAL_TO_CONFIRM,
    K.WITHDRAWAL_PAID, K.WITHDRAWAL_FAILED,
}  # fmt: skip


def heard(event: Event) -> dict[str, Publication]:
    told = list(publications(event))
    assert len({publication.topic for publication in told}) == len(told), "a topic hears of an event once"
    return {publication.topic: publication for publication in told}


@given(EVENTS)
def test_the_console_hears_everything(event: Event) -> None:
    assert console_topic("cmp_1") in heard(event)


@given(EVENTS)
def test_a_student_hears_of_the_own_order_and_never_of_offers_or_staff_matters(event: Event) -> None:
    topics = {topic for topic in heard(event) if topic.startswith("order:")}
    is_theirs = event.subject_id == "ord_1" and event.kind not in OFFERING | STAFF_ONLY | ABOUT_PEOPLE
    assert topics == ({order_topic("ord_1")} if is_theirs else set())


@given(EVENTS)
def test_a_runner_hears_only_on_the_own_topic_and_of_a_loss_in_any_case(event: Event) -> None:
    topics = {topic for topic in heard(event) if topic.startswith("runner:")}
    assert topics <= {runner_topic(who) for who in (event.runner_id, event.former_runner_id) if who}
    if event.former_runner_id and event.former_runner_id != event.runner_id:
        assert heard(event)[runner_topic(event.former_runner_id)].data["taken_away"] is True
    if event.kind in OFFERING and event.runner_id:
        assert runner_topic(event.runner_id) in topics


@given(EVENTS)
def test_what_one_audience_may_see_reaches_no_other(event: Event) -> None:
    audiences = {"order": "student", "runner": "runner", "hall": "hall", "console": "operator"}
    for topic, publication in heard(event).items():
        seen = {key for key in publication.data if key.startswith("for_")}
        audience = audiences[topic.partition(":")[0]]
        assert seen <= {f"for_{audience}"}
        if event.private and topic != f"runner:{event.former_runner_id}":
            assert seen == {f"for_{audience}"}


@given(EVENTS)
def test_a_position_is_shared_from_the_assignment_until_the_delivery(event: Event) -> None:
    for topic, publication in heard(event).items():
        if not topic.startswith("order:"):
            assert publication.watch is None and publication.close is None
        elif event.kind in (K.TASK_ASSIGNED, K.TASK_REASSIGNED):
            assert publication.watch == event.runner_id
        elif event.kind in (K.TASK_REOPENED, K.ORDER_DELIVERED, K.ORDER_CANCELLED):
            assert publication.watch == ""
        else:
            assert publication.watch is None


@given(EVENTS)
def test_the_topic_of_an_order_ends_with_its_money(event: Event) -> None:
    for topic, publication in heard(event).items():
        ends = topic.startswith("order:") and event.kind in (K.ORDER_SETTLED, K.ORDER_CLOSED)
        assert publication.close == ("order_ended" if ends else None)


def test_the_hall_hears_neither_names_nor_reasons_nor_of_what_was_never_paid() -> None:
    payload = {
        "order_id": "ord_1",
        "version": 3,
        "status": "cancelled",
        "code": "ABC",
        "reason": "ill",
        "charge_fen": 9,
    }
    for task_status, data in (("cancelled", {"order_id": "ord_1", "version": 3, "status": "cancelled"}), (None, None)):
        told = payload | {"task_status": task_status}
        event = Event("evt_1", "cmp_1", K.ORDER_CANCELLED, "ord_1", 3, datetime.now(UTC), told, runner_id="acc_r")
        publication = heard(event).get(hall_topic("cmp_1"))
        assert (publication.data if publication else None) == data


def test_the_hall_hears_what_may_be_taken_and_what_is_gone() -> None:
    def hears(kind: EventKind) -> bool:
        event = Event("evt_1", "cmp_1", kind, "ord_1", 1, datetime.now(UTC), {}, runner_id="acc_r")
        return hall_topic("cmp_1") in heard(event)

    assert {kind for kind in EventKind if hears(kind)} == {
        K.ORDER_PAID, K.TASK_REOPENED, K.TASK_ASSIGNED, K.TASK_REASSIGNED, K.ORDER_CANCELLED, K.ORDER_CALLED,
        K.ORDER_FREED,
    }  # fmt: skip
