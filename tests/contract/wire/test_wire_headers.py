"""The handshake header by header, over TCP and TLS: what RFC 6455 asks, what is declined, and what came too early."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator

import pytest

from dispatch.wire.hub_server import HubOptions
from tests.hub_world import JSON, MSGPACK, Server, World, running
from tests.raw_socket import Raw, connected
from tests.wire_cases import Speech, fragments, frame

REQUEST = "GET /ws HTTP/1.1"
#: From RFC 6455, section 1.3.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = {
    "Host": "campus.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
Lines = dict[str, str | None]
LOWER: Lines = dict.fromkeys(GOOD) | {name.lower(): value for name, value in GOOD.items()}


@pytest.fixture(params=["tcp", "tls"])
async def server(request: pytest.FixtureRequest, redis_url: str, tls_context: ssl.SSLContext) -> AsyncIterator[Server]:
    options = HubOptions(drain_s=0.2, close_timeout_s=1, upgrades_per_address_per_s=10_000)
    async with running(redis_url, World(), options, tls_context if request.param == "tls" else None) as server:
        yield server


def request_of(changed: Lines, request: str = REQUEST) -> bytes:
    """A handshake with some of its headers changed, added, or (None) left out."""
    headers = {name: value for name, value in (GOOD | changed).items() if value is not None}
    return "\r\n".join([request, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


async def shake(server: Server, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by lower-case name, and the body of a refusal."""
    async with connected(server) as (reader, writer):
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        status = int(head[0].split()[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0))) if status != 101 else b""
        return status, headers, body


ACCEPTED: list[tuple[str, Lines, str | None]] = [
    ("nothing special", {}, None),
    ("names in lower case", LOWER, None),
    ("values in any case", {"Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"}, None),
    ("spaces around values", {"Sec-WebSocket-Key": f"  {KEY}  ", "Sec-WebSocket-Version": " 13 "}, None),
    ("json", {"Sec-WebSocket-Protocol": JSON}, JSON),
    ("msgpack", {"Sec-WebSocket-Protocol": MSGPACK}, MSGPACK),
    ("the client's order counts", {"Sec-WebSocket-Protocol": f"chat, {MSGPACK},{JSON}"}, MSGPACK),
    ("protocols in two lines", {"Sec-WebSocket-Protocol": "chat", "sec-websocket-protocol": f" {JSON} "}, JSON),
    ("deflate is declined", {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}, None),
    ("any extension is declined", {"Sec-WebSocket-Extensions": "x-own; a=1, permessage-deflate"}, None),
    ("extensions that are no list", {"Sec-WebSocket-Extensions": ";;,"}, None),
    ("an origin of its own", {"Origin": "https://CAMPUS.example"}, None),
    ("cookies are nobody's business", {"Cookie": "dispatch_access_main=x", "Authorization": "Bearer x"}, None),
]  # fmt: skip

REFUSED: list[tuple[str, Lines, int, str]] = [
    ("no upgrade", {"Upgrade": None}, 426, "upgrade_required"),
    ("another upgrade", {"Upgrade": "h2c"}, 426, "upgrade_required"),
    ("no connection", {"Connection": None}, 426, "upgrade_required"),
    ("another connection", {"Connection": "keep-alive"}, 426, "upgrade_required"),
    ("no version", {"Sec-WebSocket-Version": None}, 426, "upgrade_required"),
    ("an old version", {"Sec-WebSocket-Version": "8"}, 426, "upgrade_required"),
    ("two versions", {"Sec-WebSocket-Version": "13, 8"}, 426, "upgrade_required"),
    ("no key", {"Sec-WebSocket-Key": None}, 400, "invalid_input"),
    ("an empty key", {"Sec-WebSocket-Key": ""}, 400, "invalid_input"),
    ("a key of 15 bytes", {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA"}, 400, "invalid_input"),
    ("a key of 17 bytes", {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAA="}, 400, "invalid_input"),
    ("a key that is not base64", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ**"}, 400, "invalid_input"),
    ("two keys", {"Sec-WebSocket-Key": KEY, "sec-websocket-key": KEY}, 400, "invalid_input"),
    ("unknown protocols", {"Sec-WebSocket-Protocol": "chat, campus.v2.json"}, 400, "unknown_subprotocol"),
    ("no protocol at all in the list", {"Sec-WebSocket-Protocol": ","}, 400, "unknown_subprotocol"),
    ("protocols are case sensitive", {"Sec-WebSocket-Protocol": JSON.upper()}, 400, "unknown_subprotocol"),
    ("somebody else's page", {"Origin": "https://evil.example"}, 403, "not_permitted"),
    ("a page like ours", {"Origin": "https://campus.example.evil.example"}, 403, "not_permitted"),
    ("a page on another port", {"Origin": "https://campus.example:8443"}, 403, "not_permitted"),
    ("a page from nowhere", {"Origin": "null"}, 403, "not_permitted"),
    ("an empty origin", {"Origin": ""}, 403, "not_permitted"),
]


async def test_handshakes_that_are_accepted(server: Server) -> None:
    for name, changed, subprotocol in ACCEPTED:
        status, headers, _ = await shake(server, request_of(changed))
        assert status == 101, name
        assert headers.pop("sec-websocket-protocol", None) == subprotocol, name
        assert headers == {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": ACCEPT}, name


async def test_handshakes_that_are_refused(server: Server) -> None:
    for name, changed, wanted, code in REFUSED:
        status, headers, body = await shake(server, request_of(changed))
        assert (status, json.loads(body)["error"]["code"]) == (wanted, code), name
        assert "sec-websocket-accept" not in headers, name
        if wanted == 426:
            assert headers.get("upgrade") == "websocket" or headers["sec-websocket-version"] == "13", name
    assert server.hub.hub.counts["upgrades_refused"] == len(REFUSED) and not server.hub.hub.connections


@pytest.mark.parametrize(
    ("request_line", "changed", "statuses"),
    [
        ("POST /ws HTTP/1.1", {"Content-Length": "0"}, {405}),
        ("HEAD /ws HTTP/1.1", {}, {405}),
        ("GET /ws HTTP/1.0", {}, {426}),
        ("GET /ws HTTP/2.0", {}, {400, 426, 505}),
        ("GET /ws", {}, {400}),
        ("GET /ws HTTP/1.1", {"Host": None}, {400}),
    ],
)  # fmt: skip
async def test_other_requests_become_no_socket(
    server: Server, request_line: str, changed: Lines, statuses: set[int]
) -> None:
    async with connected(server) as (reader, writer):
        writer.write(request_of(changed, request_line))
        head = await reader.readuntil(b"\r\n\r\n")
    assert int(head.split()[1]) in statuses


async def test_a_token_in_the_url_is_nobodys(server: Server) -> None:
    status, _, _ = await shake(server, request_of({}, "GET /ws?token=acc_s/student HTTP/1.1"))
    assert status == 101
    assert all(not connection.account_id for connection in server.hub.hub.connections)


@pytest.mark.parametrize("subprotocol", [JSON, MSGPACK])
async def test_what_is_sent_before_the_answer_is_heard(server: Server, subprotocol: str) -> None:
    speech = Speech(subprotocol)
    hello = frame(speech.opcode, speech.pack({"t": "hello", "token": "acc_early/student"}))
    early = hello + b"".join(fragments(speech.opcode, speech.ask(1)[:5], speech.ask(1)[5:])) + frame(9, b"x")
    handshake = request_of({"Sec-WebSocket-Protocol": subprotocol})
    for cut in (0, 1, len(hello) - 1, len(hello), len(hello) + 3, len(early)):
        async with connected(server) as (reader, writer):
            writer.write(handshake + early[:cut])
            await reader.readuntil(b"\r\n\r\n")
            writer.write(early[cut:])
            client, got = Raw(reader, writer), set()
            while len(got) < 3:
                opcode, payload = await client.receive()
                got.add(speech.summary(payload) if opcode == speech.opcode else payload)
            assert got == {"welcome", "pong 1", b"x"}, cut
