"""The ledger: append-only, double entry by construction; balances are derived, floors are checked before posting.

An entry moves one amount from the account ``debit`` to the account ``credit``, so a balance is what came in less what
went out and all balances add up to zero. No account owns money: the institution does, and each mirrors a place there.

``bank:<channel>``      the institution seen from here: minus what it keeps for all the others
``student:<ref>``       a payer, passed through: back at zero after every posting
``escrow:<intent>``     held for one intent and not divided
``runner:<ref>``        a runner's part that the institution still holds: available, or being withdrawn; it leaves to
                        ``bank`` when the institution has paid it to the person (kind "withdraw")
``campus:<ref>`` ``platform``   what the institution paid to these merchants, less what they gave back or bore
``returning:<intent>``  taken out of dues or back from receivers, on its way to the payer
``debt:<account>``      minus what the payer of subsidies bears beyond its own shares
``owed:<account>``      what a receiver is owed of that and has not been transferred
``suspense``            money paid twice, on its way back

An order's money: pay_in bank → student, hold student → escrow; capture escrow → receiver; release escrow → student,
pay_out student → bank. A subsidy: debt of its payer → escrow, and subsidy_borne payer → debt as far as its own share
goes; beyond that the captured part is owed, until a transfer owed → bank. A refund of captured money: refund_due
runner → returning, or take_back receiver → returning, then refund returning → student; or refund platform → student.
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
FLOORED = ("escrow:", "runner:", "student:", "campus:", "returning:", "owed:", SUSPENSE)


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


def returning(intent_id: str) -> str:
    return f"returning:{intent_id}"


def owed(account: str) -> str:
    return f"owed:{account}"


def debt(account: str) -> str:
    return f"debt:{account}"


def accounts_of(account_ref: str) -> tuple[str, ...]:
    """Every account that a receiver's reference may name."""
    return (PLATFORM,) if account_ref == PLATFORM else (f"runner:{account_ref}", f"campus:{account_ref}")


def owed_to(account_ref: str) -> tuple[str, ...]:
    """The accounts of what a receiver is owed."""
    return tuple(owed(account) for account in accounts_of(account_ref))


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
    """One receiver got its part of the hold: a runner's is with the institution still, any other's is paid."""
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    return [line(debit=escrow(intent_id), credit=receiver(party, account_ref), kind="capture")]


def subsidy_borne(
    *, party: Party, account_ref: str, intent_id: str, attempt_id: str, number: str, amount_fen: Fen
) -> list[Entry]:
    """The payer of a subsidy makes up for what is missing, and leaves that much of its own share for it."""
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    payer = receiver(party, account_ref)
    return [
        line(debit=debt(payer), credit=escrow(intent_id), kind="subsidy"),
        line(debit=escrow(intent_id), credit=payer, kind="capture"),
        line(debit=payer, credit=debt(payer), kind="subsidy_borne"),
    ]


def subsidy_owed(
    *, payer: str, creditor: str, intent_id: str, attempt_id: str, number: str, amount_fen: Fen
) -> list[Entry]:
    """The payer of a subsidy owes a receiver what no money of this order covers."""
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    return [
        line(debit=debt(payer), credit=escrow(intent_id), kind="subsidy"),
        line(debit=escrow(intent_id), credit=owed(creditor), kind="capture"),
    ]


def transfer(*, channel: str, account_ref: str, attempt_id: str, number: str, amount_fen: Fen) -> list[Entry]:
    """A runner was paid what the payer of a subsidy owed."""
    creditor = owed(receiver("runner", account_ref))
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    return [line(debit=creditor, credit=bank(channel), kind="transfer")]


def withdraw(*, channel: str, account_ref: str, attempt_id: str, number: str, amount_fen: Fen) -> list[Entry]:
    """The institution paid a runner."""
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    return [line(debit=receiver("runner", account_ref), credit=bank(channel), kind="withdraw")]


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
    """Captured money went back to the payer, and whoever got it kept it: the platform bears it."""
    return _to_payer(PLATFORM, channel, payer_ref, attempt_id, number, amount_fen)


def give_back(
    *, channel: str, payer_ref: str, intent_id: str, attempt_id: str, number: str, amount_fen: Fen
) -> list[Entry]:
    """Captured money that is in the hold again went back to the payer."""
    return _to_payer(returning(intent_id), channel, payer_ref, attempt_id, number, amount_fen)


def _to_payer(source: str, channel: str, payer_ref: str, attempt_id: str, number: str, amount_fen: Fen) -> list[Entry]:
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    payer = student(payer_ref)
    return [
        line(debit=source, credit=payer, kind="refund"),
        line(debit=payer, credit=bank(channel), kind="pay_out"),
    ]


def refund_due(*, account_ref: str, intent_id: str, attempt_id: str, ref: str, amount_fen: Fen) -> list[Entry]:
    """A runner's part that was not withdrawn is to go back to the payer."""
    line = partial(Entry, amount_fen=amount_fen, ref=ref, attempt_id=attempt_id)
    return [line(debit=receiver("runner", account_ref), credit=returning(intent_id), kind="refund_due")]


def take_back(
    *, party: Party, account_ref: str, intent_id: str, attempt_id: str, number: str, amount_fen: Fen
) -> list[Entry]:
    """A receiver's part is in the hold again, to go back to the payer."""
    line = partial(Entry, amount_fen=amount_fen, ref=number, attempt_id=attempt_id)
    return [line(debit=receiver(party, account_ref), credit=returning(intent_id), kind="take_back")]


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
