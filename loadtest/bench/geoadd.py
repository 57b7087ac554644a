"""How many members a core of Redis takes by GEOADD, by the number of members in one command."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from .machine import Cores, cpu_ns, pin
from .servers import NotMeasured, PrivateRedis
from .table import Row
from .verdicts import Figure, Reading

BATCHES = (1, 10, 100, 1_000)
MEMBERS = 2_000
#: Members in one write to the socket: enough that Redis never waits for us.
PER_WRITE = 20_000
#: Different writes, so that members move.
WRITES = 8


def _writes(batch: int, luck: np.random.Generator) -> list[bytes]:
    """Pipelines of GEOADD commands over the same members at ever new places of a campus."""
    made = []
    for _ in range(WRITES):
        lat = np.round(30.50 + luck.random(PER_WRITE) * 0.03, 7)
        lon = np.round(114.40 + luck.random(PER_WRITE) * 0.03, 7)
        who = luck.permutation(PER_WRITE) % MEMBERS
        parts = []
        for begin in range(0, PER_WRITE, batch):
            words = [b"GEOADD", b"{campus}:geo"]
            for k in range(begin, begin + batch):
                words += (
                    repr(float(lon[k])).encode(),
                    repr(float(lat[k])).encode(),
                    b"acc_01M80K4FWDJ2STS0%06d" % who[k],
                )
            parts.append(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
        made.append(b"".join(parts))
    return made


def _pump(link: socket.socket, writes: list[bytes], answers: int, seconds: float) -> tuple[int, float]:
    """Keep two writes on their way for so long; members taken and seconds passed."""
    began_s = time.perf_counter()
    sent, answered = 1, 0
    link.sendall(writes[0])
    while time.perf_counter() - began_s < seconds:
        link.sendall(writes[sent % len(writes)])
        sent += 1
        answered = _read(link, answered, (sent - 1) * answers)
    _read(link, answered, sent * answers)
    return sent * PER_WRITE, time.perf_counter() - began_s


def _read(link: socket.socket, answered: int, wanted: int) -> int:
    """Each command answers one line. Raises NotMeasured when one is an error."""
    while answered < wanted:
        data = link.recv(262_144)
        if not data or b"-ERR" in data:
            raise NotMeasured(f"Redis answered {data[:100]!r}")
        answered += data.count(b"\n")
    return answered


async def measure_geoadd(cores: Cores, rounds: int, seconds: float, say: Callable[[str], None]) -> Row:
    """Redis alone on the server's core, the writer on another; by its own processor time and by the clock."""
    redis, luck = PrivateRedis(), np.random.default_rng(1)
    await redis.start()
    readings: list[Reading] = []
    try:
        pin(redis.pid, cores.server)
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(redis.url.removeprefix("unix://"))
            writes = {batch: _writes(batch, luck) for batch in BATCHES}
            for number in range(1, rounds + 1):
                for batch in BATCHES:
                    _pump(link, writes[batch], PER_WRITE // batch, seconds / 4)
                    before = cpu_ns(redis.pid)
                    members, passed_s = _pump(link, writes[batch], PER_WRITE // batch, seconds)
                    used = float(cpu_ns(redis.pid) - before)
                    readings.append(Reading(f"batch {batch}", number, passed_s, members, {"server": used}))
                    say(f"  round {number}  GEOADD of {batch}: {members / used * 1e9:,.0f} members/s per core")
    finally:
        redis.stop()
    return Row("geoadd", "GEOADD members a second per core of Redis", _figures(readings), readings=tuple(readings))


def _figures(readings: list[Reading]) -> tuple[Figure, ...]:
    found = []
    for batch in BATCHES:
        mine = [reading for reading in readings if reading.server == f"batch {batch}"]
        per_core = median(each.operations / each.cpu_ns["server"] * 1e9 for each in mine)
        busy = median(each.cpu_ns["server"] / 1e9 / each.seconds for each in mine)
        found.append(Figure("geoadd", f"{batch} members a command (core {busy:.0%} busy)", per_core, "members/s"))
    return tuple(found)
