"""A hub that each test has to itself."""

from __future__ import annotations

from tests.hub_fixtures import server, world

__all__ = ["server", "world"]
