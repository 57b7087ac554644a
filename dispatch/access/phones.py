"""Phone numbers in one form, so that one person is not two."""

from __future__ import annotations


def normal_phone(phone: str) -> str:
    """``+86 138…`` and ``86138…`` are ``138…``; other countries keep their ``+``. Takes what the request type lets
    through: digits with or without a ``+`` before them."""
    digits = phone.removeprefix("+")
    if len(digits) == 13 and digits.startswith("861"):
        return digits[2:]
    if phone.startswith("+"):
        return phone
    return digits
