"""Fixtures of every test that talks to a hub: the truth behind it, the hub as one worker, a certificate for it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest

from tests.hub_world import Server, World, make_tls_context, running


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def server(redis_url: str, world: World) -> AsyncIterator[Server]:
    async with running(redis_url, world) as server:
        yield server


@pytest.fixture(scope="module")
def tls_context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return make_tls_context(tmp_path_factory.mktemp("tls"))
