"""A campus without the server around it, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fenced_world import Fenced, fenced_of
from tests.flow_world import World, open_world


@pytest.fixture
async def world(ready_sql_url: str, tmp_path: Path, redis_url: str) -> AsyncIterator[World]:
    """On both databases."""
    urls = [ready_sql_url] * 2
    if ready_sql_url.startswith("sqlite"):
        urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("payments", "bank")]
    async with open_world(ready_sql_url, *urls, redis_url) as opened:
        yield opened


@pytest.fixture
async def home(tmp_path: Path, redis_url: str) -> AsyncIterator[World]:
    """On SQLite alone, for what no database decides."""
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("dispatch", "payments", "bank")]
    async with open_world(*urls, redis_url) as opened:
        yield opened


@pytest.fixture
async def fenced(world: World) -> AsyncIterator[Fenced]:
    """With a geofence, on both databases."""
    async with fenced_of(world) as made:
        yield made


@pytest.fixture
async def yard(home: World) -> AsyncIterator[Fenced]:
    """With a geofence, on SQLite alone."""
    async with fenced_of(home) as made:
        yield made
