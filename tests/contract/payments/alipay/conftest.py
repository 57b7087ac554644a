"""A simulated Alipay, shared by a module's tests, and an SDK that knows nothing of us."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from alipay import AliPay

from tests.simulator_alipay import sdk_of
from tests.simulator_channels import ACCOUNTS, Rig, rig


@pytest.fixture
def sdk(one: Rig) -> AliPay:
    """The SDK, on our loopback instead of Alipay's domain."""
    return sdk_of(one)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    config: dict[str, Any] = {"parts_paid_by": "alipay", "runner_payout": "personal", "accounts": ACCOUNTS}
    async with rig("alipay_qr", tmp_path_factory.mktemp("alipay"), **config) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def one(shared: Rig) -> Rig:
    await shared.fresh()
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def frozen(tmp_path: Any) -> AsyncIterator[Rig]:
    async with rig(
        "alipay_freeze", tmp_path, parts_paid_by="alipay", runner_payout="personal", accounts=ACCOUNTS
    ) as made:
        yield made
