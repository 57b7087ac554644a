"""Withdrawals: what a runner may have of what the institution still holds, asked for, reviewed, instructed, booked.

A withdrawal is a split instruction for each order that it is paid out of, the one that has to be paid first in front.
What a receiver's account would not take goes back to what is available.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from payments import ledger
from payments.account import (
    WITHDRAWAL_RULES,
    ReviewWithdrawal,
    Withdraw,
    WithdrawalFailed,
    WithdrawalHeld,
    WithdrawalToConfirm,
    Withdrawn,
)
from payments.books.booking import Booking
from payments.money import Fen
from payments.outcomes import Receiver, SplitAnswer
from payments.port import CommandRefused, PayoutFailed, Suspicious, UnknownWithdrawal, WithdrawalRefused
from payments.settlement import MOST_SPLITS, SPLITS_FOR_WHOLE_PARTS, sort_outcomes
from payments.store.money_rows import Due, Withdrawal
from payments.store.rows import Instruction
from payments.terms import DAY_S

#: Orders that one withdrawal is paid out of, at most; who has more withdraws again.
MOST_PARTS = 500

OVER_THRESHOLD = "over_threshold"


def ask(booking: Booking, command: Withdraw) -> None:
    """Begin a withdrawal, or hold it for a review. WithdrawalRefused names the field and the limit."""
    _check_limits(booking, command)
    withdrawal = Withdrawal(
        id=command.id,
        campus_id=command.campus_id,
        account_ref=command.account_ref,
        amount_fen=Fen(command.amount_fen),
        state="under_way",
        requested_at=command.requested_at,
        created_at=booking.now,
        risk=command.risk,
    )
    why = command.risk or (OVER_THRESHOLD if command.amount_fen > booking.terms.review_above_fen else "")
    plan = _plan(booking, command.account_ref, command.amount_fen)
    if why:
        withdrawal = msgspec.structs.replace(withdrawal, state="held", reason=why)
        booking.uow.withdrawals.add(withdrawal)
        booking.tell_account(WithdrawalHeld, withdrawal, reason=why)
        return
    booking.uow.withdrawals.add(withdrawal)
    _instruct(booking, withdrawal, plan)


def _check_limits(booking: Booking, command: Withdraw) -> None:
    uow, terms = booking.uow, booking.terms
    if uow.withdrawals.get(command.id) is not None:
        raise CommandRefused(f"withdrawal {command.id} exists already")
    if uow.withdrawals.open_of(command.account_ref) is not None:
        raise _refused("account_ref", "one_at_a_time", 1)
    available_fen, _ = uow.dues.left_fen(command.account_ref)
    if command.amount_fen > available_fen:
        raise _refused("amount_fen", "available", available_fen)
    if command.amount_fen < min(terms.least_withdrawal_fen, available_fen):
        raise _refused("amount_fen", "least", terms.least_withdrawal_fen)
    count, asked_fen = uow.withdrawals.asked_since(command.account_ref, booking.now - timedelta(seconds=DAY_S))
    if count >= terms.most_withdrawals_per_day:
        raise _refused("account_ref", "per_day", terms.most_withdrawals_per_day)
    left_fen = terms.most_withdrawn_per_day_fen - asked_fen
    if command.amount_fen > left_fen:
        raise _refused("amount_fen", "amount_per_day", max(left_fen, 0))


def _refused(field: str, rule: str, limit: int) -> WithdrawalRefused:
    return WithdrawalRefused(f"{field}: {WITHDRAWAL_RULES[rule]} {limit}")


def _plan(booking: Booking, account_ref: str, amount_fen: int) -> list[tuple[Due, Fen]]:
    """Which dues pay how much of it. WithdrawalRefused: an order would be divided more often than may be."""
    plan: list[tuple[Due, Fen]] = []
    left_fen = amount_fen
    dues = booking.uow.dues.left(account_ref, MOST_PARTS)
    for due in dues:
        part_fen = min(left_fen, due.left_fen)
        turn = _turn(booking, due)
        if turn > MOST_SPLITS:
            continue
        if part_fen < due.left_fen and turn > MOST_SPLITS - SPLITS_FOR_WHOLE_PARTS:
            raise _refused("amount_fen", "whole_order", amount_fen - left_fen + due.left_fen)
        plan.append((due, Fen(part_fen)))
        left_fen -= part_fen
        if left_fen == 0:
            return plan
    raise _refused("amount_fen", "at_once", amount_fen - left_fen)


def _turn(booking: Booking, due: Due) -> int:
    attempt = booking.uow.attempts.require(due.attempt_id)
    return booking.next_number(attempt, "S", "split", "withdraw")[1]


def _instruct(booking: Booking, withdrawal: Withdrawal, plan: list[tuple[Due, Fen]]) -> None:
    """Take the parts out of the dues and tell the institution, all in this transaction."""
    for due, part_fen in plan:
        booking.uow.dues.take(due, part_fen)
        attempt = booking.uow.attempts.require(due.attempt_id)
        number, _ = booking.next_number(attempt, "S", "split", "withdraw")
        booking.instruct(
            booking.uow.intents.require(due.intent_id),
            attempt,
            number,
            "withdraw",
            part_fen,
            receivers=(Receiver(party="runner", account_ref=due.account_ref, amount_fen=part_fen),),
            subject=withdrawal.id,
        )


def review(booking: Booking, command: ReviewWithdrawal) -> None:
    """A person's verdict. What is not available any more by then (refunded, or paid because its time had come) is not
    paid a second time."""
    withdrawal = booking.uow.withdrawals.get(command.withdrawal_id)
    if withdrawal is None:
        raise UnknownWithdrawal(command.withdrawal_id)
    if withdrawal.state != "held":
        raise CommandRefused(f"withdrawal {withdrawal.id} is {withdrawal.state}: there is nothing to review")
    reviewed = msgspec.structs.replace(withdrawal, reviewed_by=command.by, review_reason=command.reason)
    if command.verdict == "refuse":
        _end(booking, msgspec.structs.replace(reviewed, state="refused", reason="review"))
        return
    available_fen, _ = booking.uow.dues.left_fen(withdrawal.account_ref)
    amount_fen = min(withdrawal.amount_fen, available_fen)
    if not amount_fen:
        _end(booking, msgspec.structs.replace(reviewed, state="failed", reason="nothing_available"))
        return
    plan = _plan(booking, withdrawal.account_ref, amount_fen)
    booking.uow.withdrawals.save(msgspec.structs.replace(reviewed, state="under_way"))
    _instruct(booking, withdrawal, plan)


def pay_what_is_due(booking: Booking, limit: int) -> int:
    """Withdraw, without being asked, the parts that an institution will not hold much longer; how many."""
    dues = booking.uow.dues.to_pay(booking.now, limit)
    by_account: dict[tuple[str, str], list[Due]] = {}
    for due in dues:
        if _turn(booking, due) > MOST_SPLITS:
            booking.uow.dues.put_back(due, Fen(0), None)
            booking.tell(Suspicious, booking.uow.intents.require(due.intent_id), reason="no_splits_left")
        else:
            by_account.setdefault((due.campus_id, due.account_ref), []).append(due)
    for (campus_id, account_ref), parts in by_account.items():
        withdrawal = Withdrawal(
            id=booking.new_id("wdr"),
            campus_id=campus_id,
            account_ref=account_ref,
            amount_fen=Fen(sum(due.left_fen for due in parts)),
            state="under_way",
            requested_at=booking.now,
            created_at=booking.now,
            is_automatic=True,
        )
        booking.uow.withdrawals.add(withdrawal)
        _instruct(booking, withdrawal, [(due, due.left_fen) for due in parts])
    return len(dues)


def reported(booking: Booking, order: Instruction, answer: SplitAnswer) -> None:
    """The institution said what became of one order's part."""
    paid, still_open, closed = sort_outcomes(order.receivers, answer.receivers)
    if still_open:
        if order.confirm_by and not _is_told(booking, order.subject):
            withdrawal = booking.uow.withdrawals.get(order.subject)
            assert withdrawal is not None, "a withdrawal is never removed"
            booking.tell_account(WithdrawalToConfirm, withdrawal)
        booking.try_later(order, answer.reason or "pending", is_failure=False)
        return
    for receiver in paid:
        entries = ledger.withdraw(
            channel=order.channel,
            account_ref=receiver.account_ref,
            attempt_id=order.attempt_id,
            number=order.id,
            amount_fen=receiver.amount_fen,
        )
        booking.uow.books.post(booking.uow.intents.require(order.intent_id), entries, booking.now)
    for receiver, reason in closed:
        _put_back(booking, order, receiver, reason)
    booking.finish(order)
    _add_up(booking, order, sum(receiver.amount_fen for receiver in paid), closed[0][1] if closed else "")


def _is_told(booking: Booking, withdrawal_id: str) -> bool:
    """Whether its person was told that something waits for their yes."""
    return any(each.confirm_by for each in booking.uow.instructions.of_subject(withdrawal_id))


def _put_back(booking: Booking, order: Instruction, receiver: Receiver, reason: str) -> None:
    due = booking.uow.dues.get(order.attempt_id, receiver.account_ref)
    assert due is not None, "a due is never removed"
    # Not before its time, and not again and again: an order has few numbers.
    again_at = max(due.pay_by, booking.now + timedelta(seconds=booking.terms.pay_again_s))
    booking.uow.dues.put_back(due, receiver.amount_fen, again_at)
    intent = booking.uow.intents.require(order.intent_id)
    booking.tell(PayoutFailed, intent, party=receiver.party, account_ref=receiver.account_ref, reason=reason)


def _add_up(booking: Booking, order: Instruction, paid_fen: int, reason: str) -> None:
    """The withdrawal after one more of its parts came to its end; the last one ends it."""
    withdrawal = booking.uow.withdrawals.get(order.subject)
    assert withdrawal is not None, "a withdrawal is never removed"
    withdrawal = msgspec.structs.replace(
        withdrawal, paid_fen=Fen(withdrawal.paid_fen + paid_fen), reason=reason or withdrawal.reason
    )
    if booking.uow.withdrawals.under_way_fen(withdrawal.account_ref, withdrawal.id):
        booking.uow.withdrawals.save(withdrawal)
        return
    is_all = withdrawal.paid_fen == withdrawal.amount_fen
    _end(booking, msgspec.structs.replace(withdrawal, state="done" if is_all else "failed"))


def _end(booking: Booking, withdrawal: Withdrawal) -> None:
    booking.uow.withdrawals.save(msgspec.structs.replace(withdrawal, finished_at=booking.now))
    if withdrawal.state == "done":
        booking.tell_account(Withdrawn, withdrawal)
    else:
        booking.tell_account(WithdrawalFailed, withdrawal, paid_fen=withdrawal.paid_fen, reason=withdrawal.reason)
