"""The ledger: append-only, double entry by construction; balances are derived, floors are checked before posting.

An entry moves one amount from the account ``debit`` to the account ``credit``, so a balance is what came in less what
went out and all balances add up to zero. Accounts:

``bank:<channel>``   the institution seen from here: minus what it keeps for all the others
``student:<ref>``    a payer, passed through: back at zero after every posting
``escrow:<intent>``  held for one intent
``runner:<ref>`` ``campus:<ref>`` ``platform``   what a receiver was paid
``suspense``         money paid twice, on its way back
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

import msgspec

from payments.money import Fen
from payments.port import Party

SUSPENSE = "suspense"
PLATFORM = "platform"

#: Accounts that may never owe.
FLOORED = ("escrow:", "runner:", "student:", "campus:", SUSPENSE)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """``amount_fen`` leaves ``debit`` and reaches ``credit``; (ref, kind, debit, credit) is posted once, ever."""

    debit: str
    credit: str
    amount_fen: Fen
    kind: str
    ref: str
    attempt_id: str

    def __post_init__(self) -> None:
        assert self.amount_fen > 0 and self.debit != self.credit, "an entry moves something somewhere else"


class LedgerError(AssertionError):
    """A posting that would make the books wrong: a bug, so nothing of it is stored."""


def bank(channel: str) -> str:
    return f"bank:{channel}"


def student(payer_ref: str) -> str:
    return f"student:{payer_ref}"


def escrow(intent_id: str) -> str:
    return f"escrow:{intent_id}"


def receiver(party: Party, account_ref: str) -> str:
    """The account of a share's receiver."""
    return PLATFORM if party == "platform" else f"{party}:{account_ref}"


def accounts_of(account_ref: str) -> tuple[str, ...]:
    """Every account that a receiver's reference may name."""
    return (PLATFORM,) if account_ref == PLATFORM else (f"runner:{account_ref}", f"campus:{account_ref}")


def hold(*, channel: str, payer_ref: str, intent_id: str, attempt_id: str, amount_fen: Fen) -> list[Entry]:
    """The payer's money reached the institution and is held there."""
    line = partial(Entry, amount_fen=amount_fen, ref=attempt_id, attempt_id=attempt_id)
    payer = student(payer_ref)
    return [
        line(debit=bank(channel), credit=payer, kind="pay_in"),
        line(debit=payer, credit=escrow(intent_id), kind="hold"),
    ]


def capture(
    *, party: Party, account_ref: str, intent_id: str, attempt_id: str, number: str, amount_fen: Fen
) -> list[Entry]:
    """The institution paid one receiver out of the hold."""
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    return [line(debit=escrow(intent_id), credit=receiver(party, account_ref), kind="capture")]


def release(
    *, channel: str, payer_ref: str, intent_id: str, attempt_id: str, number: str, amount_fen: Fen
) -> list[Entry]:
    """The institution gave the payer back what was not captured."""
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    payer = student(payer_ref)
    return [
        line(debit=escrow(intent_id), credit=payer, kind="release"),
        line(debit=payer, credit=bank(channel), kind="pay_out"),
    ]


def refund(*, channel: str, payer_ref: str, attempt_id: str, number: str, amount_fen: Fen) -> list[Entry]:
    """Captured money went back to the payer. The platform bears it: a split cannot be taken back from a person."""
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    payer = student(payer_ref)
    return [
        line(debit=PLATFORM, credit=payer, kind="refund"),
        line(debit=payer, credit=bank(channel), kind="pay_out"),
    ]


def duplicate(*, channel: str, attempt_id: str, amount_fen: Fen) -> list[Entry]:
    """A second attempt of a paid intent was paid too: nobody's money until it is back."""
    line = partial(Entry, amount_fen=amount_fen, ref=attempt_id, attempt_id=attempt_id)
    return [line(debit=bank(channel), credit=SUSPENSE, kind="duplicate")]


def duplicate_back(*, channel: str, attempt_id: str, number: str, amount_fen: Fen) -> list[Entry]:
    """The second payment is back with the payer."""
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    return [line(debit=SUSPENSE, credit=bank(channel), kind="duplicate_back")]


def changes(entries: Iterable[Entry]) -> dict[str, Fen]:
    """By how much each account changes."""
    by_account: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        by_account[entry.debit] -= entry.amount_fen
        by_account[entry.credit] += entry.amount_fen
    return {account: Fen(change) for account, change in by_account.items()}


def check_floors(balances: Mapping[str, Fen]) -> None:
    """Raise LedgerError when an account that may never owe would."""
    for account, balance_fen in balances.items():
        if balance_fen < 0 and account.startswith(FLOORED):
            raise LedgerError(f"{account} would fall to {balance_fen} fen")
