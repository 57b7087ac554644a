"""Passwords, stored as Argon2id hashes."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# 19 MiB and two passes, the least that OWASP's password storage sheet recommends: about 30 ms of one core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_NOBODYS = _HASHER.hash("nobody has this password")


def hash_password(password: str) -> str:
    """What is stored. Slow on purpose: call it in a thread."""
    return _HASHER.hash(password)


def is_password(stored: str | None, password: str) -> bool:
    """Whether it is the password. Without a stored one it takes as long and says no, so that time tells nothing."""
    try:
        return _HASHER.verify(stored or _NOBODYS, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """Whether it was hashed with weaker parameters than today's."""
    try:
        return _HASHER.check_needs_rehash(stored)
    except InvalidHashError:
        return True
