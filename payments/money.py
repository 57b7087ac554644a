"""Amounts in fen, the bounds that every amount must keep, and whose they can be."""

from __future__ import annotations

from typing import Literal, NewType

Fen = NewType("Fen", int)

#: Who can have a part of an order's money.
Party = Literal["runner", "campus", "platform"]

#: No single intent may be worth more (¥100 000); a campus's year summed stays far below a 64-bit column's limit.
MAX_INTENT_FEN = Fen(10_000_000)


def is_amount(amount_fen: int, *, at_most_fen: int = MAX_INTENT_FEN) -> bool:
    """Whether the amount is a positive sum within the bound; written so that a bool or a float never passes."""
    return type(amount_fen) is int and 0 < amount_fen <= at_most_fen


def yuan(amount_fen: int) -> str:
    """The amount as providers' bills print it.

    >>> yuan(1205), yuan(-5)
    ('12.05', '-0.05')
    """
    sign = "-" if amount_fen < 0 else ""
    whole, rest = divmod(abs(amount_fen), 100)
    return f"{sign}{whole}.{rest:02d}"
