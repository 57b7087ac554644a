"""Every interleaving of the shipping failover with a hostile world: never two orders paid, and money never stuck.

The world may delay or lose any message, let the payer pay whatever was delivered at any moment, answer a close without
effect, let somebody ask for another channel or cancel, and crash or stall the process at any step. The decisions are
``payments.failover``'s own; asking is always allowed here, which only adds behaviour.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from payments import failover
from payments.attempt import WITH_MONEY, Attempt, AttemptState, moved
from payments.channels.sandbox import shape
from payments.failover import Change, Close, Fail, FinishCancel, Intent, OpenAttempt, Query
from payments.money import Fen
from payments.outcomes import Capabilities, Issued, NotIssued, QueryAnswer, Unknown

#: w, v: like WeChat · p: a code that comes to life when scanned · d: a direct debit · u: cannot be closed
SHAPES = {
    "w": shape("w"),
    "v": shape("v"),
    "p": shape("p", "local"),
    "d": shape("d", "debit"),
    "u": shape("u", can_close=False),
}
T0 = datetime(2026, 3, 2, tzinfo=UTC)
EXPIRES_S = 100.0
#: The three moments that matter: the start, after a debit's margin, after the intent's expiry and every margin.
MOMENTS = (T0, T0 + timedelta(seconds=10), T0 + timedelta(seconds=200))
MOST_ATTEMPTS = 2


class Try(NamedTuple):
    """One attempt in both worlds. ``leg``: the create call, 0 nowhere, 1 on its way there, 2 on its way back."""

    channel: str
    born: int
    state: AttemptState
    seen: str
    has_asked: bool
    is_interrupted: bool
    is_delivered: bool
    provider: str  # none open paid closed refunded
    leg: int


class World(NamedTuple):
    tries: tuple[Try, ...]
    paid: int | None
    phase: str
    switch_to: str | None
    moment: int
    call: tuple[Any, ...] | None
    crashes: int
    wishes: int


class Rules(NamedTuple):
    """What is explored; a test breaks one at a time to see that it is needed."""

    decide: Callable[..., failover.Step] = failover.decide
    after_create: Callable[..., Attempt | None] = failover.after_create
    after_debit: Callable[..., Attempt | None] = failover.after_debit
    after_query: Callable[..., Attempt] = failover.after_query
    after_close: Callable[..., Attempt] = failover.after_close


def _attempt(world: World, index: int) -> Attempt:
    one = world.tries[index]
    born = MOMENTS[one.born]
    margin_s = SHAPES[one.channel].expiry_margin_s
    expires_at = T0 + timedelta(seconds=EXPIRES_S)
    return Attempt(
        id=str(index),
        intent_id="i",
        number=index + 1,
        channel=one.channel,
        state=one.state,
        amount_fen=Fen(1),
        created_at=born,
        changed_at=born,
        expires_at=expires_at,
        dead_after=(born if SHAPES[one.channel].is_direct_debit else expires_at) + timedelta(seconds=margin_s),
        ask_at=born,
        asks=failover.DEBIT_ASKS_BEFORE_REVERSE if one.has_asked else 0,
        seen=one.seen,
        reason=failover.INTERRUPTED if one.is_interrupted else "",
    )


def _put(world: World, index: int, **changes: Any) -> World:
    tries = list(world.tries)
    tries[index] = tries[index]._replace(**changes)
    return world._replace(tries=tuple(tries))


def _save(world: World, attempt: Attempt | None) -> World:
    """Commit what became of an attempt; delivery follows the commit of ISSUED."""
    if attempt is None:
        return world
    index = int(attempt.id)
    was = world.tries[index]
    # Kept is only what a decision can depend on: a dozen states that differ in nothing else are one.
    is_pursued = attempt.is_live or attempt.state is AttemptState.ABANDONED
    return _put(
        world,
        index,
        state=attempt.state,
        seen="unpaid" if attempt.seen == "unpaid" and is_pursued else "",
        has_asked=attempt.asks > 0 and attempt.state is AttemptState.UNKNOWN,
        is_interrupted=attempt.reason == failover.INTERRUPTED,
        is_delivered=was.is_delivered or attempt.state is AttemptState.ISSUED,
    )


def _book(world: World, index: int) -> World:
    """Proof of payment: the compare-and-set, and the refund of whoever came second."""
    attempt = _attempt(world, index)
    if attempt.state in WITH_MONEY:
        return world
    is_first = world.paid is None
    after = moved(attempt, "paid" if is_first else "paid_again", MOMENTS[world.moment])
    world = _save(world, after)
    if not is_first:
        return world
    phase = "open" if world.phase in ("open", "failed") else "cancelled"
    return world._replace(paid=index, phase=phase, switch_to=None)


def _plan(world: World, rules: Rules, channels: str) -> World:
    """What the driver does in one transaction: up to the next call or the next wait."""
    for _ in range(12):
        intent = Intent(
            id="i",
            amount_fen=Fen(1),
            channels=tuple(channels),
            expires_at=T0 + timedelta(seconds=EXPIRES_S),
            phase=world.phase,  # type: ignore[arg-type]
            paid_attempt=None if world.paid is None else str(world.paid),
            switch_to=world.switch_to,
        )
        attempts = [_attempt(world, index) for index in range(len(world.tries))]
        step = rules.decide(intent, attempts, SHAPES, MOMENTS[world.moment], lambda _: False)
        match step:
            case OpenAttempt(channel=channel):
                assert not any(attempt.is_live for attempt in attempts), "the index would refuse it"
                if len(attempts) == MOST_ATTEMPTS:
                    return world
                leg = 0 if SHAPES[channel].creates_locally else 1
                new = Try(channel, world.moment, AttemptState.CREATING, "", False, False, False, "none", leg)
                return world._replace(tries=(*world.tries, new), switch_to=None, call=("create", len(attempts)))
            case Change(attempt):
                world = _save(world, attempt)
            case Query(attempt):
                return world._replace(call=("query", int(attempt.id), world.moment))
            case Close(attempt):
                return world._replace(call=("close", int(attempt.id)))
            case Fail():
                world = world._replace(phase="failed", switch_to=None)
            case FinishCancel():
                world = world._replace(phase="cancelled", switch_to=None)
            case _:
                return world
    raise AssertionError("an intent settles down within a few steps")


def _standing(one: Try, moment: int) -> str:
    is_late = moment == 2
    match one.provider:
        case "none":
            return "absent"
        case "open":
            return "unpaid" if not is_late or one.channel == "u" else "closed"
        case "refunded":
            return "paid"
        case _:
            return one.provider


def _provider_moves(world: World) -> Iterator[tuple[str, World]]:
    is_late = world.moment == 2
    for index, one in enumerate(world.tries):
        if one.leg == 1:
            yield f"request {index} lost", _put(world, index, leg=0)
            born = "paid" if one.channel == "d" else "closed" if is_late else "open"
            provider = born if one.provider == "none" else one.provider
            yield f"request {index} arrives", _put(world, index, leg=2, provider=provider)
        can_be_paid = one.provider == "open" or (one.channel == "p" and one.provider == "none")
        if one.is_delivered and can_be_paid and not is_late:
            yield f"payer pays {index}", _put(world, index, provider="paid")
        if one.provider == "paid" and one.state not in WITH_MONEY:
            yield f"notice of {index}", _book(world, index)
        if one.state is AttemptState.PAID_DUPLICATE and one.provider == "paid":
            yield f"refund of {index}", _put(world, index, state=AttemptState.REFUNDED, provider="refunded")


def _call_moves(world: World, rules: Rules, channels: str) -> Iterator[tuple[str, World]]:
    now = MOMENTS[world.moment]

    def then(after: World) -> World:
        return _plan(after._replace(call=None), rules, channels)

    for index, one in enumerate(world.tries):
        if one.leg == 2:  # A reply; nobody may be waiting any more, or somebody who stalled beyond his lease.
            is_waited_for = world.call == ("create", index)
            landed = _put(world, index, leg=0)
            if one.channel == "d":
                landed = _book(landed, index)
            else:
                landed = _save(landed, rules.after_create(_attempt(landed, index), Issued({}), now))
            yield f"reply {index}", then(landed) if is_waited_for else landed
            yield f"reply {index} lost", _put(world, index, leg=0)
    match world.call:
        case ("create", index):
            attempt = _attempt(world, index)
            if SHAPES[attempt.channel].creates_locally:
                yield "signed", then(_save(world, rules.after_create(attempt, Issued({}), now)))
            elif attempt.channel == "d":
                yield "debit times out", then(_save(world, rules.after_debit(attempt, Unknown("t"), now)))
            else:
                yield "create times out", then(_save(world, rules.after_create(attempt, NotIssued("t"), now)))
        case ("query", index, asked):
            standing = _standing(world.tries[index], world.moment)
            yield f"{index} is {standing}", world._replace(call=("answer", index, standing, asked))
            yield f"query of {index} lost", world._replace(call=("answer", index, "no_answer", asked))
        case ("answer", index, standing, asked):
            if standing == "paid":
                yield f"book {index}", then(_book(world, index))
            else:
                attempt = _attempt(world, index)
                after = rules.after_query(
                    attempt, QueryAnswer(standing=standing), SHAPES[attempt.channel], MOMENTS[asked]
                )
                yield f"learn {index}", then(_save(world, after))
        case ("close", index):
            one = world.tries[index]
            yield "close without effect", world._replace(call=("closed", index))
            if one.provider == "open":
                yield "close works", _put(world, index, provider="closed")._replace(call=("closed", index))
        case ("closed", index):
            yield "close answered", then(_save(world, rules.after_close(_attempt(world, index), "asked", now)))
        case None:
            yield "look", _plan(world, rules, channels)


def _moves(world: World, rules: Rules, channels: str) -> Iterator[tuple[str, World]]:
    yield from _provider_moves(world)
    yield from _call_moves(world, rules, channels)
    if world.moment < 2:
        # A debit that was called before the margin passed does not arrive after it; that is what a margin is.
        later = world._replace(moment=world.moment + 1)
        for index, one in enumerate(world.tries):
            if one.channel == "d" and one.leg == 1:
                later = _put(later, index, leg=0)
        yield "time passes", later
    if world.crashes:
        yield "crash", world._replace(call=None, crashes=world.crashes - 1)
    if world.wishes and world.paid is None and world.moment < 2:
        attempts = [_attempt(world, index) for index in range(len(world.tries))]
        if world.phase in ("open", "failed"):
            yield "cancel", world._replace(phase="cancelling", wishes=world.wishes - 1)
            if attempts and attempts[-1].state is not AttemptState.REFUSED:
                for channel in channels:
                    wished = world._replace(phase="open", switch_to=channel, wishes=world.wishes - 1)
                    yield f"switch to {channel}", wished


class Found(NamedTuple):
    states: int
    double: list[str] | None
    stuck: list[str] | None


def explore(channels: str, rules: Rules = Rules(), crashes: int = 1, wishes: int = 1) -> Found:  # noqa: B008
    """Breadth first, so that a trace is a shortest one; ends at the first double payment."""
    start = World((), None, "open", None, 0, None, crashes, wishes)
    came_from: dict[World, tuple[World, str] | None] = {start: None}
    back: dict[World, list[World]] = {}
    todo = deque([start])
    while todo:
        world = todo.popleft()
        if sum(one.provider == "paid" for one in world.tries) > 1:
            return Found(len(came_from), _trace(came_from, world), None)
        for name, after in _moves(world, rules, channels):
            back.setdefault(after, []).append(world)
            if after not in came_from:
                came_from[after] = (world, name)
                todo.append(after)
    # Settled must be within reach of every state: money that nobody could book or give back any more is lost.
    stack = [world for world in came_from if _is_settled(world)]
    reaching = set(stack)
    while stack:
        for before in back.get(stack.pop(), ()):
            if before not in reaching:
                reaching.add(before)
                stack.append(before)
    stuck = next((world for world in came_from if world not in reaching), None)
    return Found(len(came_from), None, _trace(came_from, stuck))


def _is_settled(world: World) -> bool:
    paid = [index for index, one in enumerate(world.tries) if one.provider == "paid"]
    return all(world.tries[index].state is AttemptState.PAID and world.paid == index for index in paid)


def _trace(came_from: dict[World, tuple[World, str] | None], world: World | None) -> list[str] | None:
    if world is None:
        return None
    names: list[str] = []
    step = came_from[world]
    while step is not None:
        names.append(step[1])
        step = came_from[step[0]]
    return names[::-1]


SOAK = bool(os.environ.get("SOAK"))
HOSTILITY = [(1, 1)] if SOAK else [(1, 0), (0, 1)]


@pytest.mark.parametrize(("crashes", "wishes"), HOSTILITY)
@pytest.mark.parametrize("channels", ["wv", "wp", "pw", "wd", "dw", "uw"] if SOAK else ["wv", "pw", "dw", "uw"])
def test_never_two_orders_paid_and_money_never_stuck(channels: str, crashes: int, wishes: int) -> None:
    found = explore(channels, crashes=crashes, wishes=wishes)
    assert found.double is None
    assert found.stuck is None
    assert found.states > 100


def _without_fence(attempt: Attempt, answer: Any, now: datetime) -> Attempt | None:
    if isinstance(answer, Issued) and attempt.state is AttemptState.ABANDONED:
        return failover.after_create(_in(attempt, AttemptState.CREATING), answer, now)
    return failover.after_create(attempt, answer, now)


def _absence_is_death(attempt: Attempt, answer: QueryAnswer, shape: Capabilities, asked_at: datetime) -> Attempt:
    if answer.standing == "absent":
        answer = QueryAnswer(standing="closed")
    return failover.after_query(attempt, answer, shape, asked_at)


def _closing_is_death(attempt: Attempt, answer: Any, now: datetime) -> Attempt:
    return moved(attempt, "proved_dead", now) or failover.after_close(attempt, answer, now)


def _silence_is_declining(attempt: Attempt, answer: Any, now: datetime) -> Attempt | None:
    return moved(attempt, "declined", now)


def _in(attempt: Attempt, state: AttemptState) -> Attempt:
    return type(attempt)(**{**{name: getattr(attempt, name) for name in attempt.__struct_fields__}, "state": state})


def _switch_at_once(intent: Intent, attempts: Any, *rest: Any) -> failover.Step:
    if intent.switch_to is not None and attempts and attempts[-1].state is AttemptState.ISSUED:
        return Change(_in(attempts[-1], AttemptState.CLOSED))
    return failover.decide(intent, attempts, *rest)


@pytest.mark.parametrize(
    ("channels", "broken"),
    [
        ("wv", Rules(after_create=_without_fence)),
        ("pw", Rules(after_query=_absence_is_death)),
        ("dw", Rules(after_query=_absence_is_death)),
        ("wv", Rules(after_close=_closing_is_death)),
        ("dw", Rules(after_debit=_silence_is_declining)),
        ("wv", Rules(decide=_switch_at_once)),
    ],
    ids=["fence", "expiry of a code", "margin of a debit", "asking again", "holding a debit", "closing first"],
)
def test_each_rule_is_needed(channels: str, broken: Rules) -> None:
    assert explore(channels, broken, crashes=0).double is not None
