"""UnionPay's gateway on loopback, which proves every form by itself, and channels to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from payments.channels.unionpay import UnionpayChannel
from tests.payments_keys import certificate, pfx
from tests.payments_providers import Unionpay, served
from tests.payments_unionpay import Books, config


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("keys") / "acp_sign.pfx"
    path.write_bytes(pfx("merchant", certificate("merchant", "cfca", "merchant"), "000000"))
    path.chmod(0o600)
    return str(path)


@pytest.fixture
async def unionpay() -> AsyncIterator[Unionpay]:
    provider = Unionpay()
    async with served(provider.handle) as provider.base_url:
        yield provider


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def channel(unionpay: Unionpay, books: Books, key_file: str) -> AsyncIterator[UnionpayChannel]:
    channel = UnionpayChannel(config(unionpay.base_url, key_file), books.first_written)
    await channel.start()
    yield channel
    await channel.stop()
