"""Who calls the internal interface: an answer is proved, faults are told apart, harmless calls are repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from payments.service.internal_signing import KEY, NONCE, SIGNATURE, sign_answer
from payments.service.remote import PaymentsUnreachable, RemotePayments, as_port, open_remote
from payments.service.serve import tls_of
from payments.service.server import PaymentsServer
from payments.settings import read_settings
from tests.payments_desk import sqlite_desk
from tests.payments_keys import pem, private_pem, rsa_key
from tests.payments_remote import KEYS, RemoteDesk, remote_at


class Liar:
    """Something else at the address of the payments process; it counts and answers as it is told."""

    def __init__(self, *answers: Callable[[web.Request], web.Response]) -> None:
        self.answers = list(answers)
        self.calls = 0
        self.port = 0

    async def __aenter__(self) -> Liar:
        app = web.Application()
        app.router.add_post("/internal/v1/{name}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        return self.answers[min(self.calls, len(self.answers)) - 1](request)


def _proved(status: int, body: bytes) -> Callable[[web.Request], web.Response]:
    def answer(request: web.Request) -> web.Response:
        headers = sign_answer(KEYS, request.headers[KEY], request.headers[NONCE], status, body)
        return web.Response(status=status, body=body, headers=headers)

    return answer


def _broken(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def _unproved(_: web.Request) -> web.Response:
    return web.Response(body=b"null", headers={SIGNATURE: "0" * 64})


async def test_an_answer_of_somebody_else_is_not_believed() -> None:
    async with Liar(_unproved) as liar:
        remote, payments = remote_at(liar.port)
        with pytest.raises(PaymentsUnreachable, match="not proved"):
            await payments.view("int_a")
        await remote.stop()


async def test_only_what_does_no_harm_twice_is_asked_twice() -> None:
    async with Liar(_broken, _proved(200, b"null")) as liar:
        remote, payments = remote_at(liar.port)
        assert await payments.view("int_a") is None
        assert liar.calls == 2
        await remote.stop()
    async with Liar(_broken, _proved(200, b"null")) as liar:
        remote, payments = remote_at(liar.port)
        with pytest.raises(PaymentsUnreachable):
            await payments.review_risk("r", True, "operator", "x")
        assert liar.calls == 1
        await remote.stop()


async def test_one_that_is_busy_is_asked_again_and_one_that_turns_away_is_not() -> None:
    busy = _proved(503, b'{"code":null,"text":"busy"}')
    async with Liar(busy, _proved(422, b'{"code":null,"text":"no"}')) as liar:
        remote, payments = remote_at(liar.port)
        with pytest.raises(ValueError, match="no"):
            await payments.review_risk("r", True, "operator", "x")
        assert liar.calls == 2
        await remote.stop()
    for answer, words in (
        (lambda _: web.Response(status=401), "check key"),
        (_proved(500, b'{"code":null,"text":"a fault"}'), "a fault"),
        (_proved(200, b'{"something":"newer"}'), "not understood"),
    ):
        async with Liar(answer) as liar:
            remote, payments = remote_at(liar.port)
            with pytest.raises(PaymentsUnreachable, match=words):
                await payments.balances("run")
            assert liar.calls == 1
            await remote.stop()


async def test_a_process_that_is_away_is_no_refusal(free_port: int) -> None:
    remote, payments = remote_at(free_port)
    await remote.start()
    assert payments.channels() == []
    with pytest.raises(PaymentsUnreachable):
        await payments.view("int_a")
    await remote.stop()
    await remote.stop()


async def test_what_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.service.remote.ANSWER_BYTES", 10)
    async with Liar(_proved(200, b"[" + b" " * 100 + b"]")) as liar:
        remote, payments = remote_at(liar.port)
        with pytest.raises(PaymentsUnreachable, match="too large"):
            await payments.events()
        await remote.stop()


async def test_channels_are_heard_of_in_the_background(tmp_path: Path, eventually: Any) -> None:
    async with RemoteDesk(f"sqlite:///{tmp_path}/p.db", f"sqlite:///{tmp_path}/b.db") as desk:
        remote = RemotePayments(f"http://127.0.0.1:{desk.server.port}", KEYS, refresh_s=0.01)
        await remote.start()
        payments = as_port(remote)
        assert [channel.is_available for channel in payments.channels()] == [True, True]
        desk.channel().is_available = False
        await eventually(lambda: not payments.channels()[0].is_available)
        await remote.stop()


async def test_over_tls_the_process_is_proved_too(tmp_path: Path) -> None:
    cert, key, keys_file = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "keys"
    _write(cert, _localhost())
    _write(key, private_pem("payments"))
    _write(keys_file, "k1 " + b"an internal key of 32 bytes long!".hex() + "\n")
    told = {"PAYMENTS_DATA_DIR": str(tmp_path), "PAYMENTS_TLS_CERT": str(cert), "PAYMENTS_TLS_KEY": str(key)}
    tls = tls_of(read_settings(told, env_file=None))
    async with sqlite_desk(tmp_path) as desk:
        server = PaymentsServer(desk.payments, KEYS, host="0.0.0.0", tls=tls)
        await server.start()
        for ca_file in (cert, None):
            remote = open_remote(f"https://localhost:{server.port}", keys_file, ca_file)
            if ca_file is None:
                with pytest.raises(PaymentsUnreachable, match="Certificate"):
                    await as_port(remote).view("int_a")
            else:
                assert await as_port(remote).view("int_a") is None
            await remote.stop()
        await server.stop()
    with pytest.raises(ValueError, match="https"):
        open_remote("http://payments.example.edu:8890", keys_file)
    plain = open_remote("http://127.0.0.1:1", keys_file)
    await plain.stop()


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def _localhost() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(rsa_key("payments").public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(rsa_key("payments"), hashes.SHA256())
    )
    return pem(made)
