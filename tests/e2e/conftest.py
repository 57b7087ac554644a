"""A whole server for end-to-end tests: started by its own command, spoken to over its real edges."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e_server import Server, make_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server with a demo campus, four students, four runners and an operator, at 60 × time."""
    made = make_server(tmp_path / "data")
    plan = tmp_path / "plan.json"
    made.command("demo-setup", "--plan", str(plan), "--students", "4", "--runners", "4")
    made.plan = json.loads(plan.read_text())
    made.start()
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.stop()
