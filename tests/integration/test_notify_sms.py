"""The SMS adapter against a local server that checks the signature by itself, after the provider's own description."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import pytest
from aiohttp import web

from dispatch.model.errors import TooMany, Unavailable
from dispatch.notify.aliyun import AliyunAccount, AliyunSender, canonical_query, signed_headers
from dispatch.notify.sms import SIGN_IN_CODE, NoSender, PrintingSender

SECRET = "a secret of the provider"
NOW = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)


class Provider:
    """The provider's side: checks a request as its documentation says, byte by byte from what arrived."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[dict[str, str]] = []
        self.answer: Any = {"Code": "OK", "Message": "OK", "RequestId": "r", "BizId": "b"}
        self.nonces: set[str] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if not await self._is_signed(request):
            return web.json_response({"Code": "SignatureDoesNotMatch", "RequestId": "r"}, status=403)
        pairs = [pair.partition("=") for pair in request.rel_url.raw_query_string.split("&")]
        self.received.append({unquote(name): unquote(value) for name, _, value in pairs})
        if isinstance(self.answer, bytes):
            return web.Response(body=self.answer)
        return web.json_response(self.answer)

    async def _is_signed(self, request: web.Request) -> bool:
        scheme, _, rest = request.headers["Authorization"].partition(" ")
        parts = dict(item.split("=", 1) for item in rest.split(","))
        names = parts["SignedHeaders"].split(";")
        body = hashlib.sha256(await request.read()).hexdigest()
        nonce = request.headers["x-acs-signature-nonce"]
        is_fresh = nonce not in self.nonces
        self.nonces.add(nonce)
        query = request.rel_url.raw_query_string
        in_order = query.split("&") == sorted(query.split("&"), key=lambda pair: pair.partition("=")[0])
        lines = [f"{name}:{request.headers[name].strip()}" for name in names]
        canonical = "\n".join([request.method, request.path, query, *lines, "", ";".join(names), body])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        wanted = hmac.new(SECRET.encode(), f"ACS3-HMAC-SHA256\n{digest}".encode(), hashlib.sha256).hexdigest()
        is_right = hmac.compare_digest(wanted, parts["Signature"])
        return (
            is_right and scheme == "ACS3-HMAC-SHA256" and parts["Credential"] == "KEY"
            and names == sorted(names) and {"host", "x-acs-action", "x-acs-date", "x-acs-content-sha256"} <= set(names)
            and request.headers["x-acs-content-sha256"] == body and request.headers["x-acs-action"] == "SendSms"
            and is_fresh and in_order
        )  # fmt: skip


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    there = Provider()
    application = web.Application()
    application.router.add_post("/", there.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    there.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield there
    await runner.cleanup()


def sender(url: str, secret: str = SECRET, timeout_s: float = 5.0) -> AliyunSender:
    account = AliyunAccount(
        key_id="KEY", key_secret=secret, sign_name="校园跑腿", templates={SIGN_IN_CODE: "SMS_1"}, url=url
    )
    numbers = iter(range(1000))
    return AliyunSender(account, now_real=lambda: NOW, new_nonce=lambda: f"n{next(numbers)}", timeout_s=timeout_s)


async def test_messages_are_signed_and_arrive(provider: Provider) -> None:
    sending = sender(provider.url)
    for phone, sent in (("13812345678", "13812345678"), ("+8613812345678", "13812345678"), ("+4915112", "4915112")):
        await sending.send(phone, SIGN_IN_CODE, {"code": "012345"})
        assert provider.received[-1]["PhoneNumbers"] == sent
    assert provider.received[-1]["SignName"] == "校园跑腿" and provider.received[-1]["TemplateCode"] == "SMS_1"
    assert json.loads(provider.received[-1]["TemplateParam"]) == {"code": "012345"}
    await sending.close()
    await sending.close()


async def test_a_wrong_secret_is_noticed(provider: Provider) -> None:
    sending = sender(provider.url, "another secret")
    with pytest.raises(Unavailable):
        await sending.send("13812345678", SIGN_IN_CODE, {"code": "1"})
    assert provider.received == []
    await sending.close()


async def test_what_the_provider_refuses(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    sending = sender(provider.url)
    provider.answer = {"Code": "isv.BUSINESS_LIMIT_CONTROL", "Message": "13812345678", "RequestId": "r"}
    with pytest.raises(TooMany):
        await sending.send("13812345678", SIGN_IN_CODE, {"code": "1"})
    assert "BUSINESS_LIMIT" in caplog.text and "13812345678" not in caplog.text
    for answer in ({"Code": "isv.OUT_OF_SERVICE"}, b"<html>", b"[]", b"\xff"):
        provider.answer = answer
        with pytest.raises(Unavailable):
            await sending.send("13812345678", SIGN_IN_CODE, {"code": "1"})
    await sending.close()


async def test_nobody_there(free_port: int) -> None:
    sending = sender(f"http://127.0.0.1:{free_port}", timeout_s=1.0)
    with pytest.raises(Unavailable):
        await sending.send("13812345678", SIGN_IN_CODE, {"code": "1"})
    with pytest.raises(Unavailable, match="template"):
        await sending.send("13812345678", "another", {})
    await sending.close()


def test_the_signature_is_that_of_the_published_example() -> None:
    # The worked example of the provider's page on signature V3.
    account = AliyunAccount("YourAccessKeyId", "YourAccessKeySecret")
    query = canonical_query({
        "RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
    })  # fmt: skip
    headers = signed_headers(
        account, host="ecs.cn-shanghai.aliyuncs.com", path="/", query=query, action="RunInstances",
        now=datetime(2023, 10, 26, 10, 22, 32, tzinfo=UTC), nonce="3156853299f313e23d1673dc12e1703d",
        version="2014-05-26",
    )  # fmt: skip
    assert headers["Authorization"].endswith("06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0")
    assert "YourAccessKeySecret" not in repr(account)


def test_queries_are_encoded_as_signed() -> None:
    assert canonical_query({"b": "a b*~/", "a": "跑"}) == f"a={quote('跑')}&b=a%20b%2A~%2F"


async def test_printing_and_having_no_sender() -> None:
    written: list[str] = []
    printing = PrintingSender(written.append)
    await printing.send("13812345678", SIGN_IN_CODE, {"code": "123456"})
    await printing.close()
    assert "123456" in written[0] and "demonstration" in written[0]
    with pytest.raises(Unavailable):
        await NoSender().send("13812345678", SIGN_IN_CODE, {"code": "1"})
    await NoSender().close()
