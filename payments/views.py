"""An intent as payers and operators see it, put together from its rows; a split group as one."""

from __future__ import annotations

from typing import Any

import msgspec

from payments import failover, group
from payments.attempt import Attempt, AttemptState
from payments.books.group_books import current_child, parent_of, parts
from payments.guards.risk_desk import standing_of
from payments.port import AttemptView, IntentState, IntentView
from payments.states import outward_state
from payments.store.rows import IntentRow
from payments.store.unit_of_work import UnitOfWork


def view_of(intent_id: str, uow: UnitOfWork) -> IntentView | None:
    """The intent as it stands; None when there is none."""
    intent = uow.intents.get(intent_id)
    if intent is None:
        return None
    view = _view_of(intent, uow)
    if intent.risk_verdict is None:
        return view
    return msgspec.structs.replace(view, risk=standing_of(uow, intent))


def _view_of(intent: IntentRow, uow: UnitOfWork) -> IntentView:
    if intent.part != 0:
        attempts = uow.attempts.of(intent)
        return _view(intent, intent, attempts, attempts, failover.intent_state(intent, attempts))
    children = uow.intents.children(intent.id)
    current = current_child(children)
    state = outward_state(group.facts(parent_of(intent), parts(uow, children)))
    attempts = [attempt for child in children for attempt in uow.attempts.of(child)]
    return _view(intent, current, uow.attempts.of(current), attempts, state, len(children))


def _view(
    intent: IntentRow,
    current: IntentRow,
    its_attempts: list[Attempt],
    attempts: list[Attempt],
    state: IntentState,
    count: int = 1,
) -> IntentView:
    payable = next((attempt for attempt in its_attempts if attempt.state is AttemptState.ISSUED), None)
    credential: dict[str, Any] | None = payable.credential if payable and current.wants_payment else None
    paying = next((attempt for attempt in attempts if attempt.id == intent.paid_attempt), None)
    live = next((attempt for attempt in its_attempts if attempt.is_live), None)
    newest = paying or live or (attempts[-1] if attempts else None)
    wanted = current.channels[0] if current.channels else None
    return IntentView(
        intent_id=intent.id,
        campus_id=intent.campus_id,
        order_ref=intent.order_ref,
        amount_fen=intent.amount_fen,
        state=state,
        hold_state=intent.hold_state,
        channel=newest.channel if newest else None,
        credential=credential,
        captured_fen=intent.captured_fen,
        released_fen=intent.released_fen,
        refunded_fen=intent.refunded_fen,
        expires_at=intent.expires_at,
        reason=intent.reason,
        attempts=tuple(_attempt_view(attempt) for attempt in attempts),
        wanted=wanted,
        wanted_reason=next((each.reason for each in reversed(its_attempts) if each.channel == wanted), ""),
        part=current.part or 1,
        parts=count,
    )


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        attempt_id=attempt.id,
        channel=attempt.channel,
        state=attempt.state.value,
        created_at=attempt.created_at,
        changed_at=attempt.changed_at,
        reason=attempt.reason,
    )
