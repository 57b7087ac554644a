"""The figures on which the sequence rests: who changes one of them means to."""

from __future__ import annotations

from datetime import UTC, datetime

from payments import driver, failover, health
from payments.attempt import AttemptState
from payments.channels import http, sandbox
from payments.settlement import again_at, retry_at
from payments.terms import DAY_S, Terms


def test_a_credential_has_eight_hundred_milliseconds_and_a_connection_three_hundred() -> None:
    assert (http.CONNECT_S, http.CREATE_S, sandbox.CREATE_S) == (0.3, 0.8, 0.8)
    assert http.CREATE_S < driver.CREATE_S <= 2.0, "and somebody who waits for a connection, too, not much longer"
    assert health.SLOW_S["create"] == http.CREATE_S / 2, "a burst is over before its first time-out"


def test_a_debit_is_asked_about_at_doubling_times_and_then_reversed() -> None:
    ladder = failover.ASK_S[AttemptState.UNKNOWN]
    assert ladder[: failover.DEBIT_ASKS_BEFORE_REVERSE] == (1, 2, 4, 8, 16, 32)


def test_everything_is_asked_about_every_quarter_of_an_hour_for_a_day() -> None:
    assert {ladder[-1] for ladder in failover.ASK_S.values()} == {900}
    assert all(list(ladder) == sorted(ladder) for ladder in failover.ASK_S.values())
    assert failover.PROOF_WITHIN_S == DAY_S
    assert failover.ABANDONED_FIRST_ASK_S == 300, "a close must not come before the order that it closes"


def test_a_hold_is_paid_out_five_days_before_its_end() -> None:
    assert (Terms().pay_within_s, Terms().hold_lives_s) == (25 * DAY_S, 30 * DAY_S)


def test_money_that_did_not_go_out_is_told_again_ever_more_seldom() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    silent = [(retry_at(tries, now) - now).total_seconds() for tries in (1, 2, 3, 4, 5, 6, 7, 99)]
    assert silent == [5, 15, 30, 60, 300, 900, 900, 900]
    closed = [(again_at(turn, now) - now).total_seconds() for turn in (1, 2, 6, 7, 8, 9, 50)]
    assert closed == [5, 15, 900, 3600, DAY_S / 2, DAY_S / 2, DAY_S / 2]
