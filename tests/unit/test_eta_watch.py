"""The lunch peak's account of arrival ranges: each is judged against its own order's arrival, and nothing grows."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.eta_watch import CHECK_HEAD, HEAD, LEAST_PREDICTIONS, MOST_ORDERS, MOST_PER_ORDER, EtaWatch

MIN = 60_000


def order(order_id: str, status: str, low: int, middle: int, high: int, *warnings: str, **more: Any) -> dict[str, Any]:
    """Times in minutes."""
    eta = {"from_ms": low * MIN, "at_ms": middle * MIN, "to_ms": high * MIN, "warnings": list(warnings)}
    return {"id": order_id, "status": status, "eta": eta, "placed_at_ms": 0, "promised_at_ms": 30 * MIN} | more


def seen() -> EtaWatch:
    watch = EtaWatch()
    watch.see({"now_ms": 0, "orders": [order("a", "assigned", 8, 10, 15), order("b", "assigned", 20, 22, 30)]})
    silent = order("y", "assigned", 1, 2, 3) | {"eta": None}
    later = [order("a", "carrying", 9, 10, 11, "stale_position"), order("x", "open", 0, 0, 0), silent]
    watch.see({"now_ms": 4 * MIN, "orders": [*later, order("never", "assigned", 6, 7, 8)]})
    return watch


def arrived(order_id: str) -> float:
    return {"a": 12.0 * MIN, "b": 40.0 * MIN}.get(order_id, 0.0)


def row(watch: EtaWatch, name: str) -> list[str]:
    (found,) = [one for one in watch.rows(arrived) if one[0] == name]
    return found


def test_ranges_are_judged_by_the_arrival_of_their_order() -> None:
    watch = seen()
    assert watch.coverage(arrived) == pytest.approx(1 / 3)
    assert row(watch, "at assignment")[1:5] == ["2", "50.0 %", "0.0 %", "50.0 %"]
    assert row(watch, "at pick-up")[1:5] == ["1", "0.0 %", "0.0 %", "100.0 %"]
    assert row(watch, "every minute")[1:] == ["3", "33.3 %", "0.0 %", "66.7 %", "380", "120"]
    assert row(watch, "… without a warning")[1] == "2"
    assert {len(one) for one in watch.rows(arrived)} == {len(HEAD)}
    spans = [one[0] for one in watch.rows(arrived) if "ahead" in one[0]]
    assert spans == ["… 5–10 min ahead", "… 10–20 min ahead", "… over 20 min ahead"]


def test_every_minute_is_divided_into_thirds_of_the_peak() -> None:
    watch = seen()
    thirds = [int(one[1]) for one in watch.rows(arrived) if "third" in one[0]]
    assert sum(thirds) == 3 and len(thirds) == 2, "a third in which nothing was told has no row"


def test_promises_are_counted_by_those_that_were_delivered() -> None:
    rows = dict(seen().promises(arrived))
    assert rows["delivered, seen under way"] == "2" and rows["on time"] == "50.0 %"
    assert rows["promised within, median min"] == "30.0"


def test_nothing_seen_has_no_rows() -> None:
    assert EtaWatch().rows(arrived) == [] and EtaWatch().promises(arrived) == []
    assert EtaWatch().coverage(arrived) != EtaWatch().coverage(arrived), "not a number"


def told_often(hits: int, misses: int) -> EtaWatch:
    watch = EtaWatch()
    orders = [order(f"h{n}", "assigned", 8, 10, 15) for n in range(hits)]
    watch.see({"now_ms": 0, "orders": orders + [order(f"m{n}", "assigned", 8, 9, 10) for n in range(misses)]})
    return watch


@pytest.mark.parametrize(
    ("hits", "misses", "verdict"),
    [
        (225, 75, "ok"), (255, 45, "ok"), (224, 76, "misses"), (256, 44, "misses"), (300, 0, "misses"),
        (LEAST_PREDICTIONS - 1, 0, "not measured"), (0, 0, "not measured"),
    ],
)  # fmt: skip
def test_the_range_must_be_as_wide_as_it_says_once_there_are_many(hits: int, misses: int, verdict: str) -> None:
    check = told_often(hits, misses).check(lambda _: 12.0 * MIN)
    assert (check.verdict, check.of) == (verdict, hits + misses)
    row = check.row()
    assert len(row) == len(CHECK_HEAD) and row[3:] == ["75–85 %", verdict]
    assert row[2] == ("-" if verdict == "not measured" else f"{100 * hits / (hits + misses):.1f} %")


def test_what_is_kept_is_bounded() -> None:
    watch = EtaWatch()
    for number in range(MOST_PER_ORDER + 5):
        watch.see({"now_ms": number, "orders": [order("a", "assigned", 1, 2, 3)]})
    assert len(watch.told["a"]) == MOST_PER_ORDER
    watch.see({"now_ms": 0, "orders": [order(f"o{n}", "assigned", 1, 2, 3) for n in range(MOST_ORDERS)]})
    assert len(watch.told) == MOST_ORDERS == len(watch.promised) and "a" not in watch.told
