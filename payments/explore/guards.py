"""The failover with one of its guards taken away at a time: the search has to find the harm that the guard prevents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from payments import failover, group
from payments.attempt import Attempt, AttemptState, moved
from payments.explore.group import explore_group
from payments.explore.moves import Rules
from payments.explore.search import Found
from payments.explore.single import explore
from payments.failover import Change, Intent
from payments.group import Dissolve, GroupStep, Parent, Part, PayParent, WaitForParts
from payments.outcomes import Capabilities, CreateAnswer, Issued, QueryAnswer


class Guard(NamedTuple):
    """A guard, what it is for, and the search without it."""

    name: str
    without: str
    search: Callable[[], Found]


def _without_fence(attempt: Attempt, answer: CreateAnswer, now: datetime) -> Attempt | None:
    if isinstance(answer, Issued) and attempt.state is AttemptState.ABANDONED:
        attempt = msgspec.structs.replace(attempt, state=AttemptState.CREATING)
    return failover.after_create(attempt, answer, now)


def _absence_is_death(attempt: Attempt, answer: QueryAnswer, shape: Capabilities, asked_at: datetime) -> Attempt:
    if answer.standing == "absent":
        answer = QueryAnswer(standing="closed")
    return failover.after_query(attempt, answer, shape, asked_at)


def _closing_is_death(attempt: Attempt, answer: Any, now: datetime) -> Attempt:
    return moved(attempt, "proved_dead", now) or failover.after_close(attempt, answer, now)


def _silence_is_declining(attempt: Attempt, answer: Any, now: datetime) -> Attempt | None:
    return moved(attempt, "declined", now)


def _no_last_look(attempt: Attempt, answer: QueryAnswer, shape: Capabilities, asked_at: datetime) -> Attempt:
    after = failover.after_query(attempt, answer, shape, asked_at)
    return msgspec.structs.replace(after, seen="") if after.seen == failover.LAST_LOOK else after


def _switch_at_once(intent: Intent, attempts: Sequence[Attempt], *rest: Any) -> failover.Step:
    if intent.switch_to is not None and attempts and attempts[-1].state is AttemptState.ISSUED:
        return Change(msgspec.structs.replace(attempts[-1], state=AttemptState.CLOSED))
    return failover.decide(intent, attempts, *rest)


def _drop_what_a_crash_left(
    intent: Intent, attempts: Sequence[Attempt], shapes: Mapping[str, Capabilities], *rest: Any
) -> failover.Step:
    forgetful = {code: msgspec.structs.replace(shape, is_direct_debit=False) for code, shape in shapes.items()}
    return failover.decide(intent, attempts, forgetful, *rest)


def _verdicts_are_declines(intent: Intent, attempts: Sequence[Attempt], *rest: Any) -> failover.Step:
    softened = [
        msgspec.structs.replace(attempt, state=AttemptState.DECLINED)
        if attempt.state is AttemptState.REFUSED
        else attempt
        for attempt in attempts
    ]
    return failover.decide(intent, softened, *rest)


def _no_timer(parent: Parent, parts: Sequence[Part], now: datetime) -> GroupStep:
    step = group.decide(parent, parts, now)
    return WaitForParts(None) if isinstance(step, Dissolve) and parent.phase == "failed" else step


def _first_part_is_all(parent: Parent, parts: Sequence[Part], now: datetime) -> GroupStep:
    is_one_held = not parent.is_paid and parent.phase == "open" and parts[0].hold == "held"
    return PayParent() if is_one_held else group.decide(parent, parts, now)


#: Each with the smallest game in which it is missed.
GUARDS: tuple[Guard, ...] = (
    Guard(
        "fence",
        "a credential that came too late is delivered after all",
        lambda: explore("wv", Rules(after_create=_without_fence)),
    ),
    Guard(
        "re-query",
        "that a close was answered counts as proof",
        lambda: explore("wv", Rules(after_close=_closing_is_death), wishes=1),
    ),
    Guard(
        "wait for expiry",
        "a code that nobody scanned yet counts as dead",
        lambda: explore("qw", Rules(after_query=_absence_is_death), wishes=1),
    ),
    Guard(
        "margin of a debit",
        "a debit that has not arrived yet counts as dead",
        lambda: explore("dw", Rules(after_query=_absence_is_death)),
    ),
    Guard(
        "direct-debit hold",
        "a debit without an answer counts as declined",
        lambda: explore("dw", Rules(after_debit=_silence_is_declining)),
    ),
    Guard(
        "boot scan",
        "a debit that a crash cut short is dropped like a credential",
        lambda: explore("dw", Rules(decide=_drop_what_a_crash_left), crashes=1),
    ),
    Guard(
        "persist first",
        "the attempt is committed only when its answer came",
        lambda: explore("dw", Rules(persists_first=False), crashes=1),
    ),
    Guard(
        "one live attempt",
        "a second driver may commit another attempt",
        lambda: explore("vq", Rules(has_index=False)),
    ),
    Guard(
        "close first",
        "a wish for another channel is granted at once",
        lambda: explore("wv", Rules(decide=_switch_at_once), wishes=1),
    ),
    Guard(
        "first proof wins",
        "every proof of payment pays the intent",
        lambda: explore("wv", Rules(has_first_wins=False), wishes=1, lies=1),
    ),
    Guard(
        "automatic refund",
        "nobody gives a second payment back",
        lambda: explore("wv", Rules(gives_back=False), wishes=1, lies=1),
    ),
    Guard(
        "last look",
        "what was closed is never asked about again",
        lambda: explore("wv", Rules(after_query=_no_last_look), wishes=1, lies=1),
    ),
    Guard(
        "verdict",
        "after a provider's verdict another channel is tried",
        lambda: explore("wv", Rules(decide=_verdicts_are_declines)),
    ),
    Guard(
        "group timer",
        "a part that is not paid in time holds the others for ever",
        lambda: explore_group("l", decide=_no_timer),
    ),
    Guard(
        "all parts",
        "the first part pays the whole",
        lambda: explore_group("l", decide=_first_part_is_all),
    ),
)
