"""The WeChat Pay channel joined to its simulator: each way of signing, with and without a sub-merchant, and one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.simulator_wechat import Rig, rig


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Rig]:
    """The usual way."""
    async with rig(tmp_path, sub_mchid="") as made:
        yield made
