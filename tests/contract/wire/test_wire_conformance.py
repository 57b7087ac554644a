"""RFC 6455 frame by frame on every body of the transport: bare TCP and TLS, asyncio and uvloop."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Awaitable, Callable

import pytest

from dispatch.wire.hub_server import HubOptions
from tests.hub_world import JSON, MSGPACK, OPTIONS, Server, World, dial, running
from tests.raw_socket import play, raw
from tests.wire_cases import BINARY, CLOSE, PING, PONG, Case, Speech, cases, frame

SPEECHES = [Speech(JSON), Speech(MSGPACK)]
TEXT = SPEECHES[0]
AT_ONCE = 20
SHORT = 200
Scenario = Callable[[Server], Awaitable[None]]


async def every_case(server: Server) -> None:
    wrong = {}
    turn = asyncio.Semaphore(AT_ONCE)

    async def run(speech: Speech, case: Case, name: str, pieces: list[bytes]) -> None:
        wanted = Case("", (), list(case.answers), list(case.pongs), case.close)
        async with turn, raw(server, speech, f"acc_{name}".replace("/", "_")) as client:
            got = await play(client, speech, pieces, ends=case.close is not None)
        if got != wanted:
            wrong[name] = (got, wanted)

    async with asyncio.TaskGroup() as group:
        for speech in SPEECHES:
            for case in cases(speech):
                name = f"{speech.subprotocol}: {case.name}"
                if case.sent[0][0] == 0x80 | CLOSE:
                    # What comes after a close finds nobody, and may reset what was said: all in one write.
                    group.create_task(run(speech, case, name, [case.stream]))
                    continue
                group.create_task(run(speech, case, name, list(case.sent)))
                if len(stream := case.stream) <= SHORT:
                    bytewise = [stream[at : at + 1] for at in range(len(stream))]
                    group.create_task(run(speech, case, f"{name}, byte by byte", bytewise))
    assert not wrong


async def an_end_is_an_end(server: Server) -> None:
    async def end(sent: bytes, code: int) -> None:
        async with raw(server, TEXT, "acc_s") as client:
            # Much is on its way that nobody will look at, and still the code arrives.
            got = await play(client, TEXT, [sent, *[bytes(65_536)] * (8 if code != 1000 else 0)], ends=True)
            assert got.close == code
            assert await client.is_ended()

    async with asyncio.TaskGroup() as group:
        group.create_task(end(frame(CLOSE, b"\x03\xe8"), 1000))
        group.create_task(end(frame(3), 1002))
        group.create_task(end(frame(BINARY, bytes(200_000)), 4503))
    async with asyncio.timeout(5):
        while server.hub.hub.connections:
            await asyncio.sleep(0.01)


async def the_server_closes(server: Server) -> None:
    async with raw(server, TEXT) as client:
        client.send(TEXT.opcode, b"{}")
        assert (await client.until(CLOSE))[:2] == (4502).to_bytes(2, "big")
        client.send(TEXT.opcode, TEXT.ask(1))  # too late: nobody looks at it
        client.send(CLOSE, (4502).to_bytes(2, "big"))
        assert await client.is_ended()
    async with raw(server, TEXT) as client:
        client.send(TEXT.opcode, b"{}")
        assert await client.until(CLOSE)
        assert await client.is_ended()  # nobody answers our close: it ends all the same


async def a_flood_of_pings(server: Server) -> None:
    async with raw(server, TEXT, "acc_s") as client:
        for number in range(200):
            client.send(PING, str(number).encode())
        client.send(TEXT.opcode, TEXT.ask(1))
        answered = 0
        while (await client.receive())[0] == PONG:
            answered += 1
        assert answered == 50


async def whoever_does_not_answer(server: Server) -> None:
    async with raw(server, TEXT, "acc_alive") as alive, raw(server, TEXT, "acc_dead") as dead:
        heard = {connection.account_id for connection in server.hub.hub.connections}
        assert heard == {"acc_alive", "acc_dead"}
        async with asyncio.timeout(10):
            while "acc_dead" in heard:
                assert await alive.until(PING) == b""
                alive.send(PONG)
                heard = {connection.account_id for connection in server.hub.hub.connections}
        assert (await dead.until(CLOSE))[:2] == (4004).to_bytes(2, "big")
        assert await dead.is_ended()
        alive.send(TEXT.opcode, TEXT.ask(1))
        assert TEXT.summary(await alive.until(TEXT.opcode)) == "pong 1"


async def whoever_stops_reading(server: Server) -> None:
    async with dial(server, token="acc_r/runner") as runner, raw(server, TEXT, "acc_s") as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        connection = next(c for c in server.hub.hub.connections if c.account_id == "acc_s")
        async with asyncio.timeout(20):
            while server.hub.hub.counts["closed_4001"] == 0:
                for _ in range(40):
                    connection.put_raw(b"\x81\x7e\x13\x88" + bytes(5_000))
                await runner.send(t="ping")
                await runner.until("pong")
                # At the hub's own rhythm: faster than that the pings themselves are over their limit.
                await asyncio.sleep(server.hub.options.flush_s)


EAGER = HubOptions(drain_s=0.2, close_timeout_s=5, upgrades_per_address_per_s=10_000, upgrades_per_s=10_000)
SCENARIOS: list[tuple[Scenario, HubOptions]] = [
    (every_case, EAGER),
    (an_end_is_an_end, EAGER),
    (the_server_closes, OPTIONS),
    (a_flood_of_pings, OPTIONS),
    (whoever_does_not_answer, HubOptions(drain_s=0.2, close_timeout_s=1, ping_every_s=1)),
    (whoever_stops_reading, OPTIONS),
]


def _uvloop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        pytest.skip("no uvloop here")
    import uvloop

    return uvloop.new_event_loop()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, _uvloop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize(("scenario", "options"), SCENARIOS, ids=[scenario.__name__ for scenario, _ in SCENARIOS])
def test_conformance(
    redis_url: str,
    tls_context: ssl.SSLContext,
    scenario: Scenario,
    options: HubOptions,
    transport: str,
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def main() -> None:
        async with running(redis_url, World(), options, tls_context if transport == "tls" else None) as server:
            await scenario(server)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
