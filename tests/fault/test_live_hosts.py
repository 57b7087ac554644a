"""Two web hosts beside one with the database, Redis and the jobs, each in a network of its own: one is cut off while
runners report and consoles watch. Its people come back through the other host; nothing is missed or told twice."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import aiohttp
import psycopg
import pytest

from tests import net_lab
from tests.e2e_server import wait_until
from tests.host_people import Console, People, Resident
from tests.host_town import Town, open_town

IS_LONG = bool(os.environ.get("SOAK"))
#: How often a host is cut off, and for how long.
_luck = random.Random(5)
CUTS_S = [_luck.uniform(2, 40) for _ in range(12)] if IS_LONG else [6.0]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(2400 if IS_LONG else 180),
    pytest.mark.skipif(net_lab.why_not() is not None, reason=str(net_lab.why_not())),
]


@pytest.fixture
def town() -> Iterator[Town]:
    with open_town() as town:
        yield town


async def until(holds: Callable[[], Any], seconds: float, what: str) -> float:
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < seconds, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s


def _is_fresh(consoles: Sequence[Console], within_s: float = 1.0) -> bool:
    """Whether everybody is shown where each of the four runners was a moment ago."""
    since_ms = (time.time() - within_s) * 1000
    return all(len(one.newest_ms) == 4 and min(one.newest_ms.values()) > since_ms for one in consoles)


async def scenario(town: Town) -> list[Console]:
    timeout = aiohttp.ClientTimeout(total=3)
    # Residents live in the host that is cut off and talk to it over its own loopback: their sockets stay up.
    inside = aiohttp.TCPConnector(socket_factory=lambda info: town.lab.hosts["one"].do(_socket, info))
    async with aiohttp.ClientSession(timeout=timeout) as session, aiohttp.ClientSession(
        timeout=timeout, connector=inside
    ) as local:  # fmt: skip
        people = People(town, session)
        await people.start()
        for _ in range(2):
            resident = Resident(town, local, town.phones("operator")[0], 0)
            people.residents.append((resident, Console(people.roaming[0][1].topic)))
            await resident.sign_in(people.known)
        residing = [asyncio.create_task(person.keep(console.watch)) for person, console in people.residents]
        try:
            await until(lambda: _is_fresh(people.consoles), 30, "everybody to see everybody")
            await until(lambda: all(len(one.events) > 5 for one in people.consoles), 30, "events")
            for number, cut_s in enumerate(CUTS_S):
                await _cut(town, people, "one" if number % 2 == 0 else "two", cut_s)
            await people.stop_events()
            top = await asyncio.to_thread(_published, town)
            await until(lambda: all(one.at["offset"] == top for one in people.consoles), 20, "everybody to know it all")
        finally:
            for task in residing:
                task.cancel()
            await people.stop_events()
            await people.stop()
        assert [person.comings for person, _ in people.residents] == [1, 1], "who stayed inside was cut as well"
        return people.consoles


def _socket(info: Any) -> socket.socket:
    return socket.socket(*info[:3])


async def _cut(town: Town, people: People, name: str, cut_s: float) -> None:
    """Cut a host off for so long, and join it again."""
    outside = [console for _, console in people.roaming]
    other = next(web for web in town.webs if web != town.lab.hosts[name].address)
    began_s = time.monotonic()
    town.lab.cut(name)

    def is_elsewhere() -> bool:
        everybody = [person for person, _ in people.roaming] + people.runners
        return all(person.host == other for person in everybody) and _is_fresh(outside)

    if cut_s > 5:
        moved_s = await until(is_elsewhere, 25, "its people to come back through the other host")
        print(f"{name} was cut off; everybody sees everybody through the other host after {moved_s:.1f} s")
    await asyncio.sleep(max(0.0, cut_s - (time.monotonic() - began_s)))
    offsets = [console.at["offset"] for console in outside]
    town.lab.join(name)
    healed_s = await until(
        lambda: _is_fresh(people.consoles) and all(one.at["offset"] > max(offsets) for one in people.consoles),
        30,
        "the host that was cut off to be whole",
    )
    print(f"joined again {time.monotonic() - began_s - healed_s:.1f} s after the cut; healed {healed_s:.1f} s later")


def _published(town: Town) -> int:
    """How many events of the campus there are, when all of them have been published."""

    def count() -> tuple[int, int]:
        with psycopg.connect(town.database_url) as books:
            row = books.execute("SELECT count(*), count(*) FILTER (WHERE published_at IS NULL) FROM events").fetchone()
            assert row is not None
            return row[0], row[1]

    wait_until(lambda: town.lab.hosts["books"].do(count)[1] == 0, 20, "the relay")
    return town.lab.hosts["books"].do(count)[0]


def test_a_host_is_cut_off_and_joined_again(town: Town) -> None:
    consoles = town.lab.hosts["people"].do(lambda: asyncio.run(scenario(town)))
    for console in consoles:
        assert console.complaints == []
        assert console.began_anew == 1, "somebody had to begin anew"
        top = max(console.events)
        assert sorted(console.events) == list(range(console.first + 1, top + 1))
        assert len(set(console.events.values())) == len(console.events)
    with_most = max(consoles, key=lambda one: len(one.events))
    for console in consoles:
        assert all(with_most.events.get(offset, event) == event for offset, event in console.events.items())

    def published_ids() -> set[str]:
        with psycopg.connect(town.database_url) as books:
            return {row[0] for row in books.execute("SELECT id FROM events")}

    assert set(with_most.events.values()) <= town.lab.hosts["books"].do(published_ids)
    print(f"{len(with_most.events)} events, {len(consoles)} consoles: none missed, none twice")
