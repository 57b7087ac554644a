"""The books examined: the ledger against itself and the intents, our mirror against the institution's own books."""

from __future__ import annotations

import msgspec

from payments.attempt import LIVE
from payments.channels.base import OpenBooks
from payments.escrow import still_held_fen
from payments.ledger import LedgerError, bank, escrow
from payments.money import Fen
from payments.outcomes import InstitutionBook
from payments.store.unit_of_work import Store, UnitOfWork


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
        return found

    return await store.read(check)


async def compare_mirror(store: Store, channel: OpenBooks) -> list[Difference]:
    """Order by order, in both directions: what we booked on a channel against what the institution says it did."""
    code = channel.shape.code
    theirs = {book.attempt_id: book for book in await channel.books()}

    def ours(uow: UnitOfWork) -> tuple[dict[str, dict[str, Fen]], Fen]:
        by_attempt = uow.books.by_attempt()
        mine = {attempt.id for attempt in uow.attempts.with_money() if attempt.channel == code}
        return {name: kinds for name, kinds in by_attempt.items() if name in mine}, uow.books.balance_fen(bank(code))

    booked, mirror_fen = await store.read(ours)
    found: list[Difference] = []
    for attempt_id in sorted(theirs.keys() | booked.keys()):
        book = theirs.get(attempt_id) or _nothing(attempt_id)
        for what, ours_fen, theirs_fen in _pairs(booked.get(attempt_id, {}), book):
            if ours_fen != theirs_fen:
                found.append(Difference(what=what, subject=attempt_id, ours_fen=ours_fen, theirs_fen=theirs_fen))
    kept_fen = Fen(sum(book.paid_fen - book.returned_fen - book.refunded_fen for book in theirs.values()))
    if -mirror_fen != kept_fen:
        found.append(Difference(what="kept", subject=bank(code), ours_fen=Fen(-mirror_fen), theirs_fen=kept_fen))
    return found


def _pairs(kinds: dict[str, Fen], book: InstitutionBook) -> list[tuple[str, Fen, Fen]]:
    def ours(*names: str) -> Fen:
        return Fen(sum(kinds.get(name, 0) for name in names))

    frozen_fen = Fen(ours("pay_in", "duplicate") - ours("capture") - ours("release", "duplicate_back"))
    return [
        ("paid", ours("pay_in", "duplicate"), book.paid_fen),
        ("split", ours("capture"), book.split_fen),
        ("returned", ours("release", "duplicate_back"), book.returned_fen),
        ("refunded", ours("refund"), book.refunded_fen),
        ("frozen", frozen_fen, book.frozen_fen),
    ]


def _nothing(attempt_id: str) -> InstitutionBook:
    zero = Fen(0)
    return InstitutionBook(
        attempt_id=attempt_id, paid_fen=zero, split_fen=zero, returned_fen=zero, refunded_fen=zero, frozen_fen=zero
    )
