"""The model's rules by example: ids, states, hours, masks, refusals, prices."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any

import pytest

from dispatch.model import errors, ids, order, order_type, task
from dispatch.model.account import Role, masked_name, masked_phone
from dispatch.model.alert import Alert
from dispatch.model.campus import Campus, CampusSettings
from dispatch.model.errors import InvalidInput, Refusal, WrongState
from dispatch.model.money import MAX_ORDER_FEN, Fen, split_fen
from dispatch.model.offer import Offer, OfferStatus, is_expired
from dispatch.model.order import Order, OrderStatus
from dispatch.model.order_type import DEFAULT_TYPES
from dispatch.model.quote import PricingRules, Quote, QuoteLine, SplitRules, Surcharge, price, service_fen
from dispatch.model.session import Session
from dispatch.model.stop import StopRole

NOW = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)


# --- ids --------------------------------------------------------------------------------------------------------------


def test_an_id_names_its_kind_and_sorts_by_time() -> None:
    first = ids.make_id(ids.ORDER, NOW, b"\xff" * 10)
    second = ids.make_id(ids.ORDER, NOW + timedelta(milliseconds=1), b"\x00" * 10)
    assert first < second
    assert first.startswith("ord_") and len(first) == 30
    assert ids.is_id(ids.ORDER, first) and not ids.is_id(ids.TASK, first)
    assert ids.derived_id(ids.INTENT, first) == "int_" + first[4:]


@pytest.mark.parametrize(
    "text", ["", "ord", "ord_", "ord_123", "ord_" + "U" * 26, "ord_" + "a" * 26, "ord-" + "0" * 26]
)
def test_what_is_no_id(text: str) -> None:
    assert not ids.is_id("ord", text)


def test_a_ulid_takes_ten_bytes_of_luck() -> None:
    with pytest.raises(AssertionError):
        ids.ulid(NOW, b"short")


def test_the_prefixes_differ() -> None:
    prefixes = [value for name, value in vars(ids).items() if name.isupper() and not name.startswith("_")]
    assert len(set(prefixes)) == len(prefixes) and all(len(prefix) == 3 for prefix in prefixes)


# --- states -----------------------------------------------------------------------------------------------------------


def reachable(moves: dict[Any, Any], start: StrEnum) -> set[StrEnum]:
    found, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for (status, _), to in moves.items():
            if status == here and to not in found:
                found.add(to)
                todo.append(to)
    return found


ENDS = {OrderStatus: order.TERMINAL, task.TaskStatus: {task.TaskStatus.DONE, task.TaskStatus.CANCELLED}}
TABLES = [
    pytest.param(order.MOVES, order.next_status, order.OrderStatus.AWAITING_PAYMENT, order.OrderMove, id="order"),
    pytest.param(task.MOVES, task.next_status, task.TaskStatus.OPEN, task.TaskMove, id="task"),
]


@pytest.mark.parametrize(("moves", "next_status", "start", "kinds"), TABLES)
def test_every_state_is_reached_and_leads_to_an_end(moves: Any, next_status: Any, start: Any, kinds: Any) -> None:
    every = set(type(start))
    ends = ENDS[type(start)]
    assert reachable(moves, start) == every
    for status in every - ends:
        assert reachable(moves, status) & ends, f"{status} is a trap"
    for status in ends:
        assert reachable(moves, status) == {status}


@pytest.mark.parametrize(("moves", "next_status", "start", "kinds"), TABLES)
def test_only_the_moves_of_the_table_are_possible(moves: Any, next_status: Any, start: Any, kinds: Any) -> None:
    for status in type(start):
        for move in kinds:
            if (status, move) in moves:
                assert next_status(status, move) is moves[status, move]
            else:
                with pytest.raises(WrongState) as refused:
                    next_status(status, move)
                assert refused.value.detail == {"status": str(status), "move": str(move)}


def test_every_move_is_used_somewhere() -> None:
    assert {move for _, move in order.MOVES} == set(order.OrderMove)
    assert {move for _, move in task.MOVES} == set(task.TaskMove)


def test_a_task_is_held_takeable_or_over() -> None:
    assert not task.HELD & task.TAKEABLE
    assert set(task.TaskStatus) - task.HELD - task.TAKEABLE == ENDS[task.TaskStatus]


def test_an_order_is_live_while_a_runner_is_on_it() -> None:
    quote = Quote((), Fen(0), Fen(0), 0, 0, NOW, NOW)
    live = {
        status
        for status in OrderStatus
        if Order("ord_1", "cmp_1", "acc_1", "parcel", status, 1, quote, (), "", 0, NOW, NOW).is_live
    }
    assert live == {OrderStatus.ASSIGNED, OrderStatus.CARRYING}


def test_an_offer_ends_at_its_deadline() -> None:
    offer = Offer("ofr_1", "cmp_1", "tsk_1", "ord_1", "acc_1", OfferStatus.PENDING, NOW, NOW + timedelta(seconds=15))
    assert not is_expired(offer, NOW + timedelta(seconds=14, microseconds=999_999))
    assert is_expired(offer, NOW + timedelta(seconds=15))


def test_a_session_is_good_until_it_ends_or_is_revoked() -> None:
    session = Session("ses_1", "acc_1", "cmp_1", b"", NOW, NOW + timedelta(days=1), roles=frozenset({Role.STUDENT}))
    assert session.is_good(NOW) and not session.is_good(NOW + timedelta(days=1))
    assert not Session("ses_1", "acc_1", "cmp_1", b"", NOW, NOW + timedelta(days=1), NOW).is_good(NOW)


def test_an_alert_knows_its_order() -> None:
    alert = Alert("alr_1", "cmp_1", "late", "ord_1", NOW, "", "")
    assert alert.order_id == "ord_1" and not alert.is_acknowledged
    assert Alert("alr_1", "cmp_1", "job", "acc_1", NOW, "", "", NOW, "acc_2").order_id is None
    assert Alert("alr_1", "cmp_1", "job", "acc_1", NOW, "", "", NOW, "acc_2").is_acknowledged


# --- hours and masks --------------------------------------------------------------------------------------------------


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    """An instant by the campus's own clock (UTC+8)."""
    return datetime(2026, 11, 2, hour, minute, second, tzinfo=UTC) - timedelta(hours=8)


def test_hours_by_day() -> None:
    settings = CampusSettings(opens=time(7), closes=time(23))
    assert [settings.is_open(at(*t)) for t in ((6, 59, 59), (7,), (22, 59, 59), (23,))] == [False, True, True, False]


def test_hours_across_midnight() -> None:
    settings = CampusSettings(opens=time(18), closes=time(2))
    assert [settings.is_open(at(*t)) for t in ((17, 59), (18,), (0,), (1, 59), (2,))] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_equal_hours_are_always() -> None:
    assert all(CampusSettings().is_open(at(hour)) for hour in range(24))


def test_a_new_campus_has_its_own_settings() -> None:
    campus = Campus("cmp_1", "北校区", CampusSettings(), NOW)
    assert campus.version == 1
    assert set(campus.settings.types) == {"parcel", "meal", "carry", "queue", "shop", "help"}
    assert campus.settings.local_time(NOW) == time(12)


def test_masks_show_little() -> None:
    assert [masked_name(name) for name in ("欧阳修", "A", "")] == ["欧*", "A*", "*"]
    assert [masked_phone(phone) for phone in ("13812345678", "+8613812345678", "12345678", "1234567", "")] == [
        "138****5678", "+86138****5678", "****5678", "****", "****",
    ]  # fmt: skip


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_every_refusal_has_its_own_code_and_a_sentence() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Refusal)]
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        refused = kind()
        assert 400 <= refused.status < 600
        assert refused.message and not refused.message.endswith(" ")
        assert refused.field is None and refused.detail == {}
    told = InvalidInput("bad", field="stops.0.point.lat", limit=3)
    assert (str(told), told.message, told.field, told.detail) == ("bad", "bad", "stops.0.point.lat", {"limit": 3})


# --- prices -----------------------------------------------------------------------------------------------------------


def quoted(kind: str = "parcel", **changes: Any) -> tuple[QuoteLine, ...]:
    asked: dict[str, Any] = {
        "distance_m": 300, "weight_g": 1_000, "wait_min": 0, "goods_cap_fen": Fen(0), "local_time": time(15),
        "rules": PricingRules(),
    }  # fmt: skip
    return price(DEFAULT_TYPES[kind], **(asked | changes))


def lines(kind: str = "parcel", **changes: Any) -> list[tuple[str, int]]:
    return [(line.kind, line.amount_fen) for line in quoted(kind, **changes)]


def test_the_free_distance_and_weight_cost_the_base_only() -> None:
    assert lines() == [("base", 300)]
    assert lines(distance_m=0, weight_g=0) == [("base", 300)]


def test_every_started_step_is_paid() -> None:
    assert lines(distance_m=301) == [("base", 300), ("distance", 15)]
    assert lines(distance_m=400) == [("base", 300), ("distance", 15)]
    assert lines(distance_m=401) == [("base", 300), ("distance", 30)]
    assert lines(weight_g=1_001) == [("base", 300), ("weight", 50)]
    assert lines(weight_g=3_000) == [("base", 300), ("weight", 100)]


def test_queueing_is_paid_by_started_ten_minutes_and_nothing_else_is() -> None:
    assert lines("queue", wait_min=21) == [("base", 300), ("time", 600)]
    assert lines("parcel", wait_min=21) == [("base", 300)]


def test_surcharges_by_time_of_day() -> None:
    assert lines(local_time=time(11)) == [("base", 300), ("time", 100)]
    assert lines(local_time=time(13)) == [("base", 300)]
    assert [lines(local_time=time(hour))[-1] for hour in (22, 23, 0, 5)] == [("time", 200)] * 4
    assert lines(local_time=time(6)) == [("base", 300)]
    assert not Surcharge(time(8), time(8), Fen(1), "", "").applies(time(8))


def test_goods_are_a_line_of_their_own_that_earns_nothing() -> None:
    quote = quoted("meal", goods_cap_fen=Fen(2_000))
    assert [(line.kind, line.amount_fen) for line in quote] == [("base", 400), ("goods", 2_000)]
    assert service_fen(quote) == 400


def test_a_promotion_reduces_the_service_but_not_below_nothing() -> None:
    grants = [
        QuoteLine("promotion", "", "", Fen(fen), payer) for fen, payer in ((-200, "campus"), (-900, "us"), (-5, "us"))
    ]
    quote = quoted("meal", goods_cap_fen=Fen(2_000), promotions=grants)
    assert [(line.amount_fen, line.payer) for line in quote] == [
        (400, "student"), (-200, "campus"), (-200, "us"), (2_000, "student"),
    ]  # fmt: skip
    assert service_fen(quote) == 0
    with pytest.raises(AssertionError):
        quoted(promotions=[QuoteLine("promotion", "", "", Fen(1))])


def test_an_order_over_the_limit_is_refused() -> None:
    assert quoted("shop", goods_cap_fen=Fen(MAX_ORDER_FEN - 500))
    with pytest.raises(InvalidInput) as refused:
        quoted("shop", goods_cap_fen=Fen(MAX_ORDER_FEN - 499))
    assert refused.value.field == "goods_cap_fen"


def test_the_total_is_service_and_goods() -> None:
    assert Quote((), Fen(300), Fen(2_000), 0, 0, NOW, NOW).total_fen == 2_300


def test_shares_add_up_to_a_hundred() -> None:
    SplitRules(100, 0, 0)
    for shares in ((80, 10, 5), (110, -5, -5)):
        with pytest.raises(InvalidInput):
            SplitRules(*shares)


def test_order_types_name_their_stops() -> None:
    assert DEFAULT_TYPES["parcel"].stops == (StopRole.PICKUP, StopRole.DROPOFF)
    assert DEFAULT_TYPES["queue"].stops == (StopRole.PLACE,) and DEFAULT_TYPES["help"].stops == ()
    assert {code for code, kind in DEFAULT_TYPES.items() if kind.has_goods} == {"meal", "shop"}
    assert all(kind.code == code for code, kind in order_type.DEFAULT_TYPES.items())


def test_the_fen_that_do_not_divide_go_to_the_largest_remainders() -> None:
    assert split_fen(Fen(100), [80, 15, 5]) == [80, 15, 5]
    assert split_fen(Fen(1), [1, 1, 1]) == [1, 0, 0]
    assert split_fen(Fen(10), [1, 1, 1]) == [4, 3, 3]
    assert split_fen(Fen(299), [80, 10, 10]) == [239, 30, 30]
    for amount, weights in ((-1, [1]), (1, []), (1, [0]), (1, [2, -1])):
        with pytest.raises(AssertionError):
            split_fen(Fen(amount), weights)
