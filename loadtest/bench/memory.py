"""What a connection costs in memory: how much a server process grows with thousands of signed-in followers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .crew import Hand
from .hub import HubUnderTest
from .links import FleetSpec
from .machine import Cores, rss_bytes
from .servers import NotMeasured, PlainTornado, Server
from .table import Row
from .verdicts import Figure
from .watcher import Watcher

#: Open before memory is first read, so that what is loaded once does not count as a connection's.
FIRST = 100
#: Opened together; their tokens live a minute.
BATCH = 1_500
SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Growth:
    """Resident bytes of the server process before and after so many connections were opened. ``late_kb``: what each of
    the later half took, which finds no room that others have left."""

    before: int
    after: int
    connections: int
    late_kb: float

    @property
    def kb_each(self) -> float:
        return (self.after - self.before) / 1024 / self.connections


async def measure_memory(
    cores: Cores,
    connections: int,
    fences: int,
    names: frozenset[str],
    settings: Mapping[str, str],
    say: Callable[[str], None],
) -> Row:
    """The hub's followers are that many accounts, each on its own ``runner:`` topic."""
    grown: dict[str, Growth] = {}
    missing: dict[str, str] = {}
    made: dict[str, Callable[[], Server]] = {
        "hub": lambda: HubUnderTest(runners=FIRST + connections, fences=fences, settings=dict(settings), on_duty=0),
        "tornado": PlainTornado,
    }
    for name, make in made.items():
        if name not in names:
            continue
        server = make()
        say(f"  starting {server.name} …")
        try:
            grown[server.name] = await _grow(server, cores, connections, say)
        except NotMeasured as fault:
            missing[server.name] = str(fault)
        finally:
            await server.stop()
    ours, plain = grown.get(HubUnderTest.NAME), grown.get(PlainTornado.name)
    figures = (
        Figure("memory", "per signed-in connection, one topic", ours.kb_each if ours else None, "KB", 8.0, 5.0),
        Figure("memory", "per connection of plain Tornado", plain.kb_each if plain else None, "KB"),
    )
    notes = tuple(
        f"{name}: {each.before / 1e6:.1f} MB with {FIRST} connections, {each.after / 1e6:.1f} MB with "
        f"{FIRST + each.connections}; each of the later half {each.late_kb:.1f} KB"
        for name, each in grown.items()
    )
    return Row(
        "memory", f"memory per connection, growth over {connections}", figures, (), missing, (), notes, "connection"
    )


async def _grow(server: Server, cores: Cores, connections: int, say: Callable[[str], None]) -> Growth:
    await server.start(cores)
    (pid,) = server.processes()["server"]
    hand = Hand(Watcher, cores.others)
    try:
        await _open(hand, server, "first", 0, FIRST)
        await asyncio.sleep(SETTLE_S)
        before = rss_bytes(pid)
        grown = [(0, before)]
        for begin in range(FIRST, FIRST + connections, BATCH):
            count = min(BATCH, FIRST + connections - begin)
            await _open(hand, server, f"from {begin}", begin, count)
            grown.append((begin + count - FIRST, rss_bytes(pid)))
            say(f"  {server.name}: {begin + count} connections, {(grown[-1][1] - before) / 1e6:.1f} MB more")
        await asyncio.sleep(SETTLE_S)
        after = rss_bytes(pid)
        half, at_half = next((n, size) for n, size in reversed(grown) if n <= connections / 2)
        return Growth(before, after, connections, (after - at_half) / 1024 / (connections - half))
    finally:
        hand.stop()


async def _open(hand: Hand, server: Server, name: str, begin: int, count: int) -> None:
    spec: FleetSpec
    if isinstance(server, HubUnderTest):
        spec = server.own_topics(begin, count)
    else:
        whole = await server.watchers(begin + count, 1)
        spec = FleetSpec(whole.host, whole.port, whole.links[begin:], whole.subprotocol)
    await asyncio.to_thread(hand.open, name, spec, "none")
