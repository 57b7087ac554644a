"""The books examined: the ledger against itself and the intents, our mirror against the institution's own books."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from payments.attempt import LIVE
from payments.channels.base import OpenBooks
from payments.escrow import still_held_fen
from payments.ledger import LedgerError, bank, escrow
from payments.money import Fen
from payments.outcomes import InstitutionBook
from payments.store.unit_of_work import Store, UnitOfWork

#: (kind, debited group, credited group) → sum.
Sums = Mapping[tuple[str, str, str], Fen]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it must be; both figures in fen."""

    what: str
    subject: str
    ours_fen: Fen
    theirs_fen: Fen


async def check_ledger(store: Store) -> list[Difference]:
    """Every balance, and for every intent: held = captured + released + what is in escrow still."""

    def check(uow: UnitOfWork) -> list[Difference]:
        found: list[Difference] = []
        try:
            balances = uow.books.check()
        except LedgerError as error:
            found.append(Difference(what=str(error), subject="ledger", ours_fen=Fen(0), theirs_fen=Fen(0)))
            balances = uow.books.balances()
        for intent_id in uow.intents.all_ids():
            intent = uow.intents.require(intent_id)
            if intent.part == 0:
                continue  # A group's money is held under its parts.
            expected_fen = still_held_fen(
                intent.hold_state, intent.amount_fen, intent.captured_fen, intent.released_fen
            )
            escrow_fen = balances.get(escrow(intent_id), Fen(0))
            if escrow_fen != expected_fen:
                found.append(Difference(what="escrow", subject=intent_id, ours_fen=expected_fen, theirs_fen=escrow_fen))
            if intent.hold_state in ("captured", "released") and escrow_fen != 0:
                found.append(
                    Difference(what="closed_with_escrow", subject=intent_id, ours_fen=Fen(0), theirs_fen=escrow_fen)
                )
            live = [attempt for attempt in uow.attempts.of(intent) if attempt.state in LIVE]
            if len(live) > 1:
                found.append(
                    Difference(what="live_attempts", subject=intent_id, ours_fen=Fen(1), theirs_fen=Fen(len(live)))
                )
        return found + _check_runners(uow, balances)

    return await store.read(check)


def _check_runners(uow: UnitOfWork, balances: Mapping[str, Fen]) -> list[Difference]:
    """A runner's account is what is left of the dues and what is being withdrawn, to the fen; and nothing is on its way
    back to a payer but what refunds have still to do."""
    found: list[Difference] = []
    left, moving = uow.dues.left_by_account(), uow.withdrawals.under_way_by_account()
    accounts = {name.partition(":")[2] for name in balances if name.startswith("runner:")} | left.keys() | moving.keys()
    for account_ref in sorted(accounts):
        ours_fen = Fen(left.get(account_ref, 0) + moving.get(account_ref, 0))
        theirs_fen = balances.get(f"runner:{account_ref}", Fen(0))
        if ours_fen != theirs_fen:
            found.append(Difference(what="dues", subject=account_ref, ours_fen=ours_fen, theirs_fen=theirs_fen))
    is_refunding = uow.refunds.is_any_open()
    for account, fen in balances.items():
        if account.startswith("returning:") and fen and not is_refunding:
            found.append(Difference(what="returning", subject=account, ours_fen=Fen(0), theirs_fen=fen))
    return found


async def compare_mirror(store: Store, channel: OpenBooks) -> list[Difference]:
    """Order by order, in both directions: what we booked on a channel against what the institution says it did."""
    code = channel.shape.code
    theirs = {book.attempt_id: book for book in await channel.books()}
    transferred = await channel.transfers()

    # Where a withdrawn part is transferred, the split before it only reaches the merchant.
    is_transferred = channel.shape.transfers_withdrawals
    kinds = ("transfer", "withdraw") if is_transferred else ("transfer",)

    def ours(uow: UnitOfWork) -> tuple[Mapping[str, Sums], dict[str, Fen], Fen]:
        by_attempt = uow.books.by_attempt()
        mine = {attempt.id for attempt in uow.attempts.with_money() if attempt.channel == code}
        sums = {name: kinds for name, kinds in by_attempt.items() if name in mine}
        return sums, uow.books.transferred(bank(code), kinds), uow.books.balance_fen(bank(code))

    booked, our_transfers, mirror_fen = await store.read(ours)
    found: list[Difference] = []
    for attempt_id in sorted(theirs.keys() | booked.keys()):
        book = theirs.get(attempt_id) or _nothing(attempt_id)
        for what, ours_fen, theirs_fen in _pairs(booked.get(attempt_id, {}), book):
            if ours_fen != theirs_fen:
                found.append(Difference(what=what, subject=attempt_id, ours_fen=ours_fen, theirs_fen=theirs_fen))
    for number in sorted(transferred.keys() | our_transfers.keys()):
        ours_fen, theirs_fen = our_transfers.get(number, Fen(0)), transferred.get(number, Fen(0))
        if ours_fen != theirs_fen:
            found.append(Difference(what="transfer", subject=number, ours_fen=ours_fen, theirs_fen=theirs_fen))
    # What it keeps for all the others: not what went back to payers, and not what persons were paid.
    split_fen = 0 if is_transferred else sum(_sum(sums, "withdraw") for sums in booked.values())
    paid_fen = split_fen + sum(transferred.values())
    kept_fen = Fen(sum(book.paid_fen - book.returned_fen - book.refunded_fen for book in theirs.values()) - paid_fen)
    if -mirror_fen != kept_fen:
        found.append(Difference(what="kept", subject=bank(code), ours_fen=Fen(-mirror_fen), theirs_fen=kept_fen))
    return found


def _sum(sums: Sums, *kinds: str, debit: tuple[str, ...] = (), credit: tuple[str, ...] = ()) -> int:
    return sum(
        fen
        for (kind, debited, credited), fen in sums.items()
        if kind in kinds and (not debit or debited in debit) and (not credit or credited in credit)
    )


def _pairs(sums: Sums, book: InstitutionBook) -> list[tuple[str, Fen, Fen]]:
    """What we say of an order and what they say. A runner's captured part is not split before it is withdrawn, and a
    subsidy's payer was never paid what it left to the others."""
    merchants = ("campus", "platform")
    paid_fen = _sum(sums, "pay_in", "duplicate")
    split_fen = (
        _sum(sums, "capture", credit=merchants)
        - _sum(sums, "subsidy_borne")
        - _sum(sums, "take_back")
        + _sum(sums, "withdraw")
    )
    returned_fen = _sum(sums, "release", "duplicate_back") + _sum(sums, "refund", debit=("returning",))
    return [
        ("paid", Fen(paid_fen), book.paid_fen),
        ("split", Fen(split_fen), book.split_fen),
        ("returned", Fen(returned_fen), book.returned_fen),
        ("refunded", Fen(_sum(sums, "refund", debit=("platform",))), book.refunded_fen),
        ("frozen", Fen(paid_fen - split_fen - returned_fen), book.frozen_fen),
    ]


def _nothing(attempt_id: str) -> InstitutionBook:
    zero = Fen(0)
    return InstitutionBook(
        attempt_id=attempt_id, paid_fen=zero, split_fen=zero, returned_fen=zero, refunded_fen=zero, frozen_fen=zero
    )
