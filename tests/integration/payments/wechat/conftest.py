"""WeChat Pay on loopback, which checks every signature with code of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests import wechat_counter as wx


@pytest.fixture
async def counter() -> AsyncIterator[wx.Counter]:
    async with wx.open_counter() as opened:
        yield opened
