"""Providers on loopback for tests of channels: each answers as it is told, and proves what it hears by itself."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from payments.money import Fen
from payments.outcomes import OrderToCreate
from tests.payments_keys import certificate, pem, rsa_key

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """A server whose every path is answered by the handler; its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert runner.addresses
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def order(attempt_id: str = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01", amount_fen: int = 1205, **fields: Any) -> OrderToCreate:
    """What an attempt looks like to a provider."""
    return OrderToCreate(
        attempt_id=attempt_id,
        amount_fen=Fen(amount_fen),
        description=fields.pop("description", "奶茶 ¥12 / two = cups & more"),
        order_ref="ord_1",
        payer_ref="stu_1",
        expires_at=datetime.now(UTC) + timedelta(seconds=fields.pop("life_s", 600)),
        **fields,
    )


class Silent(Exception):
    """The provider takes the request and never answers."""


class Provider:
    """What is heard, and what is to be answered: one answer per method, or a list of them, used one by one."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.base_url = ""

    def of(self, method: str) -> list[dict[str, Any]]:
        """What was asked by this method."""
        return [content for name, content in self.heard if name == method]

    async def next_answer(self, method: str) -> Any:
        answer = self.answers[method]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, type) and issubclass(answer, Silent):
            await asyncio.sleep(30)
        return answer


def is_signed_by(name: str, text: bytes, signature: str) -> bool:
    """Proved by plain cryptography, without our own signing modules."""
    try:
        rsa_key(name).public_key().verify(base64.b64decode(signature), text, padding.PKCS1v15(), hashes.SHA256())
    except Exception:
        return False
    return True


def signature_of(name: str, text: bytes) -> str:
    return base64.b64encode(rsa_key(name).sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


class Alipay(Provider):
    """Alipay's gateway. An answer is a dict (its content), bytes (the whole body), or a number (an HTTP status)."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path != "/gateway.do":
            file = await self.next_answer(request.path)
            return web.Response(status=file) if isinstance(file, int) else web.Response(body=file)
        params = {**request.query, **{name: str(value) for name, value in (await request.post()).items()}}
        method = params["method"]
        sign = params.pop("sign")
        text = "&".join(f"{name}={value}" for name, value in sorted(params.items()) if value)
        if params["sign_type"] != "RSA2" or not is_signed_by("merchant", text.encode(), sign):
            return web.json_response({"error_response": {"code": "40002", "sub_code": "isv.invalid-signature"}})
        self.heard.append((method, {**json.loads(params["biz_content"]), "_": params}))
        answer = await self.next_answer(method)
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        content = json.dumps({"code": "10000", "msg": "Success", **answer}, ensure_ascii=False)
        body = (
            f'{{"{method.replace(".", "_")}_response":{content},"sign":"{signature_of("alipay", content.encode())}"}}'
        )
        return web.Response(body=body.encode())


UNIONPAY_SIGNER = "041@8310000000083040@中国银联股份有限公司@00016493"


class Unionpay(Provider):
    """UnionPay's gateway and its file server. Answers go by txnType: a dict (laid over what was asked), bytes or a
    number; ``certificate`` is what it signs with."""

    def __init__(self) -> None:
        super().__init__()
        self.certificate = pem(certificate("unionpay", "cfca", UNIONPAY_SIGNER))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        params = {name: str(value) for name, value in (await request.post()).items()}
        signature = params.pop("signature")
        text = "&".join(f"{name}={value}" for name, value in sorted(params.items()) if value)
        digest = hashlib.sha256(text.encode()).hexdigest().encode()
        assert params["version"] == "5.1.0" and params["signMethod"] == "01" and params["certId"]
        if not is_signed_by("merchant", digest, signature):
            return web.Response(text="respCode=11&respMsg=verify failed")
        self.heard.append((params["txnType"], {**params, "_": request.path}))
        answer = await self.next_answer(params["txnType"])
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        echoed: dict[str, str] = {
            name: params[name] for name in ("merId", "orderId", "txnTime", "txnType") if name in params
        }
        return web.Response(
            text="&".join(f"{name}={value}" for name, value in self.signed({**echoed, **answer}).items())
        )

    def signed(self, params: dict[str, str]) -> dict[str, str]:
        """What UnionPay says, in the way it signs."""
        whole = {**params, "version": "5.1.0", "signMethod": "01", "signPubKeyCert": self.certificate}
        text = "&".join(f"{name}={value}" for name, value in sorted(whole.items()) if value)
        digest = hashlib.sha256(text.encode()).hexdigest().encode()
        return {**whole, "signature": signature_of("unionpay", digest)}


def denied(sub_code: str, code: str = "40004") -> dict[str, str]:
    """Alipay's no."""
    return {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "…"}
