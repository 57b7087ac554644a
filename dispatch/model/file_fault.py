"""A fault in a file that somebody gave us, by line and field."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """``name``: the column or property at fault."""

    line: int
    name: str
    problem: str
