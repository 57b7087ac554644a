"""Instants as the wire has them."""

from __future__ import annotations

from datetime import datetime


def ms(at: datetime) -> int:
    """Unix milliseconds."""
    return round(at.timestamp() * 1000)
