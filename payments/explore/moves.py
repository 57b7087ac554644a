"""Everything that may happen to one intent next: our side's steps are the shipping functions, the rest is the world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from payments import failover
from payments.attempt import Attempt, AttemptState, moved
from payments.explore.world import (
    BACK,
    COMES_TO_LIFE,
    CREATING,
    DEBITS,
    DUPLICATE,
    EXPIRES_AT,
    HERE,
    ISSUED,
    JUDGES,
    KINDS,
    LATE,
    MOMENTS,
    MONEY,
    PAID,
    REFUSED,
    SLOW,
    THERE,
    UNDECIDED,
    VERDICT,
    AtProvider,
    Order,
    Row,
    World,
    attempt_of,
    expires_at,
    row_of,
    standing,
    with_item,
)
from payments.failover import Change, Close, Fail, FinishCancel, Intent, OpenAttempt, Phase, Query
from payments.money import Fen
from payments.outcomes import Declined, Issued, NotIssued, QueryAnswer, Refused, Standing, Unknown
from payments.port import IntentState


class Rules(NamedTuple):
    """What is explored. Taking one guard away shows that the search bites; the flags stand for the guards that are SQL:
    the commit before the call, the unique index, the conditional update, and the refund in the outbox."""

    decide: Callable[..., failover.Step] = failover.decide
    after_create: Callable[..., Attempt | None] = failover.after_create
    after_debit: Callable[..., Attempt | None] = failover.after_debit
    after_query: Callable[..., Attempt] = failover.after_query
    after_close: Callable[..., Attempt] = failover.after_close
    persists_first: bool = True
    has_index: bool = True
    has_first_wins: bool = True
    gives_back: bool = True


RULES = Rules()

#: (done by our side or by a world that behaves, what happens, the world after it). Nobody may count on a notice, nor
#: on anything that the payer does.
Move = tuple[bool, str, World]


class Failover:
    """The moves of one intent. Plans and answers are remembered: they depend on our rows alone."""

    def __init__(self, channels: str, rules: Rules = RULES) -> None:
        self.channels = channels
        self.rules = rules
        # A moment at which nothing can change for these kinds would only double the states.
        is_short_lived = any(KINDS[channel].expiry_max_s < KINDS["w"].expiry_max_s for channel in channels)
        has_debits = any(channel in DEBITS for channel in channels)
        of_use = (True, has_debits, is_short_lived, True)
        self._moments = [moment for moment in range(len(MOMENTS)) if of_use[moment]]
        self._plans: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._answers: dict[tuple[Any, ...], Row | None] = {}
        self._states: dict[tuple[Any, ...], IntentState] = {}

    # -- our side -------------------------------------------------------------------------------------------------

    def plan(self, world: World) -> World:
        """What the driver commits in one transaction: up to the next call or the next wait."""
        key = (world.rows, world.paid, world.phase, world.switch_to, world.moment)
        planned = self._plans.get(key)
        if planned is None:
            planned = self._plans[key] = self._plan(world)
        rows, phase, switch_to, call = planned
        orders = world.orders
        if len(rows) > len(orders):
            is_local = KINDS[rows[-1].channel].creates_locally
            orders = (*orders, Order(leg=HERE if is_local else THERE))
        return world._replace(rows=rows, orders=orders, phase=phase, switch_to=switch_to, call=call)

    def _plan(self, world: World) -> tuple[Any, ...]:
        rows, phase, switch_to, now = world.rows, world.phase, world.switch_to, MOMENTS[world.moment]
        for _ in range(12):
            attempts = [attempt_of(row, index) for index, row in enumerate(rows) if row.is_kept]
            intent = self._intent(world, phase, switch_to)
            match self.rules.decide(intent, attempts, KINDS, now, lambda _: False):
                case OpenAttempt(channel=channel):
                    if len(rows) >= len(self.channels):
                        break
                    new = Row(channel, world.moment, CREATING, is_kept=self.rules.persists_first)
                    return (*rows, new), phase, None, ("create", len(rows))
                case Change(attempt):
                    rows = with_item(rows, int(attempt.id), row_of(attempt, rows[int(attempt.id)]))
                case Query(attempt):
                    return rows, phase, switch_to, ("query", int(attempt.id), world.moment)
                case Close(attempt):
                    return rows, phase, switch_to, ("close", int(attempt.id))
                case Fail():
                    phase, switch_to = "failed", None
                case FinishCancel():
                    phase, switch_to = "cancelled", None
                case _:
                    break
        else:
            raise AssertionError("an intent settles down within a few steps")
        return rows, phase, switch_to, None

    def _intent(self, world: World, phase: Phase, switch_to: str | None) -> Intent:
        return Intent(
            id="i",
            amount_fen=Fen(1),
            channels=tuple(self.channels),
            expires_at=EXPIRES_AT,
            phase=phase,
            paid_attempt=None if world.paid is None else str(world.paid),
            switch_to=switch_to,
        )

    def outward(self, world: World) -> IntentState:
        """What the outside sees."""
        key = (world.rows, world.paid, world.phase)
        if key not in self._states:
            attempts = [attempt_of(row, index) for index, row in enumerate(world.rows)]
            intent = self._intent(world, world.phase, world.switch_to)
            self._states[key] = failover.intent_state(intent, attempts)
        return self._states[key]

    def _answered(self, world: World, index: int, how: str, asked: int = 0) -> World:
        """Commit what an answer makes of an attempt; delivery follows the commit of ISSUED."""
        row = world.rows[index]
        key = (row, how, asked, world.moment)
        if key not in self._answers:
            attempt = attempt_of(row, index)
            after = self._after(attempt, how, MOMENTS[asked], MOMENTS[world.moment])
            self._answers[key] = None if after is None else row_of(after, row)
        new = self._answers[key]
        if new is None:
            return world
        order = world.orders[index]
        if new.state == ISSUED:
            order = order._replace(is_delivered=True)
        return world._replace(rows=with_item(world.rows, index, new), orders=with_item(world.orders, index, order))

    def _after(self, attempt: Attempt, how: str, asked_at: datetime, now: datetime) -> Attempt | None:
        rules = self.rules
        match how:
            case "issued":
                return rules.after_create(attempt, Issued({}), now)
            case "not_issued":
                return rules.after_create(attempt, NotIssued("timeout"), now)
            case "refused":
                if attempt.channel in DEBITS:
                    return rules.after_debit(attempt, Declined("rule", may_switch=False), now)
                return rules.after_create(attempt, Refused("rule"), now)
            case "declined":
                return rules.after_debit(attempt, Declined("balance"), now)
            case "unanswered":
                return rules.after_debit(attempt, Unknown("timeout"), now)
            case "close":
                return rules.after_close(attempt, "asked", now)
            case _:
                standing: Standing = how  # type: ignore[assignment]
                answer = QueryAnswer(standing=standing)
                return rules.after_query(attempt, answer, KINDS[attempt.channel], asked_at)

    def _book(self, world: World, index: int) -> World:
        """Proof of payment, in whatever state: the first one pays the intent, any other one is to be given back."""
        row = world.rows[index]
        if row.state in MONEY:
            return world
        is_first = world.paid is None or not self.rules.has_first_wins
        after = moved(attempt_of(row, index), "paid" if is_first else "paid_again", MOMENTS[world.moment])
        assert after is not None, "proof of payment is accepted in every state"
        world = world._replace(rows=with_item(world.rows, index, row_of(after, row)))
        if world.paid is not None:
            return world
        phase: Phase = "open" if world.phase in ("open", "failed") else "cancelled"
        return world._replace(paid=index, phase=phase, switch_to=None)

    # -- the moves ------------------------------------------------------------------------------------------------

    def moves(self, world: World) -> Iterator[Move]:
        """Everything that may happen next."""
        yield from self._provider_moves(world)
        yield from self._call_moves(world)
        if world.moment < LATE:
            yield True, "time passes", self.later(world)
        if world.crashes:
            yield False, "crash", self.crashed(world)
        yield from self._wishes(world)
        yield from self._second_driver(world)

    def later(self, world: World) -> World:
        """Time passes. A debit that was called before its margin does not arrive after it; that is what a margin is."""
        orders = tuple(
            order._replace(leg=HERE) if row.channel in DEBITS and order.leg == THERE else order
            for row, order in zip(world.rows, world.orders, strict=True)
        )
        moment = next(moment for moment in self._moments if moment > world.moment)
        return world._replace(moment=moment, orders=orders)

    def crashed(self, world: World) -> World:
        """The process dies: what was only in its memory is gone."""
        return world._replace(call=None, crashes=world.crashes - 1)

    def _provider_moves(self, world: World) -> Iterator[Move]:
        for index, (row, order) in enumerate(zip(world.rows, world.orders, strict=True)):
            is_late = MOMENTS[world.moment] >= expires_at(row)

            def put(order: Order, index: int = index) -> World:
                return world._replace(orders=with_item(world.orders, index, order))

            if order.leg == THERE:
                yield False, f"request {index} lost", put(order._replace(leg=HERE))
                yield from self._arrivals(row, order, index, put, is_late=is_late)
            if row.channel in DEBITS and order.at == "open" and world.moment == row.born:
                yield False, f"debit {index} takes the money after all", put(order._replace(at="paid"))
                yield False, f"debit {index} is declined after all", put(order._replace(at="closed"))
            if row.channel in COMES_TO_LIFE and order.at == "none" and order.is_delivered and not is_late:
                yield False, f"payer opens {index}", put(order._replace(at="open"))
            if order.is_delivered and order.at == "open" and not is_late:
                yield False, f"payer pays {index}", put(order._replace(at="paid"))
            if order.is_delivered and order.at == "closed" and world.lies and not is_late:
                lied = put(order._replace(at="paid"))._replace(lies=world.lies - 1)
                yield False, f"closed {index} is paid all the same", lied
            if order.at == "paid" and row.state not in MONEY and row.is_kept:
                yield False, f"notice of {index}", self._book(world, index)
            is_twice = row.state == DUPLICATE and self.rules.gives_back
            is_unwanted = world.paid == index and row.state == PAID and world.phase == "cancelled"
            if order.at == "paid" and (is_twice or is_unwanted):
                given = put(order._replace(at="back"))
                state = AttemptState.REFUNDED.value if is_twice else row.state
                rows = with_item(world.rows, index, row._replace(state=state))
                yield True, f"refund of {index}", given._replace(rows=rows)

    @staticmethod
    def _arrivals(
        row: Row, order: Order, index: int, put: Callable[[Order], World], *, is_late: bool
    ) -> Iterator[Move]:
        if row.channel in DEBITS and order.at == "closed":
            yield True, f"debit {index} comes after its reversal", put(order._replace(leg=BACK))
            return
        if row.channel in DEBITS:
            yield True, f"debit {index} takes the money", put(order._replace(at="paid", leg=BACK))
            yield True, f"debit {index} is declined", put(order._replace(at="closed", leg=BACK))
            if row.channel in JUDGES:
                yield True, f"debit {index} is judged", put(order._replace(at="closed", leg=VERDICT))
            if row.channel in SLOW:
                yield True, f"debit {index} is under way", put(order._replace(at="open", leg=UNDECIDED))
            return
        at: AtProvider = "none" if row.channel in COMES_TO_LIFE else "closed" if is_late else "open"
        yield True, f"request {index} arrives", put(order._replace(at=at, leg=BACK))
        if row.channel in JUDGES:
            yield True, f"request {index} is judged", put(order._replace(at="none", leg=VERDICT))

    def _call_moves(self, world: World) -> Iterator[Move]:
        for index, order in enumerate(world.orders):
            if order.leg in (BACK, VERDICT, UNDECIDED):
                yield from self._reply(world, index, order)
        match world.call:
            case ("create", index):
                channel = world.rows[index].channel
                begun = world._replace(rows=with_item(world.rows, index, world.rows[index]._replace(is_kept=True)))
                if KINDS[channel].creates_locally:
                    yield True, f"{index} is signed", self._then(self._answered(begun, index, "issued"))
                else:
                    how = "unanswered" if channel in DEBITS else "not_issued"
                    yield True, f"create {index} times out", self._then(self._answered(begun, index, how))
            case ("query", index, asked):
                how = standing(world.rows[index], world.orders[index], world.moment)
                yield True, f"{index} is {how}", world._replace(call=("answer", index, how, asked))
                yield False, f"query {index} lost", self._then(self._answered(world, index, "no_answer", asked))
            case ("answer", index, how, asked):
                booked = self._book(world, index) if how == "paid" else self._answered(world, index, how, asked)
                yield True, f"learn of {index}", self._then(booked)
            case ("close", index):
                order = world.orders[index]
                closed = self._then(self._answered(world, index, "close"))
                yield order.at != "open", f"close {index} without effect", closed
                # A reversal may work ahead of a debit that is still on its way.
                if order.at == "open" or (order.at == "none" and world.rows[index].channel in DEBITS):
                    works = world._replace(orders=with_item(world.orders, index, order._replace(at="closed")))
                    yield True, f"close {index} works", self._then(self._answered(works, index, "close"))
                    if world.crashes:
                        yield False, f"close {index} works, crash", self.crashed(works)
            case None:
                yield True, "look", self.plan(world)

    def _second_driver(self, world: World) -> Iterator[Move]:
        """Somebody who read the rows before the last attempt was committed and now commits another one; the index on
        live attempts refuses that."""
        if self.rules.has_index or world.paid is not None or not world.rows:
            return
        is_alive = attempt_of(world.rows[-1], 0).is_live
        if is_alive and len(world.rows) < len(self.channels) and world.moment < LATE:
            new = Row(self.channels[len(world.rows)], world.moment, CREATING)
            order = Order(leg=HERE if KINDS[new.channel].creates_locally else THERE)
            yield (
                False,
                "a second driver",
                world._replace(rows=(*world.rows, new), orders=(*world.orders, order)),
            )

    def _reply(self, world: World, index: int, order: Order) -> Iterator[Move]:
        """A reply to a creating call. Perhaps nobody waits any more, or somebody who stalled beyond the lease."""
        is_waited_for = world.call == ("create", index)
        row = world.rows[index]
        landed = world._replace(orders=with_item(world.orders, index, order._replace(leg=HERE)))
        yield False, f"reply {index} lost", landed
        if not (row.is_kept or is_waited_for):
            return
        if not row.is_kept:
            landed = landed._replace(rows=with_item(world.rows, index, row._replace(is_kept=True)))
        if order.leg == VERDICT:
            booked = self._answered(landed, index, "refused")
        elif order.leg == UNDECIDED:
            booked = self._answered(landed, index, "unanswered")
        elif row.channel not in DEBITS:
            booked = self._answered(landed, index, "issued")
        elif order.at in ("paid", "back"):
            booked = self._book(landed, index)
        else:
            booked = self._answered(landed, index, "declined")
        yield True, f"reply {index}", self._then(booked) if is_waited_for else booked

    def _then(self, world: World) -> World:
        return self.plan(world._replace(call=None))

    def _wishes(self, world: World) -> Iterator[Move]:
        if not world.wishes or world.paid is not None or world.moment == LATE or world.phase not in ("open", "failed"):
            return
        left = world.wishes - 1
        yield False, "cancel", world._replace(phase="cancelling", wishes=left)
        if not any(row.state == REFUSED for row in world.rows):
            for channel in sorted(set(self.channels)):
                wished = world._replace(phase="open", switch_to=channel, wishes=left)
                yield False, f"switch to {channel}", wished
