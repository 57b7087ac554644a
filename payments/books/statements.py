"""What an account, a campus and an order can be told of their money, read from the ledger and the rows beside it."""

from __future__ import annotations

from collections.abc import Iterable

from payments import ledger
from payments.account import ConfirmationView, RefundView, WithdrawalView
from payments.money import Fen
from payments.port import Balances, OrderBook, Totals
from payments.store.money_rows import RefundRow, Withdrawal
from payments.store.rows import Instruction
from payments.store.unit_of_work import UnitOfWork

#: The longest list that is given at once.
MOST_LISTED = 500


def balances_of(account_ref: str, uow: UnitOfWork) -> Balances:
    """A receiver's money; a runner's is available as far as no withdrawal has asked for it."""
    accounts = ledger.accounts_of(account_ref)
    split_fen = sum(
        receiver.amount_fen
        for order in uow.instructions.unfinished("split")
        for receiver in order.receivers
        if receiver.account_ref == account_ref
        and ledger.receiver(receiver.party, receiver.account_ref) not in order.finished
    )
    owed_fen = uow.books.balance_fen(*ledger.owed_to(account_ref))
    left_fen, pay_by = uow.dues.left_fen(account_ref)
    asked = uow.withdrawals.open_of(account_ref)
    waits_fen = min(asked.amount_fen, left_fen) if asked is not None and asked.state == "held" else 0
    withdrawing_fen = Fen(uow.withdrawals.under_way_fen(account_ref) + waits_fen)
    return Balances(
        pending_fen=Fen(split_fen + owed_fen),
        available_fen=Fen(uow.books.balance_fen(*accounts) - withdrawing_fen),
        withdrawn_fen=Fen(
            uow.books.debited_fen("withdraw", *accounts)
            + uow.books.debited_fen("transfer", *ledger.owed_to(account_ref))
        ),
        withdrawing_fen=withdrawing_fen,
        earliest_pay_by=pay_by,
    )


def totals_of(campus_id: str, uow: UnitOfWork) -> Totals:
    """A campus's money so far."""
    sums = uow.books.sums_of_campus(campus_id)

    def total(*kinds: str, debit: str | None = None, credit: str | None = None) -> int:
        return sum(
            fen
            for (kind, debited, credited), fen in sums.items()
            if kind in kinds and debit in (None, debited) and credit in (None, credited)
        )

    subsidies_fen = total("subsidy")

    def net(group: str) -> Fen:
        gone_fen = total("subsidy_borne", "refund", "refund_due", "take_back", debit=group)
        return Fen(total("capture", credit=group) - gone_fen)

    return Totals(
        held_fen=Fen(total("hold")),
        captured_fen=Fen(total("capture") - subsidies_fen),
        released_fen=Fen(total("release")),
        refunded_fen=Fen(total("refund")),
        campus_fen=net("campus"),
        platform_fen=net("platform"),
        runner_fen=net("runner"),
        subsidies_fen=Fen(subsidies_fen),
    )


def book_of(order_ref: str, uow: UnitOfWork) -> OrderBook:
    """The ledger of one order."""
    entries = uow.books.of_order(order_ref)
    sums = _sums((entry.kind, entry.amount_fen) for entry in entries)
    intents = uow.intents.of_order(order_ref)
    return OrderBook(
        order_ref=order_ref,
        held_fen=Fen(sums.get("hold", 0)),
        captured_fen=Fen(sums.get("capture", 0) - sums.get("subsidy", 0)),
        released_fen=Fen(sums.get("release", 0)),
        refunded_fen=Fen(sums.get("refund", 0)),
        escrow_balance_fen=uow.books.balance_fen(*(ledger.escrow(intent.id) for intent in intents)),
        entries=tuple(entries),
    )


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for kind, fen in pairs:
        sums[kind] = sums.get(kind, 0) + fen
    return sums


def withdrawal_view(withdrawal: Withdrawal, parts: int) -> WithdrawalView:
    """A withdrawal as it is shown."""
    return WithdrawalView(
        withdrawal_id=withdrawal.id,
        campus_id=withdrawal.campus_id,
        account_ref=withdrawal.account_ref,
        amount_fen=withdrawal.amount_fen,
        paid_fen=withdrawal.paid_fen,
        state=withdrawal.state,
        is_automatic=withdrawal.is_automatic,
        risk=withdrawal.risk,
        reason=withdrawal.reason,
        reviewed_by=withdrawal.reviewed_by,
        review_reason=withdrawal.review_reason,
        requested_at=withdrawal.requested_at,
        finished_at=withdrawal.finished_at,
        parts=parts,
    )


def confirmation_view(order: Instruction) -> ConfirmationView:
    """A transfer that waits for its person, as it is shown to them."""
    return ConfirmationView(
        number=order.id,
        withdrawal_id=order.subject,
        channel=order.channel,
        amount_fen=order.amount_fen,
        since=order.created_at,
        credential=order.confirm or {},
    )


def refund_view(refund: RefundRow) -> RefundView:
    """A refund as it is shown."""
    return RefundView(
        refund_id=refund.id,
        intent_id=refund.intent_id,
        campus_id=refund.campus_id,
        order_ref=refund.order_ref,
        amount_fen=refund.amount_fen,
        state=refund.state,
        parts=refund.parts,
        reason=refund.reason,
        asked_at=refund.asked_at,
        due_by=refund.due_by,
        done_at=refund.done_at,
        is_overdue=refund.is_overdue,
    )
