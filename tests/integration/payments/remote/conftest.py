"""Who asks payments in another process again does it at once here."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.service.remote.PAUSES_S", (0.0, 0.0))
