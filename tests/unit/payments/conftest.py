"""What tests of payments' settings share: a folder of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.payments_variables import key_folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder of the files that variables name."""
    return key_folder(tmp_path)
