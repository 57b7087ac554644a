"""Card centres for tests of the campus card."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from payments.channels import campus_card_signing as signing
from payments.channels.campus_card import CampusCardChannel
from tests.payments_campus_card import DOCUMENT, SECRET, Centre, config, with_rsa
from tests.payments_keys import rsa_key
from tests.payments_providers import served


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address and the books of the example, run as it stands in the document."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    folder = tmp_path_factory.mktemp("centre")
    (folder / "card_centre.py").write_text(code, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "card_centre.py", "0", "cards.sqlite"],
        cwd=folder,
        env={**os.environ, "CARD_SECRET": SECRET},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with sqlite3.connect(folder / "cards.sqlite") as books:
            books.execute("INSERT INTO cards VALUES ('card-1', 100000), ('card-2', 10)")
        yield f"http://127.0.0.1:{port}/campus-card/v1", folder / "cards.sqlite"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def card(centre: tuple[str, Path]) -> AsyncIterator[CampusCardChannel]:
    channel = CampusCardChannel(config(centre[0]))
    await channel.start()
    yield channel
    await channel.stop()


@pytest.fixture
async def rude() -> AsyncIterator[Centre]:
    provider = Centre(signing.RsaSigner(rsa_key("card"), rsa_key("merchant").public_key()))
    async with served(provider.handle) as provider.base_url:
        yield provider


@pytest.fixture
async def channel(rude: Centre) -> AsyncIterator[CampusCardChannel]:
    channel = CampusCardChannel(with_rsa(f"{rude.base_url}/v1"))
    yield channel
    await channel.stop()
