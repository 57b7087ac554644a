"""The campus card's channel on its own: how it is set up, and a debit for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from payments.channels import campus_card_signing as signing
from payments.channels.campus_card import CARD_TOKEN
from payments.channels.campus_card_config import CampusCardConfig
from tests.payments_keys import private_pem, public_pem
from tests.payments_providers import Provider, order

SECRET = "a secret of the tests, of 32 bytes or more"
DOCUMENT = Path(__file__).parents[1] / "docs" / "CAMPUS_CARD.md"
NONCE = "0123456789abcdef"


def config(base_url: str, **fields: Any) -> CampusCardConfig:
    return CampusCardConfig(
        **{
            "environment": "simulator",
            "merchant": "campus-errands",
            "base_url": base_url,
            "notify_url": "http://127.0.0.1/callbacks/campus_card",
            "algorithm": "HMAC-SHA256",
            "secret": SECRET,
            **fields,
        }
    )


def debit_of(number: str, amount_fen: int = 1205, token: str = "card-1") -> Any:
    return order(number, amount_fen, payer={CARD_TOKEN: token})


class Centre(Provider):
    """Answers go by method and path: (status, content), bytes, or Silent; signed with ``signer``, at ``wall_s``."""

    def __init__(self, signer: signing.Signer) -> None:
        super().__init__()
        self.signer = signer
        self.late_s = 0.0
        self.nonce_of_request = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        now = datetime.now(UTC).timestamp()
        subject = signing.request_subject(request.method, request.path)
        assert signing.why_not_proved(self.signer, subject, "campus-errands", request.headers, body, now) is None
        name = f"{request.method} {request.path}"
        self.heard.append((name, json.loads(body or b"{}")))
        answer = await self.next_answer(name)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        status, content = answer
        raw = json.dumps(content).encode()
        nonce = self.nonce_of_request or request.headers[signing.NONCE]
        headers = signing.signed_headers(
            self.signer, signing.reply_subject(status, nonce), "campus-errands", raw, now - self.late_s, NONCE
        )
        return web.Response(status=status, body=raw, headers=headers)


def with_rsa(base_url: str, **fields: Any) -> CampusCardConfig:
    keys = {"secret": "", "private_key": private_pem("merchant"), "card_public_key": public_pem("card")}
    return config(base_url, algorithm="RSA-SHA256", **{**keys, **fields})
