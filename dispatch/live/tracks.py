"""Where a runner was: recent readings in chunks, capped, and forgotten after a day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from geo.fix import Fix

from . import keys
from .connect import RedisClient
from .script import Script, run_script

#: A track keeps this many chunks, of the last three hours of business time.
CAP = 1_800
SPAN_MS = 3 * 3_600_000
TTL_S = 86_400
#: Tracks written by one call, so that no call keeps Redis busy for long.
_TRACKS_PER_CALL = 200

# KEYS tracks; ARGV cap span-ms ttl-s, then newest-time and chunk per track.
_APPEND = """
local cap, span, ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
for i, key in ipairs(KEYS) do
  local newest = ARGV[2 * i + 2]
  redis.call('ZADD', key, newest, ARGV[2 * i + 3])
  redis.call('ZREMRANGEBYRANK', key, 0, -cap - 1)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('(%d', tonumber(newest) - span))
  redis.call('EXPIRE', key, ttl)
end
return #KEYS
"""

_append = Script(_APPEND)

#: lat, lon, fixed_at_ms, accuracy, speed, bearing, battery: what is the same when a reading is sent twice.
_Reading = tuple[float, float, int, float | None, float | None, float | None, float | None]
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Reading])


def _reading(fix: Fix) -> _Reading:
    return (fix.lat, fix.lon, fix.fixed_at_ms, fix.accuracy_m, fix.speed_mps, fix.bearing_deg, fix.battery)


class Tracks:
    """One sorted set of chunks per runner, by the time of a chunk's newest reading. An order's track is its runner's,
    cut to the time between assignment and delivery. Chunks keep both the calls and the memory of a reading small."""

    def __init__(self, redis: RedisClient, *, cap: int = CAP, span_ms: int = SPAN_MS, ttl_s: int = TTL_S) -> None:
        self._redis = redis
        self._cap = cap
        self._span_ms = span_ms
        self._ttl_s = ttl_s

    async def append_many(self, campus_id: str, fixes: Iterable[tuple[str, Fix]]) -> None:
        """Add fixes in any order, one chunk per runner; over the cap the oldest chunks go."""
        by_runner: dict[str, list[Fix]] = {}
        for runner_id, fix in fixes:
            by_runner.setdefault(runner_id, []).append(fix)
        tracks = list(by_runner.items())
        for start in range(0, len(tracks), _TRACKS_PER_CALL):
            part = tracks[start : start + _TRACKS_PER_CALL]
            args: list[Any] = [keys.track(campus_id, runner_id) for runner_id, _ in part]
            args += (self._cap, self._span_ms, self._ttl_s)
            for _, readings in part:
                newest_ms = max(fix.fixed_at_ms for fix in readings)
                args += (newest_ms, _encoder.encode([_reading(fix) for fix in readings]))
            await run_script(self._redis, _append, [(len(part), args)])

    async def read(
        self, campus_id: str, runner_id: str, *, since_ms: int, until_ms: int, limit: int = 10_000
    ) -> list[Fix]:
        """The readings taken between the two times, both included, oldest first and each once; the newest ``limit``.

        Their time of receipt is not kept."""
        found = await self._redis.zrange(keys.track(campus_id, runner_id), since_ms, "+inf", byscore=True)
        readings: dict[tuple[int, float, float], Fix] = {}
        for chunk in found:
            for lat, lon, at_ms, accuracy, speed, bearing, battery in _decoder.decode(cast(bytes, chunk)):
                if since_ms <= at_ms <= until_ms:
                    readings[at_ms, lat, lon] = Fix(lat, lon, at_ms, accuracy, speed, bearing, battery)
        return [readings[key] for key in sorted(readings)][-limit:]

    async def forget(self, campus_id: str, runner_id: str) -> None:
        await self._redis.delete(keys.track(campus_id, runner_id))
