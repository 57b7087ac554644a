"""A house in which WeChat Pay is simulated, and a merchant that calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from payments.simulator.house import House, Plan
from tests.simulator_house import Caller, running, state_with_keys


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(Plan(state=state_with_keys(tmp_path), work_s=0.01)) as house:
        yield house


@pytest.fixture
def caller(house: House) -> Caller:
    return Caller(house)
