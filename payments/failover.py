"""The decisions of the failover sequence, pure: given an intent, its attempts and the time, what comes next.

An attempt is dropped without proof only while its credential was never delivered. Once it was, no slowness moves the
intent to another channel: the old attempt is proved dead first, by the provider's own word or by its expiry. Unknown is
not failed. The first proof of payment pays the intent; a second one is given back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from payments.attempt import Attempt, AttemptState, moved
from payments.guards.risk import Decision
from payments.money import Fen
from payments.outcomes import (
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    Declined,
    Issued,
    NotIssued,
    QueryAnswer,
    Refused,
    Unknown,
)
from payments.port import IntentState
from payments.states import Facts, outward_state

#: open · cancelling: to be given back, attempts still being closed · cancelled · failed: proved dead.
Phase = Literal["open", "cancelling", "cancelled", "failed"]

#: Seconds between questions, by state; the last one for ever after.
ASK_S: dict[AttemptState, tuple[float, ...]] = {
    AttemptState.ISSUED: (15, 30, 60, 120, 300, 600, 900),
    AttemptState.CLOSING: (1, 2, 4, 8, 16, 32, 60, 300, 900),
    AttemptState.UNKNOWN: (1, 2, 4, 8, 16, 32, 60, 300, 900),
    AttemptState.ABANDONED: (60, 300, 900),
    AttemptState.CLOSED: (60, 300, 900),
}
#: An abandoned order may still be on its way to the provider; closing it earlier could come before it does.
ABANDONED_FIRST_ASK_S = 300.0
#: A direct debit without an answer is asked about this often before it is reversed.
DEBIT_ASKS_BEFORE_REVERSE = 6
#: Attempts of one intent, whoever asked for them.
MOST_ATTEMPTS = 20
#: Why an attempt was dropped whose call nobody waits for any more.
INTERRUPTED = "interrupted"
#: Without proof for so long the machine stops asking, and people and the bill decide.
PROOF_WITHIN_S = 24 * 3600.0
#: Why an intent is suspicious whose attempt nobody could prove paid or dead.
NO_PROOF = "no_proof"
#: What a closed attempt waits for: one more question once its time is over, for a provider whose "closed" was not so.
LAST_LOOK = "last_look"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What deciding needs of an intent."""

    id: str
    amount_fen: Fen
    channels: tuple[str, ...]
    expires_at: datetime
    phase: Phase = "open"
    paid_attempt: str | None = None
    switch_to: str | None = None
    is_suspicious: bool = False
    #: What risk says of it today; None: nobody objected.
    risk_verdict: Decision | None = None

    @property
    def is_stopped(self) -> bool:
        """Risk lets nobody pay it (yet)."""
        return self.risk_verdict is not None and self.risk_verdict != "allow"

    @property
    def wants_payment(self) -> bool:
        is_open = self.phase == "open" and self.paid_attempt is None
        return is_open and not self.is_suspicious and not self.is_stopped


# -- steps --------------------------------------------------------------------------------------------------------


class OpenAttempt(msgspec.Struct, frozen=True):
    """Commit a new attempt on this channel, then call the channel."""

    channel: str
    number: int


class Change(msgspec.Struct, frozen=True):
    """Commit this attempt as it is now."""

    attempt: Attempt


class Query(msgspec.Struct, frozen=True):
    """Ask the channel how the attempt stands."""

    attempt: Attempt


class Close(msgspec.Struct, frozen=True):
    """Ask the channel to close the attempt; that it answers is no proof."""

    attempt: Attempt


class Fail(msgspec.Struct, frozen=True):
    """Every attempt is dead and no other may be made."""

    reason: str


class FinishCancel(msgspec.Struct, frozen=True):
    """A cancelled intent has no live attempt left and no money: say so."""


class Suspect(msgspec.Struct, frozen=True):
    """No proof in time: people must look."""

    reason: str


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before ``until``; None: nothing to do until something arrives."""

    until: datetime | None


Step = OpenAttempt | Change | Query | Close | Fail | FinishCancel | Suspect | Wait


def decide(
    intent: Intent,
    attempts: Sequence[Attempt],
    shapes: Mapping[str, Capabilities],
    now: datetime,
    is_passed_over: Callable[[str], bool],
) -> Step:
    """The next step. Whoever asks holds the intent alone, so an attempt that is CREATING was left by a crash.

    ``is_passed_over`` says which channels a breaker keeps out of new attempts; it never touches a live one.
    """
    for attempt in attempts:
        if attempt.state is AttemptState.CREATING:
            return Change(_left_behind(attempt, shapes[attempt.channel], now))
    live = next((attempt for attempt in attempts if attempt.is_live), None)
    if live is not None:
        step = _tend_live(intent, live, shapes[live.channel], now)
        return step if not isinstance(step, Wait) else _sooner(step, _tend_abandoned(intent, attempts, shapes, now))
    if intent.wants_payment:
        return _next_attempt(intent, attempts, shapes, now, is_passed_over)
    if intent.phase == "cancelling" and intent.paid_attempt is None:
        return FinishCancel()
    if intent.is_stopped and intent.phase == "open" and not attempts:
        return Fail("expired") if now >= intent.expires_at else Wait(intent.expires_at)
    return _tend_abandoned(intent, attempts, shapes, now)


def _left_behind(attempt: Attempt, shape: Capabilities, now: datetime) -> Attempt:
    """A call whose answer nobody waits for any more: dropped if it was never delivered, unknown if it may have paid."""
    happening = "not_issued" if shape.is_fenceable else "unanswered"
    ask_at = now + timedelta(seconds=ABANDONED_FIRST_ASK_S) if shape.is_fenceable else now
    after = moved(attempt, happening, now, reason=INTERRUPTED, ask_at=ask_at)
    assert after is not None
    return after


def _next_attempt(
    intent: Intent,
    attempts: Sequence[Attempt],
    shapes: Mapping[str, Capabilities],
    now: datetime,
    is_passed_over: Callable[[str], bool],
) -> Step:
    if now >= intent.expires_at:
        return Fail("expired")
    # A provider's verdict on the order ends it, whatever anybody wished for while it was being reached.
    judged = next((attempt for attempt in attempts if attempt.state is AttemptState.REFUSED), None)
    if judged is not None:
        return Fail(judged.reason)
    number = len(attempts) + 1
    usable = [code for code in intent.channels if code in shapes and takes(shapes[code], intent.amount_fen)]
    wished = intent.switch_to
    if wished is not None and wished in shapes and takes(shapes[wished], intent.amount_fen) and number <= MOST_ATTEMPTS:
        return OpenAttempt(wished, number)
    # A call that our own crash cut short says nothing about the channel.
    tried = {attempt.channel for attempt in attempts if attempt.reason != INTERRUPTED}
    left = [code for code in usable if code not in tried]
    if not left or number > MOST_ATTEMPTS:
        return Fail(attempts[-1].reason if attempts else "no_channel")
    # A channel in trouble is still better than none; asked one by one, since being let in may use up a probe.
    return OpenAttempt(next((code for code in left if not is_passed_over(code)), left[0]), number)


def takes(shape: Capabilities, amount_fen: Fen) -> bool:
    """Whether one order of this amount is within the channel's limit, and somebody pays its parts: every order is in
    escrow."""
    return shape.can_split and (shape.limit_fen is None or amount_fen <= shape.limit_fen)


def _tend_live(intent: Intent, attempt: Attempt, shape: Capabilities, now: datetime) -> Step:
    if attempt.state is AttemptState.ISSUED:
        is_unwanted = not intent.wants_payment or intent.switch_to is not None
        if is_unwanted or now >= attempt.expires_at:
            reason = "expired" if not is_unwanted else "switched" if intent.wants_payment else "not_wanted"
            closing = moved(attempt, "close", now, reason=reason, ask_at=now, asks=0, seen="")
            assert closing is not None
            return Change(closing)
        return Query(attempt) if now >= attempt.ask_at else Wait(min(attempt.ask_at, attempt.expires_at))
    return _pursue(intent, attempt, shape, now)


def _tend_abandoned(
    intent: Intent, attempts: Sequence[Attempt], shapes: Mapping[str, Capabilities], now: datetime
) -> Step:
    """Those that nobody waits for: never delivered, or closed before their time was over. Not being able to ask about
    them for a day is no suspicion: the bill has the last word on every order."""
    step: Step = Wait(None)
    for attempt in attempts:
        is_to_look = attempt.state is AttemptState.CLOSED and attempt.seen == LAST_LOOK
        is_left = is_to_look or attempt.state is AttemptState.ABANDONED
        if is_left and now < attempt.created_at + timedelta(seconds=PROOF_WITHIN_S):
            step = _sooner(step, _pursue(intent, attempt, shapes[attempt.channel], now))
    return step


def _pursue(intent: Intent, attempt: Attempt, shape: Capabilities, now: datetime) -> Step:
    """Ask, close, ask again, until the provider's word or the expiry proves the attempt dead or paid."""
    if attempt.is_live and now >= attempt.created_at + timedelta(seconds=PROOF_WITHIN_S):
        return Wait(None) if intent.is_suspicious else Suspect(NO_PROOF)
    if now < attempt.ask_at:
        return Wait(attempt.ask_at)
    is_to_close = attempt.seen == "unpaid"
    if attempt.state is AttemptState.UNKNOWN:
        # Whatever was seen: a debit that the provider has not heard of may still be on its way.
        is_to_close = attempt.asks >= DEBIT_ASKS_BEFORE_REVERSE and attempt.seen != "close_sent"
    return Close(attempt) if is_to_close and shape.can_close else Query(attempt)


def _sooner(first: Step, second: Step) -> Step:
    """Of two steps the one to take now; of two waits the shorter."""
    if not isinstance(first, Wait):
        return first
    if not isinstance(second, Wait):
        return second
    untils = [wait.until for wait in (first, second) if wait.until is not None]
    return Wait(min(untils, default=None))


# -- what an answer does to an attempt ------------------------------------------------------------------------------


def after_create(attempt: Attempt, answer: CreateAnswer, now: datetime) -> Attempt | None:
    """The attempt after its credential came or did not; None: too late, the answer is discarded undelivered."""
    match answer:
        case Issued(credential):
            ask_at = now + timedelta(seconds=ASK_S[AttemptState.ISSUED][0])
            return moved(attempt, "issued", now, credential=credential, ask_at=ask_at)
        case NotIssued(reason, True):
            ask_at = now + timedelta(seconds=ABANDONED_FIRST_ASK_S)
            return moved(attempt, "not_issued", now, reason=reason, ask_at=ask_at)
        case NotIssued(reason) | Refused(reason):
            return moved(attempt, "refused", now, reason=reason)


def after_debit(attempt: Attempt, answer: Declined | Unknown, now: datetime) -> Attempt | None:
    """The attempt after a direct debit that brought no money for certain, or no answer; money is booked."""
    match answer:
        case Declined(reason, may_switch):
            return moved(attempt, "declined" if may_switch else "refused", now, reason=reason)
        case Unknown(reason):
            ask_at = now + timedelta(seconds=ASK_S[AttemptState.UNKNOWN][0])
            return moved(attempt, "unanswered", now, reason=reason, ask_at=ask_at)


def after_query(attempt: Attempt, answer: QueryAnswer, shape: Capabilities, asked_at: datetime) -> Attempt:
    """The attempt after any answer but "paid". ``asked_at`` is from before the call: only then does an absence or an
    open order, seen after the last moment at which it could be paid, prove that it never will be."""
    is_past = asked_at >= attempt.dead_after
    is_dead = answer.standing == "closed" or (
        is_past and (answer.standing == "absent" or (answer.standing == "unpaid" and not shape.can_close))
    )
    if is_dead:
        looks = {} if is_past else {"seen": LAST_LOOK, "ask_at": attempt.dead_after, "asks": 0}
        dead = moved(attempt, "proved_dead", asked_at, reason=attempt.reason or "closed", **looks)
        if dead is not None:
            return dead
    if attempt.state not in ASK_S:
        return attempt
    if attempt.state is AttemptState.CLOSED:
        return _after_last_look(attempt, answer, asked_at)
    # The first "unpaid" of an attempt to be closed is followed by the close at once; later ones keep the ladder.
    is_first_unpaid = answer.standing == "unpaid" and attempt.seen == "" and attempt.state is not AttemptState.UNKNOWN
    is_at_once = is_first_unpaid and attempt.state is not AttemptState.ISSUED
    delay_s = 0.0 if is_at_once or _is_to_reverse_now(attempt, shape) else ask_delay_s(attempt)
    seen = attempt.seen if attempt.state is AttemptState.ISSUED or answer.standing == "no_answer" else answer.standing
    ask_at = asked_at + timedelta(seconds=delay_s)
    if not is_past:
        # The answer that settles it can be had from then on; a long rung of the ladder would only hold the payer up.
        ask_at = min(ask_at, attempt.dead_after)
    return msgspec.structs.replace(attempt, asks=attempt.asks + 1, seen=seen, ask_at=ask_at)


def _is_to_reverse_now(attempt: Attempt, shape: Capabilities) -> bool:
    """Whether this was the last question before a debit is reversed."""
    is_last = attempt.asks + 1 == DEBIT_ASKS_BEFORE_REVERSE
    return attempt.state is AttemptState.UNKNOWN and is_last and shape.can_close


def after_mismatch(attempt: Attempt, shape: Capabilities, asked_at: datetime) -> Attempt:
    """The attempt after a proof that does not fit the order: no proof of anything, and it is asked about again."""
    return after_query(attempt, QueryAnswer(standing="no_answer"), shape, asked_at)


def _after_last_look(attempt: Attempt, answer: QueryAnswer, asked_at: datetime) -> Attempt:
    is_over = answer.standing != "no_answer" and asked_at >= attempt.dead_after
    ask_at = asked_at + timedelta(seconds=ask_delay_s(attempt))
    return msgspec.structs.replace(attempt, seen="" if is_over else attempt.seen, asks=attempt.asks + 1, ask_at=ask_at)


def after_close(attempt: Attempt, answer: CloseAnswer, now: datetime) -> Attempt:
    """The attempt after the close was asked for: whatever came back, the next question is how it stands."""
    delay_s = ask_delay_s(attempt) if answer == "no_answer" else 0.0
    return msgspec.structs.replace(attempt, seen="close_sent", ask_at=now + timedelta(seconds=delay_s))


def ask_delay_s(attempt: Attempt) -> float:
    """Seconds until the next question."""
    ladder = ASK_S.get(attempt.state, (900.0,))
    return ladder[min(attempt.asks, len(ladder) - 1)]


def may_switch(intent: Intent, attempts: Sequence[Attempt], now: datetime) -> bool:
    """Whether the payer may ask for a channel: there is time, no money, no doubt, and no provider's verdict."""
    is_judged = bool(attempts) and attempts[-1].state is AttemptState.REFUSED
    is_unpaid = intent.phase in ("open", "failed") and intent.paid_attempt is None and not intent.is_suspicious
    return is_unpaid and not is_judged and not intent.is_stopped and now < intent.expires_at


def facts(intent: Intent, attempts: Sequence[Attempt]) -> Facts:
    """What the intent's outward state depends on."""
    return Facts(
        is_paid=intent.paid_attempt is not None,
        is_suspicious=intent.is_suspicious,
        is_over=intent.phase in ("failed", "cancelled"),
        is_busy=any(attempt.is_live and attempt.state is not AttemptState.ISSUED for attempt in attempts),
    )


def intent_state(intent: Intent, attempts: Sequence[Attempt]) -> IntentState:
    """The outward state, a pure function of the rows."""
    return outward_state(facts(intent, attempts))
