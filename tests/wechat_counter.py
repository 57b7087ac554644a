"""A small WeChat Pay for tests: real HTTP, signatures checked and made by code of its own, answers as scripted."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from payments.channels.wechat import WechatChannel
from payments.channels.wechat_config import WechatConfig

MCHID, APPID, SERIAL = "1900007291", "wx2421b1c4370ec43b", "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB"
API_V3_KEY = "k" * 32
PUBLIC_KEY_ID = "PUB_KEY_ID_0000000000000024101100397200000006"

Script = Callable[["Asked"], "tuple[int, Any] | web.StreamResponse"]


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


MERCHANT_KEY, PLATFORM_KEY, NEXT_PLATFORM_KEY = new_key(), new_key(), new_key()


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def certificate_of(
    key: rsa.RSAPrivateKey, serial: int, *, start: datetime | None = None, days: int = 100
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    begin = start or datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, begin, begin + timedelta(days=days))
    return builder.sign(key, SHA256())


def certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


MERCHANT_PEM, PLATFORM_PUBLIC_PEM = private_pem(MERCHANT_KEY), public_pem(PLATFORM_KEY)


class Asked:
    """A request whose signature was found good."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        self.method = request.method
        self.path = request.path
        self.target = request.raw_path
        self.query = dict(request.query)
        self.headers = request.headers
        self.json: dict[str, Any] = json.loads(body) if body else {}


class Counter:
    """The provider. ``says`` answers by method and path; what it does not know is an error of the test."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self.key = PLATFORM_KEY
        self.serial = PUBLIC_KEY_ID
        self.certificates: list[tuple[str, str]] = []
        self.skew_s = 0.0
        self.tamper = False
        self.unsigned = False
        self._scripts: list[tuple[str, re.Pattern[str], Script]] = []

    def says(
        self, method: str, path: str, answer: Any = None, status: int = 200, *, script: Script | None = None
    ) -> None:
        """The newest line for a path wins."""
        self._scripts.insert(0, (method, re.compile(path), script or (lambda _: (status, answer))))

    def paths(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.asked]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if not self._is_signed(request, body):
            return self.answer(401, {"code": "SIGN_ERROR", "message": "签名错误"})
        asked = Asked(request, body)
        self.asked.append(asked)
        if request.path == "/v3/certificates":
            return self.answer(200, {"data": [self._listed(*each) for each in self.certificates]})
        for method, path, script in self._scripts:
            if method == request.method and path.fullmatch(request.path):
                said = script(asked)
                return said if isinstance(said, web.StreamResponse) else self.answer(*said)
        raise AssertionError(f"no line for {request.method} {request.path}")

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        parts = dict(re.findall(r'(\w+)="([^"]*)"', request.headers.get("Authorization", "")))
        message = "\n".join([request.method, request.raw_path, parts["timestamp"], parts["nonce_str"], ""]).encode()
        try:
            MERCHANT_KEY.public_key().verify(
                base64.b64decode(parts["signature"]), message + body + b"\n", padding.PKCS1v15(), SHA256()
            )
        except Exception:
            return False
        is_fresh = abs(time.time() - int(parts["timestamp"])) < 300
        return is_fresh and parts["mchid"] == MCHID and parts["serial_no"] == SERIAL

    def headers(self, body: bytes) -> dict[str, str]:
        timestamp, nonce = str(int(time.time() + self.skew_s)), uuid.uuid4().hex
        message = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        signature = base64.b64encode(self.key.sign(message, padding.PKCS1v15(), SHA256())).decode()
        return {
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": self.serial,
            "Wechatpay-Signature": signature,
        }

    def answer(self, status: int, words: Any) -> web.Response:
        body = b"" if words is None else json.dumps(words, ensure_ascii=False).encode()
        headers = {} if self.unsigned else self.headers(body)
        if self.tamper:
            body = body.replace(b'"', b'" ', 1) if body else b" "
        return web.Response(status=status, body=body, headers=headers | {"Request-ID": "08E1"})

    def _listed(self, serial: str, pem: str) -> dict[str, Any]:
        return {
            "serial_no": serial,
            "effective_time": "2025-01-01T00:00:00+08:00",
            "expire_time": "2035-01-01T00:00:00+08:00",
            "encrypt_certificate": sealed(pem, "certificate", "certificate"),
        }

    def callback(self, event_type: str, original_type: str, words: Any) -> tuple[dict[str, str], bytes]:
        """Headers and body of a callback."""
        envelope = {
            "id": str(uuid.uuid4()),
            "create_time": "2026-01-01T00:00:00+08:00",
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": "支付成功",
            "resource": sealed(json.dumps(words), original_type, original_type),
        }
        body = json.dumps(envelope, ensure_ascii=False).encode()
        return self.headers(body), body


def sealed(plain: str, associated_data: str, original_type: str) -> dict[str, str]:
    nonce = uuid.uuid4().hex[:12]
    box = AESGCM(API_V3_KEY.encode()).encrypt(nonce.encode(), plain.encode(), associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(box).decode(),
        "nonce": nonce,
        "associated_data": associated_data,
        "original_type": original_type,
    }


@asynccontextmanager
async def open_counter() -> AsyncIterator[Counter]:
    counter = Counter()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", counter.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    counter.url = f"http://{host}:{port}"
    try:
        yield counter
    finally:
        await runner.cleanup()


def trade(attempt_id: str, state: str = "SUCCESS", total: int = 1000, **changes: Any) -> dict[str, Any]:
    """An order as the provider words it."""
    words = {
        "appid": APPID,
        "mchid": MCHID,
        "out_trade_no": attempt_id,
        "trade_state": state,
        "trade_state_desc": "支付成功",
        "amount": {"total": total, "payer_total": total, "currency": "CNY"},
    }
    if state in ("SUCCESS", "REFUND"):
        words["transaction_id"] = f"42{attempt_id}"
    return words | changes


def config_for(url: str, **changes: Any) -> WechatConfig:
    fields: dict[str, Any] = {
        "environment": "simulator",
        "mchid": MCHID,
        "appid": APPID,
        "serial_no": SERIAL,
        "private_key": MERCHANT_PEM,
        "api_v3_key": API_V3_KEY,
        "notify_url": "http://127.0.0.1:8888/payments/callbacks/wechat",
        "algorithm": "WECHATPAY2-SHA256-RSA2048",
        "base_url": url,
        "backup_url": "",
        "public_key_id": PUBLIC_KEY_ID,
        "public_key": PLATFORM_PUBLIC_PEM,
        "accounts": {"platform": "1900000100", "campus:a": "1900000200"},
        "account_names": {"platform": "某某平台有限公司", "campus:a": "某某大学后勤集团"},
    }
    return WechatConfig(**{**fields, **changes})


@asynccontextmanager
async def channel_to(
    counter: Counter, *, find_account: Any = None, observe: Any = None, **changes: Any
) -> AsyncIterator[WechatChannel]:
    observing = {"observe": observe} if observe else {}
    channel = WechatChannel(config_for(counter.url, **changes), find_account=find_account, **observing)
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()
