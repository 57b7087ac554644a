"""The pure rules of payments, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from payments import failover, ledger
from payments.attempt import LIVE, MOVES, WITH_MONEY, Attempt, AttemptState, attempt_id, moved, open_attempt
from payments.channels.sandbox import shape
from payments.escrow import hold_after, still_held_fen
from payments.failover import Change, Close, Fail, FinishCancel, Intent, OpenAttempt, Query, Suspect, Wait
from payments.money import Fen, is_amount, yuan
from payments.outcomes import (
    Declined,
    Issued,
    NotIssued,
    QueryAnswer,
    Receiver,
    ReceiverOutcome,
    Refused,
    Unknown,
)
from payments.port import Share
from payments.settlement import RETRY_S, captured_fen, receivers_of, retry_at, sort_outcomes, split_number

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
SHAPES = {each.code: each for each in (shape("a"), shape("b"), shape("card", "debit"), shape("union", can_close=False))}


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def intent(**changes: object) -> Intent:
    base = Intent(id="int_x", amount_fen=Fen(100), channels=("a", "b"), expires_at=at(900))
    return msgspec.structs.replace(base, **changes)


def attempt(state: AttemptState, channel: str = "a", number: int = 1, **changes: object) -> Attempt:
    base = open_attempt(
        intent_id="int_x",
        number=number,
        amount_fen=Fen(100),
        intent_expires_at=at(900),
        shape=SHAPES[channel],
        now=NOW,
    )
    return msgspec.structs.replace(base, state=state, **changes)


def decide(of: Intent, *attempts: Attempt, now: datetime = NOW, passed_over: tuple[str, ...] = ()) -> failover.Step:
    return failover.decide(of, attempts, SHAPES, now, lambda code: code in passed_over)


# -- money ------------------------------------------------------------------------------------------------------------


def test_an_amount_is_a_positive_whole_number_within_the_bound() -> None:
    assert is_amount(1)
    assert not any(is_amount(wrong) for wrong in (0, -1, 10**9, True, 1.0, "1"))  # type: ignore[arg-type]
    assert [yuan(fen) for fen in (0, 5, 1205, -5, -12345)] == ["0.00", "0.05", "12.05", "-0.05", "-123.45"]


# -- attempts ---------------------------------------------------------------------------------------------------------


def test_attempt_ids_are_legal_everywhere() -> None:
    for name in ("int_01J8ZQ4Y5T6V7W8X9Y0Z1A2B3C", "anything at all", "int_ä"):
        for number in (1, 99):
            made = attempt_id(name, number)
            assert made.isascii()
            assert made.isalnum()
            assert 8 <= len(made) <= 29
    assert attempt_id("int_x", 1) != attempt_id("int_y", 1)
    assert len(split_number(attempt_id("int_x", 99), 1295)) == 32
    assert [split_number("A", turn) for turn in (1, 35, 36)] == ["AS1", "ASZ", "AS10"]


def test_proof_of_payment_is_accepted_in_every_state_without_money() -> None:
    for state in AttemptState:
        for happening in ("paid", "paid_again"):
            after = moved(attempt(state), happening, NOW)
            assert (after is None) == (state in WITH_MONEY)


def test_nothing_brings_a_dead_attempt_back_to_life() -> None:
    assert not [key for key, state in MOVES.items() if key[0] not in LIVE and state in LIVE]


def test_a_credential_lives_no_longer_than_intent_and_channel_allow() -> None:
    short = open_attempt(
        intent_id="i",
        number=1,
        amount_fen=Fen(1),
        intent_expires_at=at(90000),
        shape=msgspec.structs.replace(SHAPES["a"], expiry_max_s=60.0),
        now=NOW,
    )
    assert (short.expires_at, short.dead_after) == (at(60), at(65))
    assert attempt(AttemptState.CREATING, "card").dead_after == at(5)


# -- decisions --------------------------------------------------------------------------------------------------------


def test_channels_are_tried_in_order_and_each_once() -> None:
    assert decide(intent()) == OpenAttempt("a", 1)
    assert decide(intent(), attempt(AttemptState.ABANDONED, reason="timeout")) == OpenAttempt("b", 2)
    both = attempt(AttemptState.ABANDONED), attempt(AttemptState.DECLINED, "b", 2, reason="declined")
    assert decide(intent(), *both) == Fail("declined")
    assert decide(intent(channels=("gone",))) == Fail("no_channel")
    interrupted = [attempt(AttemptState.ABANDONED, reason="interrupted") for _ in range(failover.MOST_ATTEMPTS)]
    assert decide(intent(), *interrupted[:2]) == OpenAttempt("a", 3)
    assert decide(intent(), *interrupted) == Fail("interrupted")
    assert decide(intent(), now=at(900)) == Fail("expired")


def test_a_verdict_ends_it() -> None:
    assert decide(intent(), attempt(AttemptState.REFUSED, reason="rule")) == Fail("rule")
    assert decide(intent(switch_to="b"), attempt(AttemptState.CLOSED)) == OpenAttempt("b", 2)
    assert decide(intent(switch_to="b"), attempt(AttemptState.REFUSED, reason="rule")) == Fail("rule")


def test_a_channel_in_trouble_is_passed_over_but_better_than_none() -> None:
    assert decide(intent(), passed_over=("a",)) == OpenAttempt("b", 1)
    assert decide(intent(), passed_over=("a", "b")) == OpenAttempt("a", 1)


def test_what_a_crash_left_is_dropped_or_held() -> None:
    step = decide(intent(), attempt(AttemptState.CREATING))
    assert isinstance(step, Change)
    assert step.attempt.state is AttemptState.ABANDONED
    step = decide(intent(), attempt(AttemptState.CREATING, "card"))
    assert isinstance(step, Change)
    assert step.attempt.state is AttemptState.UNKNOWN


def test_a_delivered_credential_is_waited_for_and_asked_about() -> None:
    issued = attempt(AttemptState.ISSUED, ask_at=at(15))
    assert decide(intent(), issued) == Wait(at(15))
    assert decide(intent(), issued, now=at(15)) == Query(issued)
    assert decide(intent(), msgspec.structs.replace(issued, ask_at=at(9999))) == Wait(at(900))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"switch_to": "b"}, "switched"), ({"phase": "cancelling"}, "not_wanted"), ({"paid_attempt": "x"}, "not_wanted")],
)
def test_a_credential_that_is_not_wanted_is_closed_first(changes: dict[str, object], reason: str) -> None:
    step = decide(intent(**changes), attempt(AttemptState.ISSUED, ask_at=at(15)))
    assert isinstance(step, Change)
    assert (step.attempt.state, step.attempt.reason) == (AttemptState.CLOSING, reason)


def test_closing_asks_closes_and_asks_again() -> None:
    closing = attempt(AttemptState.CLOSING)
    assert decide(intent(), closing) == Query(closing)
    unpaid = failover.after_query(closing, QueryAnswer(standing="unpaid"), SHAPES["a"], NOW)
    assert decide(intent(), unpaid) == Close(unpaid)
    sent = failover.after_close(unpaid, "asked", NOW)
    assert decide(intent(), sent) == Query(sent)
    still = failover.after_query(sent, QueryAnswer(standing="unpaid"), SHAPES["a"], NOW)
    assert decide(intent(), still) == Wait(still.ask_at)
    assert still.ask_at > NOW
    assert decide(intent(), still, now=still.ask_at) == Close(still)
    dead = failover.after_query(still, QueryAnswer(standing="closed"), SHAPES["a"], NOW)
    assert dead.state is AttemptState.CLOSED
    waiting = failover.after_close(unpaid, "no_answer", NOW)
    assert waiting.ask_at > NOW


def test_absence_proves_nothing_before_the_expiry() -> None:
    closing = attempt(AttemptState.CLOSING)
    absent = QueryAnswer(standing="absent")
    assert failover.after_query(closing, absent, SHAPES["a"], at(904)).state is AttemptState.CLOSING
    assert failover.after_query(closing, absent, SHAPES["a"], at(905)).state is AttemptState.CLOSED


def test_an_open_order_is_dead_after_its_expiry_only_where_it_cannot_be_closed() -> None:
    unpaid = QueryAnswer(standing="unpaid")
    for channel, state in (("a", AttemptState.CLOSING), ("union", AttemptState.CLOSED)):
        closing = attempt(AttemptState.CLOSING, channel)
        assert failover.after_query(closing, unpaid, SHAPES[channel], at(905)).state is state
    closing = attempt(AttemptState.CLOSING, "union", seen="unpaid")
    assert isinstance(decide(intent(), closing), Query)


def test_a_long_rung_ends_where_the_proof_can_be_had() -> None:
    closing = attempt(AttemptState.CLOSING, asks=8, seen="absent")
    after = failover.after_query(closing, QueryAnswer(standing="absent"), SHAPES["a"], at(800))
    assert after.ask_at == after.dead_after


def test_a_debit_without_an_answer_is_asked_about_before_it_is_reversed() -> None:
    unknown = attempt(AttemptState.UNKNOWN, "card", seen="unpaid", asks=5)
    assert isinstance(decide(intent(), unknown), Query)
    assert isinstance(decide(intent(), msgspec.structs.replace(unknown, asks=6)), Close)
    for seen, step in (("absent", Close), ("", Close), ("close_sent", Query)):
        # Not to be heard of proves nothing while it may be on its way; that the reversal was sent is no proof either.
        assert isinstance(decide(intent(), msgspec.structs.replace(unknown, asks=6, seen=seen)), step)
    first = failover.after_query(
        attempt(AttemptState.UNKNOWN, "card"), QueryAnswer(standing="unpaid"), SHAPES["card"], NOW
    )
    assert (first.asks, first.seen) == (1, "unpaid")
    assert first.ask_at > NOW
    last = failover.after_query(unknown, QueryAnswer(standing="absent"), SHAPES["card"], NOW)
    assert last.ask_at == NOW, "nothing is waited for before the reversal"


@pytest.mark.parametrize("channel", ["a", "union", "card"])
def test_silence_proves_nothing_however_late(channel: str) -> None:
    silence = QueryAnswer(standing="no_answer")
    closing = attempt(AttemptState.CLOSING, channel, seen="unpaid")
    after = failover.after_query(closing, silence, SHAPES[channel], at(99_999))
    assert (after.state, after.seen, after.asks) == (AttemptState.CLOSING, "unpaid", 1)


def test_what_was_closed_early_is_looked_at_once_more_after_its_end() -> None:
    closed = QueryAnswer(standing="closed")
    early = failover.after_query(attempt(AttemptState.CLOSING), closed, SHAPES["a"], at(10))
    assert (early.state, early.seen, early.ask_at) == (AttemptState.CLOSED, failover.LAST_LOOK, early.dead_after)
    over = intent(phase="failed")
    assert decide(over, early, now=at(10)) == Wait(early.dead_after)
    assert decide(over, early, now=early.dead_after) == Query(early)
    before = failover.after_query(early, closed, SHAPES["a"], at(904))
    assert before.seen == failover.LAST_LOOK, "asked too early"
    silent = failover.after_query(early, QueryAnswer(standing="no_answer"), SHAPES["a"], at(905))
    assert silent.seen == failover.LAST_LOOK, "and nobody answered"
    assert silent.ask_at == at(905 + 60)
    done = failover.after_query(early, closed, SHAPES["a"], at(905))
    assert done.seen == ""
    assert decide(over, done, now=at(2000)) == Wait(None)
    late = failover.after_query(attempt(AttemptState.CLOSING), closed, SHAPES["a"], at(905))
    assert late.seen == "", "its end was over already"


def test_what_risk_stops_waits_for_its_end_and_is_not_paid() -> None:
    for verdict in ("challenge", "hold", "refuse"):
        stopped = intent(risk_verdict=verdict)
        assert decide(stopped) == Wait(at(900))
        assert decide(stopped, now=at(900)) == Fail("expired")
        step = decide(stopped, attempt(AttemptState.ISSUED))
        assert isinstance(step, Change)
        assert step.attempt.state is AttemptState.CLOSING
        assert decide(stopped, attempt(AttemptState.CLOSED)) == Wait(None)
        assert not failover.may_switch(stopped, [], NOW)
    assert decide(intent(risk_verdict="hold", phase="cancelled")) == Wait(None)
    assert decide(intent(risk_verdict="allow")) == OpenAttempt("a", 1)


def test_nothing_new_is_tried_while_people_look() -> None:
    assert decide(intent(is_suspicious=True)) == Wait(None)
    step = decide(intent(is_suspicious=True), attempt(AttemptState.ISSUED))
    assert isinstance(step, Change)
    assert step.attempt.state is AttemptState.CLOSING


def test_an_order_is_taken_up_to_the_limit_where_somebody_pays_its_parts() -> None:
    limited = msgspec.structs.replace(SHAPES["a"], limit_fen=Fen(100))
    assert [failover.takes(limited, Fen(fen)) for fen in (100, 101)] == [True, False]
    assert not failover.takes(msgspec.structs.replace(SHAPES["a"], can_split=False), Fen(1))


def test_without_proof_for_a_day_it_is_suspicious() -> None:
    closing = attempt(AttemptState.CLOSING)
    assert decide(intent(), closing, now=at(86400)) == Suspect("no_proof")
    assert decide(intent(is_suspicious=True), closing, now=at(86400)) == Wait(None)


def test_an_abandoned_order_is_tended_in_the_background() -> None:
    paid = attempt(AttemptState.PAID, "b", 2)
    left = attempt(AttemptState.ABANDONED, ask_at=at(300))
    settled = intent(paid_attempt=paid.id)
    assert decide(settled, left, paid) == Wait(at(300))
    assert decide(settled, left, paid, now=at(300)) == Query(left)
    both = left, attempt(AttemptState.ABANDONED, "b", 2, ask_at=at(200))
    assert decide(settled, *both) == Wait(at(200))
    assert decide(settled, *both, now=at(300)) == Query(left)
    live = attempt(AttemptState.ISSUED, "b", 2, ask_at=at(400))
    assert decide(intent(), left, live) == Wait(at(300))
    assert decide(intent(), left, live, now=at(300)) == Query(left)
    assert decide(settled, paid) == Wait(None)


def test_cancelling_ends_when_nothing_is_alive() -> None:
    assert decide(intent(phase="cancelling")) == FinishCancel()
    assert decide(intent(phase="cancelling"), attempt(AttemptState.CLOSED)) == FinishCancel()
    assert decide(intent(phase="cancelled"), attempt(AttemptState.CLOSED)) == Wait(None)


def test_answers_to_creating() -> None:
    creating = attempt(AttemptState.CREATING)
    for answer, state in (
        (Issued({"x": 1}), AttemptState.ISSUED),
        (NotIssued("timeout"), AttemptState.ABANDONED),
        (NotIssued("no", may_switch=False), AttemptState.REFUSED),
        (Refused("rule"), AttemptState.REFUSED),
    ):
        after = failover.after_create(creating, answer, NOW)
        assert after is not None
        assert after.state is state
    assert failover.after_create(attempt(AttemptState.ABANDONED), Issued({"x": 1}), NOW) is None


def test_answers_to_debiting() -> None:
    creating = attempt(AttemptState.CREATING, "card")
    for answer, state in (
        (Declined("poor"), AttemptState.DECLINED),
        (Declined("rule", may_switch=False), AttemptState.REFUSED),
        (Unknown("timeout"), AttemptState.UNKNOWN),
    ):
        after = failover.after_debit(creating, answer, NOW)
        assert after is not None
        assert after.state is state


def test_when_an_answer_is_asked_about_next() -> None:
    creating, debit = attempt(AttemptState.CREATING), attempt(AttemptState.CREATING, "card")
    issued = failover.after_create(creating, Issued({"x": 1}), at(3))
    abandoned = failover.after_create(creating, NotIssued("timeout"), at(3))
    unknown = failover.after_debit(debit, Unknown("timeout"), at(3))
    assert issued is not None and abandoned is not None and unknown is not None
    assert (issued.ask_at, abandoned.ask_at, unknown.ask_at) == (at(18), at(303), at(4))
    assert issued.credential == {"x": 1}
    for left, ask_at in ((creating, at(310)), (debit, at(10))):
        step = decide(intent(), left, now=at(10))
        assert isinstance(step, Change)
        assert (step.attempt.ask_at, step.attempt.reason) == (ask_at, failover.INTERRUPTED)


def test_an_answer_about_a_settled_attempt_changes_nothing() -> None:
    paid = attempt(AttemptState.PAID)
    assert failover.after_query(paid, QueryAnswer(standing="closed"), SHAPES["a"], NOW) == paid
    assert failover.ask_delay_s(paid) == 900


def test_the_outward_state_is_a_function_of_the_rows() -> None:
    state = failover.intent_state
    assert state(intent(), []) == "pending"
    assert state(intent(), [attempt(AttemptState.ISSUED)]) == "pending"
    assert state(intent(), [attempt(AttemptState.CLOSING)]) == "processing"
    assert state(intent(paid_attempt="x", is_suspicious=True), []) == "success"
    assert state(intent(is_suspicious=True), []) == "suspicious"
    assert state(intent(phase="failed"), []) == "failed"
    assert state(intent(phase="cancelled"), []) == "failed"


def test_who_may_switch() -> None:
    assert failover.may_switch(intent(phase="failed"), [attempt(AttemptState.DECLINED)], NOW)
    assert not failover.may_switch(intent(), [attempt(AttemptState.REFUSED)], NOW)
    assert not failover.may_switch(intent(phase="cancelled"), [], NOW)
    assert not failover.may_switch(intent(paid_attempt="x"), [], NOW)
    assert not failover.may_switch(intent(is_suspicious=True), [], NOW)
    assert not failover.may_switch(intent(), [], at(900))


# -- escrow, settlement, ledger ------------------------------------------------------------------------------


def test_the_hold_moves_by_its_table() -> None:
    assert hold_after("none", "paid") == "held"
    with pytest.raises(AssertionError, match="captured cannot be told 'release'"):
        hold_after("captured", "release")
    assert still_held_fen("none", Fen(5), Fen(0), Fen(0)) == 0
    assert still_held_fen("held", Fen(5), Fen(2), Fen(1)) == 2
    with pytest.raises(AssertionError):
        still_held_fen("held", Fen(5), Fen(5), Fen(1))


def test_shares_become_receivers() -> None:
    shares = [
        Share(party="runner", account_ref="r", amount_fen=3),
        Share(party="campus", account_ref="c", amount_fen=0),
        Share(party="runner", account_ref="r", amount_fen=4),
        Share(party="platform", account_ref="platform", amount_fen=1),
    ]
    receivers = receivers_of(shares, Fen(8))
    assert [(receiver.party, receiver.amount_fen) for receiver in receivers] == [("runner", 7), ("platform", 1)]
    assert captured_fen(receivers) == 8
    with pytest.raises(ValueError, match="shares of 8 fen out of a hold of 7 fen"):
        receivers_of(shares, Fen(7))


def test_a_receiver_that_is_not_named_is_still_open() -> None:
    receivers = [Receiver(party="runner", account_ref=name, amount_fen=Fen(1)) for name in "abcd"]
    outcomes = [
        ReceiverOutcome(party="runner", account_ref="a", standing="paid"),
        ReceiverOutcome(party="runner", account_ref="b", standing="pending"),
        ReceiverOutcome(party="runner", account_ref="c", standing="closed", reason="gone"),
    ]
    paid, still_open, closed = sort_outcomes(receivers, outcomes)
    assert (paid, still_open, closed) == ([receivers[0]], [receivers[1], receivers[3]], [(receivers[2], "gone")])


def test_retries_grow_and_never_end() -> None:
    assert retry_at(1, NOW) == at(RETRY_S[0])
    assert retry_at(99, NOW) == at(RETRY_S[-1])


def test_accounts_that_may_not_owe() -> None:
    hold = ledger.hold(channel="a", payer_ref="s", intent_id="i", attempt_id="A1", amount_fen=Fen(5))
    assert ledger.changes(hold) == {"bank:a": -5, "student:s": 0, "escrow:i": 5}
    ledger.check_floors({"bank:a": Fen(-5), "platform": Fen(-1), "escrow:i": Fen(0)})
    for account in ("escrow:i", "runner:r", "student:s", "campus:c", "suspense"):
        with pytest.raises(ledger.LedgerError):
            ledger.check_floors({account: Fen(-1)})
    assert ledger.accounts_of("platform") == ("platform",)
    with pytest.raises(AssertionError):
        ledger.Entry(debit="x", credit="x", amount_fen=Fen(1), kind="k", ref="r", attempt_id="a")
    with pytest.raises(AssertionError):
        ledger.Entry(debit="x", credit="y", amount_fen=Fen(0), kind="k", ref="r", attempt_id="a")
