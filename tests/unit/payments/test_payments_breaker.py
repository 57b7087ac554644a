"""The breaker of one operation, and what a process thinks of its channels."""

from __future__ import annotations

import pytest

from payments.breaker import (
    FAILURES_TO_OPEN,
    LONGEST_OPEN_S,
    MOST_WATCHED,
    NEWEST,
    OPEN_S,
    PROBE_S,
    PROBES,
    Breaker,
    Verdict,
)
from payments.channels.sandbox import shape
from payments.health import Answer, Health, operation_of_new_orders, verdict_on
from payments.money import Fen
from payments.outcomes import (
    OVERLOAD,
    Declined,
    Issued,
    MoneyAnswer,
    NotIssued,
    QueryAnswer,
    Receiver,
    ReceiverOutcome,
    Refused,
    SplitAnswer,
    Succeeded,
    Unknown,
)

SLOW_S = 0.4


def called(breaker: Breaker, verdict: Verdict, now_s: float = 0.0, times: int = 1) -> None:
    for _ in range(times):
        breaker.end(breaker.begin(now_s), verdict, now_s)


def opened(now_s: float = 0.0) -> Breaker:
    breaker = Breaker(SLOW_S)
    called(breaker, "failed", now_s, FAILURES_TO_OPEN)
    assert breaker.state(now_s) == "open"
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(SLOW_S)
    called(breaker, "failed", times=FAILURES_TO_OPEN - 1)
    called(breaker, "worked")
    called(breaker, "failed", times=FAILURES_TO_OPEN - 1)
    assert breaker.admits(0.0)
    called(breaker, "failed")
    assert breaker.state(0.0) == "open"
    assert not breaker.admits(OPEN_S - 0.01)


def test_it_opens_when_half_of_the_newest_calls_fail() -> None:
    breaker = Breaker(SLOW_S)
    for _ in range(NEWEST // 2 - 1):
        called(breaker, "failed")
        called(breaker, "worked")
    assert breaker.state(0.0) == "closed"
    called(breaker, "worked")
    called(breaker, "failed")
    assert breaker.state(0.0) == "open"


def test_a_burst_opens_it_before_its_first_call_has_ended() -> None:
    breaker = Breaker(SLOW_S)
    numbers = [breaker.begin(turn / 1000) for turn in range(300)]
    assert breaker.admits(SLOW_S - 0.01)
    assert breaker.slow(SLOW_S + 0.01) > FAILURES_TO_OPEN
    assert not breaker.admits(SLOW_S + 0.01), "half of the budget, not all of it"
    for number in numbers:
        breaker.end(number, "failed", 0.8)
    assert breaker.state(OPEN_S + 0.5) == "half_open", "their ends say nothing new"


def test_what_is_ours_says_nothing_of_the_provider() -> None:
    breaker = Breaker(SLOW_S)
    called(breaker, "neutral", times=50)
    assert breaker.state(0.0) == "closed"
    assert breaker.view("a", "create", 0.0).calls == 0


def test_half_open_lets_a_few_probes_through_and_closes_when_they_work() -> None:
    breaker = opened()
    assert [breaker.admits(OPEN_S) for _ in range(PROBES + 2)] == [True] * PROBES + [False] * 2
    numbers = [breaker.begin(OPEN_S) for _ in range(PROBES)]
    assert not breaker.admits(OPEN_S)
    breaker.end(numbers[0], "worked", OPEN_S)
    assert breaker.state(OPEN_S) == "half_open"
    assert breaker.admits(OPEN_S), "the next probe"
    breaker.end(numbers[1], "worked", OPEN_S)
    assert breaker.state(OPEN_S) == "closed"
    assert breaker.view("a", "create", OPEN_S).failures == 0


def test_a_probe_that_fails_opens_it_for_twice_as_long() -> None:
    breaker = opened()
    now_s, open_s = 0.0, OPEN_S
    for _ in range(6):
        now_s += open_s
        assert breaker.admits(now_s)
        called(breaker, "failed", now_s)
        open_s = min(2 * open_s, LONGEST_OPEN_S)
        assert breaker.state(now_s + open_s - 0.01) == "open"
    assert open_s == LONGEST_OPEN_S
    assert breaker.view("a", "create", now_s).open_s == now_s, "since the first time"
    called(breaker, "worked", now_s)
    assert breaker.state(now_s) == "open", "a call that began while it was open is no probe"


def test_a_promised_probe_that_never_comes_is_forgotten() -> None:
    breaker = opened()
    assert [breaker.admits(OPEN_S) for _ in range(PROBES + 1)][-1] is False
    assert breaker.admits(OPEN_S + PROBE_S)


def test_what_it_watches_is_bounded() -> None:
    breaker = Breaker(SLOW_S)
    for _ in range(MOST_WATCHED + 10):
        breaker.begin(0.0)
    view = breaker.view("a", "create", 0.1)
    assert (view.under_way, view.slow, view.state) == (MOST_WATCHED, 0, "closed")


def test_calls_that_ended_are_no_slow_ones() -> None:
    breaker = Breaker(SLOW_S)
    called(breaker, "worked", times=FAILURES_TO_OPEN + 1)
    assert breaker.state(10 * SLOW_S) == "closed"
    view = breaker.view("a", "create", 10 * SLOW_S)
    assert (view.under_way, view.slow, view.calls, view.failed_calls) == (0, 0, FAILURES_TO_OPEN + 1, 0)


def test_a_call_is_slow_from_half_of_its_budget_on_and_counts_with_the_failures() -> None:
    breaker = Breaker(SLOW_S)
    called(breaker, "failed", times=FAILURES_TO_OPEN - 1)
    breaker.begin(0.0)
    assert breaker.state(SLOW_S - 0.01) == "closed"
    assert breaker.slow(SLOW_S) == 1
    assert breaker.state(SLOW_S) == "open"


def test_what_began_before_it_opened_says_nothing_afterwards() -> None:
    breaker = Breaker(SLOW_S)
    early = [breaker.begin(0.0) for _ in range(FAILURES_TO_OPEN)]
    assert breaker.state(SLOW_S) == "open"
    for number in early[:PROBES]:
        breaker.end(number, "worked", SLOW_S + OPEN_S)
    assert breaker.state(SLOW_S + OPEN_S) == "half_open", "they are no probes"
    for _ in range(PROBES):
        assert breaker.admits(SLOW_S + OPEN_S)
        called(breaker, "worked", SLOW_S + OPEN_S)
    assert breaker.state(SLOW_S + OPEN_S) == "closed", "nor are those that never ended slow"


def test_once_closed_it_has_forgotten_its_trouble() -> None:
    breaker = Breaker(SLOW_S)
    for _ in range(NEWEST // 2):
        called(breaker, "failed")
        called(breaker, "worked")
    assert breaker.state(0.0) == "open"
    called(breaker, "worked", OPEN_S, PROBES)
    assert breaker.state(OPEN_S) == "closed"
    assert breaker.view("a", "create", OPEN_S).open_s == 0.0
    called(breaker, "failed", OPEN_S, FAILURES_TO_OPEN)
    assert breaker.state(OPEN_S) == "open"
    assert breaker.state(2 * OPEN_S - 0.01) == "open"
    assert breaker.state(2 * OPEN_S) == "half_open", "as long as the first time"
    assert breaker.view("a", "create", 2 * OPEN_S).open_s == OPEN_S


def test_a_probe_that_fails_takes_the_promises_and_the_good_ones_back() -> None:
    breaker = opened()
    good, bad = (breaker.begin(OPEN_S) for _ in range(PROBES))
    breaker.end(good, "worked", OPEN_S)
    breaker.end(bad, "failed", OPEN_S)
    now_s = 3 * OPEN_S
    assert breaker.state(now_s) == "half_open"
    assert [breaker.admits(now_s) for _ in range(PROBES + 1)] == [True] * PROBES + [False]
    called(breaker, "worked", now_s)
    assert breaker.state(now_s) == "half_open", "the good one of before does not count"
    view = breaker.view("a", "create", now_s)
    assert (view.calls, view.failed_calls) == (FAILURES_TO_OPEN + 3, FAILURES_TO_OPEN + 1)


# -- channels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Issued({}), "worked"),
        (NotIssued("timeout"), "failed"),
        (NotIssued(OVERLOAD), "neutral"),
        (NotIssued("rule", may_switch=False), "worked"),
        (Refused("rule"), "worked"),
        (Succeeded(Fen(1), "t"), "worked"),
        (Declined("balance"), "worked"),
        (Unknown("timeout"), "failed"),
        (Unknown(OVERLOAD), "neutral"),
        (QueryAnswer(standing="absent"), "worked"),
        (QueryAnswer(standing="no_answer"), "failed"),
        ("asked", "worked"),
        ("no_answer", "failed"),
        (MoneyAnswer(standing="pending"), "worked"),
        (MoneyAnswer(standing="no_answer"), "failed"),
        (SplitAnswer(reason="timeout"), "failed"),
        (SplitAnswer(receivers=(ReceiverOutcome(party="runner", account_ref="r", standing="paid"),)), "worked"),
    ],
)
def test_no_is_an_answer_and_silence_is_not(answer: Answer, verdict: Verdict) -> None:
    assert verdict_on(answer) == verdict
    assert Receiver(party="runner", account_ref="r", amount_fen=Fen(1)).amount_fen == 1


def test_new_orders_ask_the_operation_that_they_use() -> None:
    kinds = (shape("a"), shape("card", "debit"), shape("page", "local"))
    assert [operation_of_new_orders(each) for each in kinds] == ["create", "debit", "query"]


def test_a_page_that_is_signed_here_is_judged_by_the_questions_about_it() -> None:
    health = Health({"page": shape("page", "local")}, lambda: 0.0)
    for _ in range(FAILURES_TO_OPEN):
        health.end("page", "query", health.begin("page", "query"), QueryAnswer(standing="no_answer"))
    assert health.is_open("page")
    assert not health.admits("page")


def test_another_operation_in_trouble_keeps_no_order_away() -> None:
    health = Health({"a": shape("a")}, lambda: 0.0)
    for _ in range(FAILURES_TO_OPEN):
        health.end("a", "refund", health.begin("a", "refund"), MoneyAnswer(standing="no_answer"))
    assert health.admits("a")
    health.end("a", "create", health.begin("a", "create"), None)
    views = {view.operation: view for view in health.view().breakers}
    assert (views["refund"].state, views["create"].state) == ("open", "closed")


def test_complaints_are_counted_and_bounded() -> None:
    health = Health({"a": shape("a")}, lambda: 0.0)

    def complain(reason: str, *, is_alarm: bool = True) -> None:
        health.end("a", "create", health.begin("a", "create"), NotIssued(reason, is_alarm=is_alarm))

    complain("SIGN_ERROR")
    complain("SIGN_ERROR")
    complain("timeout", is_alarm=False)
    (only,) = health.view().complaints
    assert (only.channel, only.reason, only.count) == ("a", "SIGN_ERROR", 2)
    for number in range(Health.MOST_COMPLAINTS + 5):
        complain(f"reason {number}")
    complaints = health.view().complaints
    assert len(complaints) == Health.MOST_COMPLAINTS + 1
    assert next(each.count for each in complaints if each.reason == "other") == 6
