"""Offices that reconcile, on SQLite and on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.payments_desk import Desk, sqlite_desk
from tests.payments_office import Office


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with sqlite_desk(tmp_path) as desk:
        yield Office(desk)


@pytest.fixture
async def any_office(ready_sql_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    """On either database."""
    bank_url = f"sqlite:///{tmp_path}/bank.db" if ready_sql_url.startswith("sqlite") else ready_sql_url
    async with Desk(ready_sql_url, bank_url) as desk:
        yield Office(desk)
