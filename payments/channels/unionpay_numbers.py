"""Our numbers as UnionPay takes them, and back: 8 to 32 letters and digits, the width that its bills have for them."""

from __future__ import annotations

import hashlib
import re

_LEGAL = re.compile(r"[0-9A-Za-z]{8,32}")
_REFUND_INSTEAD = re.compile(r"([0-9A-Za-z]{26}A\d\d[UD]\d{1,2})R")


def order_id(number: str) -> str:
    """Our number, or its digest where UnionPay does not take it (a bill then shows what nobody here knows).

    >>> order_id("01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01U1")
    '01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01U1'
    """
    return number if _LEGAL.fullmatch(number) else hashlib.sha256(number.encode()).hexdigest()[:32]


def refund_instead(number: str) -> str:
    """The number of the refund that is made when the undoing under ``number`` was not possible."""
    return order_id(f"{number}R")


def number_of(order_number: str) -> str:
    """Our own number behind one on a bill.

    >>> number_of(refund_instead("01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01U1"))
    '01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01U1'
    """
    instead = _REFUND_INSTEAD.fullmatch(order_number)
    return instead[1] if instead else order_number
