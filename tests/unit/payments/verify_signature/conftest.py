"""A place before the command ``verify-signature``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.payments_verify import Desk


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in ("LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return Desk(tmp_path, capsys)
