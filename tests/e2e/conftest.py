"""A whole server for end-to-end tests: started by its own command, spoken to over its real edges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e_server import Server, running_server


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
    extra["DISPATCH_OFFER_TTL_S"] = "120"
    with running_server(tmp_path, students=4, runners=4, time_scale=20, **extra) as made:
        yield made
