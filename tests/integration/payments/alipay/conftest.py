"""Alipay's gateway on loopback, which proves every request by itself, and channels to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from payments.channels.alipay import AlipayChannel
from tests.payments_alipay import opened
from tests.payments_providers import Alipay, served


@pytest.fixture
async def alipay() -> AsyncIterator[Alipay]:
    provider = Alipay()
    async with served(provider.handle) as provider.base_url:
        yield provider


@pytest.fixture
async def channel(alipay: Alipay) -> AsyncIterator[AlipayChannel]:
    async for each in opened(alipay):
        yield each
