"""Amounts in fen, and the one rule by which a sum is divided."""

from __future__ import annotations

from collections.abc import Sequence

from payments.money import Fen

__all__ = ["MAX_ORDER_FEN", "Fen", "split_fen"]

#: No single order may be worth more; far below any integer column's limit.
MAX_ORDER_FEN = Fen(1_000_000)


def split_fen(amount_fen: Fen, weights: Sequence[int]) -> list[Fen]:
    """Divide by weight; the fen that do not divide go, one each, to the largest remainders, earlier first.

    >>> split_fen(Fen(100), [80, 15, 5])
    [80, 15, 5]
    """
    total = sum(weights)
    assert amount_fen >= 0 and total > 0 and all(w >= 0 for w in weights), "weights divide a sum that exists"
    shares = [amount_fen * w // total for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount_fen * weights[i] % total), i))
    for i in by_remainder[: amount_fen - sum(shares)]:
        shares[i] += 1
    return [Fen(share) for share in shares]
