"""A whole server for end-to-end tests: started by its own command, spoken to over its real edges."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e_server import Server, make_server


@pytest.fixture(params=["embedded", "postgres-2-workers"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A running server at 20 × time with a demo campus, four students, four runners and an operator; once as it starts
    without settings, once with PostgreSQL, a Redis of its own and two processes for pages and sockets."""
    extra = {}
    if request.param != "embedded":
        extra = {
            "DATABASE_URL": request.getfixturevalue("postgres_url"),
            "REDIS_URL": request.getfixturevalue("redis_url"),
            "DISPATCH_WORKERS": "2",
        }
    made = make_server(tmp_path / "data", time_scale=20, DISPATCH_OFFER_TTL_S="120", **extra)
    plan = tmp_path / "plan.json"
    made.command("--inherit", "demo-setup", "--plan", str(plan), "--students", "4", "--runners", "4")
    made.plan = json.loads(plan.read_text())
    made.start()
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.stop()
