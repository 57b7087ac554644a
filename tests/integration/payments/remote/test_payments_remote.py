"""The internal interface: only one who holds the key gets in, once and with what was signed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from payments.guards.guarded import NotSetUp
from payments.port import PaymentsPort, UnknownIntent
from payments.service.internal_signing import (
    FRESH_S,
    KEY,
    NONCE,
    SIGNATURE,
    TIMESTAMP,
    Gate,
    Keys,
    sign_answer,
    sign_request,
)
from payments.service.port_table import METHODS, raised, refusal_of
from payments.service.remote import PaymentsUnreachable, RemotePayments
from payments.service.server import REQUEST_BYTES, PaymentsServer
from tests.payments_desk import Desk, sqlite_desk
from tests.payments_remote import KEYS, remote_at

PATH = "/internal/v1/view"
BODY = b'{"intent_id":"int_a"}'
OTHER = Keys({"k1": b"another key of 32 bytes, not theirs"})
NOW_S = 1_800_000_000.0


class Door:
    """A payments server whose clock is moved by hand, and a bare client before it."""

    def __init__(self, desk: Desk, session: aiohttp.ClientSession) -> None:
        self.wall_s = NOW_S
        self.server = PaymentsServer(desk.payments, KEYS, wall_s=lambda: self.wall_s)
        self.session = session

    async def post(self, headers: dict[str, str], body: bytes = BODY, path: str = PATH) -> tuple[int, bytes, str]:
        async with self.session.post(self.url + path, data=body, headers=headers) as reply:
            return reply.status, await reply.read(), reply.headers.get(SIGNATURE, "")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def signed(self, body: bytes = BODY, keys: Keys = KEYS, path: str = PATH) -> dict[str, str]:
        return sign_request(keys, "POST", path, body, self.wall_s)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with sqlite_desk(tmp_path) as desk, aiohttp.ClientSession() as session:
        door = Door(desk, session)
        await door.server.start()
        door.wall_s += 1
        yield door
        await door.server.stop()


async def test_one_who_holds_the_key_gets_in_and_knows_who_answered(door: Door) -> None:
    headers = door.signed()
    status, body, signature = await door.post(headers)
    assert (status, body) == (200, b"null")
    assert signature == sign_answer(KEYS, "k1", headers[NONCE], 200, body)[SIGNATURE]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers: {},
        lambda headers: headers | {SIGNATURE: ""},
        lambda headers: headers | {SIGNATURE: "0" * 64},
        lambda headers: headers | {KEY: "k9"},
        lambda headers: headers | {NONCE: "f" * 32},
        lambda headers: headers | {NONCE: "short"},
        lambda headers: headers | {TIMESTAMP: str(int(headers[TIMESTAMP]) + 1)},
        lambda headers: headers | {TIMESTAMP: "soon"},
        lambda headers: sign_request(OTHER, "POST", PATH, BODY, NOW_S + 1),
        lambda headers: sign_request(KEYS, "GET", PATH, BODY, NOW_S + 1),
        lambda headers: sign_request(KEYS, "POST", "/internal/v1/book", BODY, NOW_S + 1),
        lambda headers: sign_request(KEYS, "POST", PATH, BODY + b" ", NOW_S + 1),
        lambda headers: sign_request(KEYS, "POST", PATH, BODY, NOW_S + 1 - FRESH_S - 1),
        lambda headers: sign_request(KEYS, "POST", PATH, BODY, NOW_S + 1 + FRESH_S + 1),
        # From before the start: whoever was listening then has nonces that this process never saw.
        lambda headers: sign_request(KEYS, "POST", PATH, BODY, NOW_S - 1),
    ],
)
async def test_nobody_else_gets_in(door: Door, spoil: Callable[[dict[str, str]], dict[str, str]]) -> None:
    assert await door.post(spoil(door.signed())) == (401, b"not proved\n", "")


async def test_a_request_is_let_in_once(door: Door) -> None:
    headers = door.signed()
    assert (await door.post(headers))[0] == 200
    door.wall_s += FRESH_S - 1
    assert (await door.post(headers))[0] == 401
    door.wall_s += FRESH_S * 3
    assert (await door.post(headers))[0] == 401
    assert (await door.post(door.signed()))[0] == 200


async def test_bodies_methods_and_paths_are_bounded(door: Door) -> None:
    large = b" " * (REQUEST_BYTES + 1)
    assert (await door.post(door.signed(large), large))[0] == 413
    for path, expected in (("/internal/v1/no_such", 404), ("/internal/v1/_store", 404)):
        status, _, signature = await door.post(door.signed(path=path), path=path)
        assert status == expected and signature
    for body in (b"", b"[]", b'{"intent_id":7}', b'{"intent_id":"a","more":1}', b"{}"):
        assert (await door.post(door.signed(body), body))[0] == 422
    async with door.session.get(door.url + PATH) as reply:
        assert reply.status == 405
    async with door.session.get(door.url + "/health") as reply:
        assert (reply.status, await reply.text()) == (200, "ok\n")


def test_nonces_are_bounded_and_forgotten_when_they_are_stale() -> None:
    wall_s = NOW_S
    gate = Gate(KEYS, lambda: wall_s, most_nonces=2)

    def come() -> str | None:
        return gate.fault_of(sign_request(KEYS, "POST", PATH, BODY, wall_s), "POST", PATH, BODY)

    assert [come(), come(), come()] == [None, None, "busy"]
    wall_s += 2 * FRESH_S + 1
    assert come() is None


def test_keys_are_changed_with_both_known(door: Door) -> None:
    new = b"the next internal key, 32 bytes!!"
    both = Keys({"k2": new, "k1": b"an internal key of 32 bytes long!"})
    gate = Gate(both, lambda: NOW_S)
    for keys in (KEYS, both, Keys({"k2": new})):
        assert gate.fault_of(sign_request(keys, "POST", PATH, BODY, NOW_S), "POST", PATH, BODY) is None
    assert (
        Gate(KEYS, lambda: NOW_S).fault_of(sign_request(both, "POST", PATH, BODY, NOW_S), "POST", PATH, BODY)
        == "unknown_key"
    )
    for wrong in ({}, {"k1": b"short"}, {"a": new, "b": new, "c": new}):
        with pytest.raises(ValueError):
            Keys(wrong)
    assert "internal" not in repr(both)


def test_without_tls_only_the_loopback_is_listened_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="TLS"):
        PaymentsServer(sqlite_desk(tmp_path).payments, KEYS, host="0.0.0.0")


class _Slow:
    """A body that takes as long as it is told, and fails in its own way."""

    def __init__(self) -> None:
        self.free = asyncio.Event()

    async def view(self, intent_id: str) -> None:
        if intent_id == "bug":
            raise AssertionError("a secret of the process")
        if intent_id == "none":
            raise UnknownIntent(intent_id)
        await self.free.wait()


async def test_faults_stay_inside_and_slow_calls_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    slow: Any = _Slow()
    server = PaymentsServer(slow, KEYS, handle_s=0.1)
    await server.start()
    remote, payments = remote_at(server.port)
    with pytest.raises(UnknownIntent, match="none"):
        await payments.view("none")
    with pytest.raises(PaymentsUnreachable) as caught:
        await payments.view("bug")
    assert "secret" not in str(caught.value) and "a secret of the process" in caplog.text
    with pytest.raises(PaymentsUnreachable, match="too long"):
        await payments.view("slow")
    await remote.stop()
    await server.stop()


async def test_more_calls_than_fit_are_turned_away(monkeypatch: pytest.MonkeyPatch, eventually: Any) -> None:
    monkeypatch.setattr("payments.service.server.AT_ONCE", 1)
    slow: Any = _Slow()
    server = PaymentsServer(slow, KEYS, most_waiting=1)
    await server.start()
    remote, payments = remote_at(server.port)
    first, second = asyncio.create_task(payments.view("a")), asyncio.create_task(payments.view("b"))
    await eventually(lambda: server._waiting == 1)
    with pytest.raises(PaymentsUnreachable, match="busy"):
        await payments.view("c")
    slow.free.set()
    assert (await first, await second) == (None, None)
    await remote.stop()
    await server.stop()


def test_every_method_of_the_port_is_in_the_table() -> None:
    names = {name for name in dir(PaymentsPort) if not name.startswith("_")}
    assert set(METHODS) == names
    assert all(hasattr(RemotePayments, name) for name in names)


def test_calls_are_bound_as_any_other() -> None:
    statement = METHODS["statement"]
    assert statement.decode_call(statement.encode_call("run", limit=3)) == {
        "account_ref": "run",
        "limit": 3,
        "before_seq": None,
    }
    with pytest.raises(TypeError):
        statement.encode_call()
    acknowledge = METHODS["acknowledge"]
    assert acknowledge.decode_call(acknowledge.encode_call(name for name in "ab"))["event_ids"] == ["a", "b"]
    with pytest.raises(TypeError):
        acknowledge.encode_call(object())


def test_refusals_come_back_as_their_classes() -> None:
    for refusal in (UnknownIntent("int_a"), NotSetUp("vault"), ValueError("amount_fen: no")):
        back = raised(refusal_of(refusal))
        assert type(back) is type(refusal) and str(back) == str(refusal)
    unknown = raised(msgspec.structs.replace(refusal_of(UnknownIntent("x")), code="of_tomorrow"))
    assert type(unknown).__name__ == "PaymentsError"
