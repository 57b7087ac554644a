"""How a settlement divides a hold, what it still has to do, and when it is tried again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from payments.money import Fen, is_amount
from payments.outcomes import Receiver, ReceiverOutcome
from payments.port import Share

#: Seconds until an instruction to the institution is repeated; the last one for ever after.
RETRY_S = (5.0, 15.0, 30.0, 60.0, 300.0, 900.0)
#: Seconds until a closed part is tried under another number; the last one as long as there are numbers.
AGAIN_S = (5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 43_200.0)
#: Splits of one order that institutions allow.
MOST_SPLITS = 50
#: Splits of an order that are kept for its whole parts: none is divided once so few are left.
SPLITS_FOR_WHOLE_PARTS = 10
#: Refunds of one order that institutions allow.
MOST_REFUNDS = 50


def receivers_of(shares: Iterable[Share], amount_fen: Fen) -> tuple[Receiver, ...]:
    """The receivers of a settlement, one per account, without parts of zero. ValueError: more than the hold."""
    sums: dict[tuple[str, str], Receiver] = {}
    for share in shares:
        if share.amount_fen == 0:
            continue
        if not is_amount(share.amount_fen) or not share.account_ref:
            raise ValueError(f"a share of {share.amount_fen} fen for {share.account_ref!r}")
        before = sums.get((share.party, share.account_ref))
        sums[share.party, share.account_ref] = Receiver(
            party=share.party,
            account_ref=share.account_ref,
            amount_fen=Fen(share.amount_fen + (before.amount_fen if before else 0)),
        )
    receivers = tuple(sums.values())
    if captured_fen(receivers) > amount_fen:
        raise ValueError(f"shares of {captured_fen(receivers)} fen out of a hold of {amount_fen} fen")
    return receivers


def within(receivers: Sequence[Receiver], left_fen: Fen) -> tuple[Receiver, ...]:
    """The receivers as far as what refunds have left goes: what is missing each bears by its share, as it would give
    it back afterwards."""
    due_fen = captured_fen(receivers)
    if due_fen <= left_fen:
        return tuple(receivers)
    parts = by_weight(left_fen, [receiver.amount_fen for receiver in receivers])
    return tuple(
        msgspec.structs.replace(receiver, amount_fen=Fen(fen))
        for receiver, fen in zip(receivers, parts, strict=True)
        if fen
    )


def captured_fen(receivers: Iterable[Receiver]) -> Fen:
    """What the receivers get together."""
    return Fen(sum(receiver.amount_fen for receiver in receivers))


def sort_outcomes(
    receivers: Sequence[Receiver], outcomes: Iterable[ReceiverOutcome]
) -> tuple[list[Receiver], list[Receiver], list[tuple[Receiver, str]]]:
    """The receivers (paid, still open, closed with the reason). One that the answer does not name is still open."""
    by_account = {(outcome.party, outcome.account_ref): outcome for outcome in outcomes}
    paid: list[Receiver] = []
    still_open: list[Receiver] = []
    closed: list[tuple[Receiver, str]] = []
    for receiver in receivers:
        outcome = by_account.get((receiver.party, receiver.account_ref))
        if outcome is None or outcome.standing == "pending":
            still_open.append(receiver)
        elif outcome.standing == "paid":
            paid.append(receiver)
        else:
            closed.append((receiver, outcome.reason))
    return paid, still_open, closed


def retry_at(tries: int, now: datetime) -> datetime:
    """When an instruction that was tried ``tries`` times is repeated."""
    return now + timedelta(seconds=RETRY_S[min(tries, len(RETRY_S)) - 1])


def again_at(turn: int, now: datetime) -> datetime:
    """When parts that were closed are tried anew, under the ``turn``-th number. An order has few numbers, so it is
    soon twice a day."""
    return now + timedelta(seconds=AGAIN_S[min(turn, len(AGAIN_S)) - 1])


def split_number(attempt_id: str, turn: int) -> str:
    """The institution's number of the ``turn``-th split of an order, from 1; never longer than 32."""
    return number_of(attempt_id, "S", turn)


def number_of(attempt_id: str, letter: str, turn: int) -> str:
    """The institution's number of an order's ``turn``-th instruction of one sort, from 1; never longer than 32."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert 1 <= turn < 36 * 36, "two digits"
    tens, ones = divmod(turn, 36)
    return f"{attempt_id}{letter}{digits[tens] if tens else ''}{digits[ones]}"


def by_weight(amount_fen: Fen, weights: Sequence[int]) -> list[int]:
    """The amount divided by weights, to the fen: what is left of rounding goes to the largest remainders, the first
    of equals first. No part is more than its weight as long as the amount is not more than all of them."""
    total = sum(weights)
    parts = [amount_fen * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(amount_fen * weights[index] % total), index))
    for index in by_remainder[: amount_fen - sum(parts)]:
        parts[index] += 1
    return parts
