"""Nothing sensitive is said over real channels: no key, nothing of a payer, no signature and no credential, in what is
logged, in the timeline that people read, or in the clear in the database."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from payments.account import Withdrawn
from payments.port import IntentReady, Settled
from tests.payments_town import CAMPUS, PLATFORM, RUNNERS, RUNNERS_SECRETS, SECRETS, Town, town

CODES = ("wechat_jsapi", "edupay", "alipay_qr", "alipay_wap", "unionpay_wap", "campus_card")
#: A line of a key, or a secret, is longer.
LEAST = 5
#: What a signature stands beside in any of the protocols.
SIGNED = re.compile(r"(?i)sign(ature)?[\"']?\s*[=:]|authorization|WECHATPAY2-|paySign|x-signature")


def secrets_of(env: Path) -> Iterator[str]:
    """Whatever opens or signs something, out of the team's settings."""
    for line in env.read_text().splitlines():
        name, _, value = line.partition("=")
        if name.endswith(("_PRIVATE_KEY", "_API_V3_KEY", "_SECRET")):
            text = value.strip("'\"").replace("\\n", "\n")
            yield from (part for part in text.split("\n") if "-----" not in part and len(part) > LEAST)


def words_of(credential: Any) -> Iterator[str]:
    """What of a credential one could pay with: its long texts, whole."""
    match credential:
        case dict():
            for value in credential.values():
                yield from words_of(value)
        case str() if len(credential) > 20 and not re.fullmatch(r"[0-9A-Z]+", credential):  # That is our own number.
            yield credential


async def lived(one: Town, code: str) -> list[str]:
    """An order from its payment to the runner's withdrawal and a refund; what its payer could pay with."""
    intent = await one.paid(code)
    await one.settle(intent, RUNNERS, CAMPUS, PLATFORM)
    await one.event(intent, Settled)
    await one.refund(intent, "RA", 100)
    assert isinstance(await one.withdraw(500), Withdrawn)
    return [word for event in one.seen if isinstance(event, IntentReady) for word in words_of(event.credential)]


@pytest.mark.parametrize("code", CODES)
async def test_no_channel_lets_a_secret_out(tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str) -> None:
    caplog.set_level(logging.DEBUG)
    async with town(tmp_path, code) as one:
        credentials = await lived(one, code)
        assert bool(credentials) is not one.payments._shapes[code].is_direct_debit
        (intent,) = {event.intent_id for event in one.seen}
        rows = await one.payments.timeline(f"ord_{intent}")
        assert {row.kind for row in rows} >= {"attempt", "request", "reply", "exchange", "instruction", "decision"}
        told = msgspec.json.encode(rows).decode()
        book = msgspec.json.encode(await one.payments.book(f"ord_{intent}")).decode()
    keys = list(secrets_of(tmp_path / "payments.env"))
    assert keys or code == "unionpay_wap", "whose key is in a file of its own"
    # The provider's side lives in this process, too, and says what it likes.
    ours = [each for each in caplog.records if not each.name.startswith(("payments.simulator", "asyncio"))]
    logged = "\n".join(each.getMessage() for each in ours)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "payments").rglob("*") if path.is_file())
    people = {*SECRETS.values(), *RUNNERS_SECRETS.values()}
    for text in (*keys, *people):
        assert text not in told and text not in book and text not in logged
        assert text.encode() not in stored
    for text in credentials:
        assert text not in told and text not in book and text not in logged
    for said in (told, logged):
        assert not SIGNED.search(said), SIGNED.search(said)
