"""How an order that is worth more than its payer pays is divided: who gets cash, who bears which subsidy, who owes.

A settlement's discount aside, the payer's money goes first. What is missing, each subsidy's payer bears in turn: out of
its own share of this order, and what is beyond that share it owes: to the runners, then to a campus, then to the
platform.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from payments.money import Fen, Party
from payments.outcomes import Receiver

_CREDITORS: tuple[Party, ...] = ("runner", "campus", "platform")


class Borne(msgspec.Struct, frozen=True, kw_only=True):
    """A subsidy's payer leaves this much of its own share to the others; ``part`` is the subsidy's."""

    part: int
    payer: Receiver


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """A subsidy's payer owes a receiver this much (``receiver.amount_fen``) beyond its own share."""

    part: int
    party: Party
    account_ref: str
    ref: str
    receiver: Receiver


class Division(msgspec.Struct, frozen=True, kw_only=True):
    """A settlement divided: the parts paid in the payer's money, and who makes up for what is missing."""

    cash: tuple[Receiver, ...]
    borne: tuple[Borne, ...] = ()
    owed: tuple[Owed, ...] = ()

    def used_fen(self, part: int) -> Fen:
        """What was taken of one subsidy."""
        borne_fen = sum(each.payer.amount_fen for each in self.borne if each.part == part)
        return Fen(borne_fen + sum(each.receiver.amount_fen for each in self.owed if each.part == part))


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """A subsidy, as dividing needs it."""

    part: int
    party: Party
    account_ref: str
    amount_fen: Fen
    ref: str


def cash_fen(receivers: Iterable[Receiver], held_fen: Fen, subsidies: Iterable[Added], discount_fen: int) -> Fen:
    """What of a hold the payer pays: what the receivers are due less the discount, as far as subsidies are there for
    it, and never more than is held."""
    discount_fen = min(discount_fen, sum(added.amount_fen for added in subsidies))
    due_fen = sum(receiver.amount_fen for receiver in receivers)
    return Fen(min(held_fen, max(0, due_fen - discount_fen)))


def divide(receivers: Iterable[Receiver], cash_fen: Fen, subsidies: Iterable[Added]) -> Division:
    """Divide what the receivers are due. They may be due no more than cash and subsidies together."""
    left = {(receiver.party, receiver.account_ref): int(receiver.amount_fen) for receiver in receivers}
    missing_fen = sum(left.values()) - cash_fen
    borne: list[Borne] = []
    owed: list[Owed] = []
    for added in subsidies:
        take_fen = min(missing_fen, added.amount_fen)
        if take_fen <= 0:
            continue
        missing_fen -= take_fen
        own = (added.party, added.account_ref)
        own_fen = min(take_fen, left.get(own, 0))
        if own_fen:
            left[own] -= own_fen
            borne.append(Borne(part=added.part, payer=_receiver(own, own_fen)))
        owed += _owed(added, take_fen - own_fen, left)
    assert missing_fen <= 0, "more is divided than is there"
    cash = tuple(_receiver(account, fen) for account, fen in left.items() if fen)
    return Division(cash=cash, borne=tuple(borne), owed=tuple(owed))


def _owed(added: Added, beyond_fen: int, left: dict[tuple[Party, str], int]) -> list[Owed]:
    owed: list[Owed] = []
    for account in sorted(left, key=lambda account: (_CREDITORS.index(account[0]), account[1])):
        part_fen = min(beyond_fen, left[account])
        if part_fen and account != (added.party, added.account_ref):
            beyond_fen -= part_fen
            left[account] -= part_fen
            owed.append(
                Owed(
                    part=added.part,
                    party=added.party,
                    account_ref=added.account_ref,
                    ref=added.ref,
                    receiver=_receiver(account, part_fen),
                )
            )
    assert beyond_fen == 0, "somebody is there who is owed"
    return owed


def _receiver(account: tuple[Party, str], amount_fen: int) -> Receiver:
    return Receiver(party=account[0], account_ref=account[1], amount_fen=Fen(amount_fen))
