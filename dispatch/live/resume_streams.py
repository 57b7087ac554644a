"""Numbered events per topic that a client can come back to: one step numbers, stores and publishes.

Each topic has an epoch (a new one whenever Redis lost the topic) and offsets that count its events within the epoch.
A client that returns with both gets exactly what it missed, or is told that it cannot be told.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from dispatch.model.event import Publication

from . import keys
from .connect import RedisClient, publish_verb
from .script import Script, run_script

#: Events kept per topic, by the topic's kind; a console hears everything, an order has a few dozen.
CAPS: Mapping[str, int] = {"console": 2_000, "hall": 500, "runner": 200, "order": 100}
_OTHER_CAP = 100
#: Real seconds that an event can be resumed from, that an idle topic's events are kept, and that its numbering is: the
#: last is longer, so that a console that slept through the night is not told of a new epoch.
MAX_AGE_S = 3_600
TTL_S = 7_200
META_TTL_S = 86_400

# Whether this server holds all that was ever published to a topic: a replica that took over lacks what its primary had
# not sent yet, and a server that started again lacks what it had not saved. Redis draws a new replication id for each
# of them, so a topic that remembers another one begins a new epoch. Not so a topic whose slot was moved here: then the
# server that it remembers is still a primary, and this one never took over from another.
_PAST = """
local replication = redis.call('INFO', 'replication')
local life = string.sub(string.match(replication, 'master_replid:(%x+)'), 1, 16)
local function node_id()
  local id = redis.pcall('CLUSTER', 'MYID')
  return type(id) == 'string' and string.sub(id, 1, 16) or ''
end
local function is_whole(was_life, was_node)
  if not was_life or was_life == life then return true end
  if not was_node or was_node == '' or was_node == node_id() then return false end
  if not string.find(replication, 'master_replid2:0000000000000000', 1, true) then return false end
  local flags = string.match('\\n' .. redis.call('CLUSTER', 'NODES'), '\\n' .. was_node .. '%x+ %S+ (%S+)')
  return flags and string.find(flags, 'master', 1, true) and not string.find(flags, 'fail', 1, true)
end
"""

# KEYS stream meta ids; ARGV epoch-if-new event-id body cap max-age-ms ttl-s channel meta-ttl-s publish-command.
# Answers {offset, epoch, is_new}.
# An entry's id is <ms>-<offset>: ascending even if the clock steps back, old ones are trimmed by time, and the offset
# needs no field of its own. The repeated id is looked up first, so that a relay that runs twice publishes once.
# Nobody hears the sharded channel here while the slot is on its way to this server: then the classic one reaches them.
_PUBLISH = (
    _PAST
    + """
local had = redis.call('HMGET', KEYS[2], 'e', 'm', 'r', 'n')
local epoch = had[1]
if epoch and not is_whole(had[3], had[4]) then epoch = false end
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
else
  local known = redis.call('ZSCORE', KEYS[3], ARGV[2])
  if known then return {tonumber(known), epoch, 0} end
end
if had[3] ~= life then redis.call('HSET', KEYS[2], 'r', life, 'n', node_id()) end
local t = redis.call('TIME')
local ms = t[1] * 1000 + math.floor(t[2] / 1000)
local last = tonumber(had[2] or '0')
if ms < last then ms = last end
local offset = redis.call('HINCRBY', KEYS[2], 'o', 1)
local ms_text = string.format('%d', ms)
redis.call('HSET', KEYS[2], 'e', epoch, 'm', ms_text)
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[4], ms_text .. '-' .. offset, 'b', ARGV[3])
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%d', ms - tonumber(ARGV[5])))
redis.call('ZADD', KEYS[3], offset, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', offset - 2 * tonumber(ARGV[4]))
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[8])
redis.call('EXPIRE', KEYS[3], ARGV[6])
local message = offset .. ' ' .. epoch .. ' ' .. ARGV[3]
local heard = redis.call(ARGV[9], ARGV[7], message)
if ARGV[9] == 'SPUBLISH' and heard == 0 then redis.call('PUBLISH', ARGV[7], message) end
return {offset, epoch, 1}
"""
)

# KEYS stream meta ids; ARGV epoch-if-new ttl-s offset epoch.
# Answers {top offset, epoch, recovered, entries newest first}.
# A topic that was never published to gets its epoch here, so that a client has a position to come back to.
_READ = (
    _PAST
    + """
local had = redis.call('HMGET', KEYS[2], 'o', 'e', 'r', 'n')
local top = tonumber(had[1] or '0')
local epoch = had[2]
if not epoch or not is_whole(had[3], had[4]) then
  top, epoch = 0, ARGV[1]
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[2], 'e', epoch, 'r', life, 'n', node_id())
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
local since = tonumber(ARGV[3])
if ARGV[4] ~= epoch or since < 0 or since > top then return {top, epoch, 0, {}} end
if since == top then return {top, epoch, 1, {}} end
local entries = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', top - since)
if #entries < top - since then return {top, epoch, 0, {}} end
return {top, epoch, 1, entries}
"""
)


class StreamEvent(NamedTuple):
    """One event of a topic, as stored, published and resumed. ``watch`` and ``close``: see ``Publication``."""

    topic: str
    offset: int
    epoch: str
    id: str
    version: int
    kind: str
    at_ms: int
    data: Any
    watch: str | None
    close: str | None


class Position(NamedTuple):
    """Where a topic stands: its newest offset within its epoch."""

    offset: int
    epoch: str


class Missed(NamedTuple):
    """The answer to a client that comes back. Not recovered: ``events`` is empty and a snapshot is due."""

    is_recovered: bool
    events: list[StreamEvent]
    position: Position


#: What the relay hands over: event id, the subject's version, business time, and what one topic hears.
Published = tuple[str, int, int, Publication]

_encoder = msgspec.msgpack.Encoder()
_Body = tuple[str, str, int, str, int, Any, str | None, str | None]
_decoder: msgspec.msgpack.Decoder[_Body] = msgspec.msgpack.Decoder(_Body)


def _event(offset: int, epoch: str, body: bytes) -> StreamEvent:
    topic, event_id, version, kind, at_ms, data, watch, close = _decoder.decode(body)
    return StreamEvent(topic, offset, epoch, event_id, version, kind, at_ms, data, watch, close)


def parse_message(message: bytes) -> StreamEvent:
    """What ``publish_many`` sent to the campus's channel. Raises ValueError for anything else."""
    offset, epoch, body = message.split(b" ", 2)
    return _event(int(offset), epoch.decode(), body)


def _missed(top: int, epoch: bytes, is_recovered: int, entries: Sequence[tuple[bytes, list[bytes]]]) -> Missed:
    position = Position(int(top), epoch.decode())
    events = [
        _event(int(entry_id.rpartition(b"-")[2]), position.epoch, fields[1]) for entry_id, fields in reversed(entries)
    ]
    return Missed(bool(is_recovered), events, position)


_publish_script, _read_script = Script(_PUBLISH), Script(_READ)


class ResumeStreams:
    """The topics' events in Redis; whatever is lost with Redis shows as a new epoch, never as a silent hole."""

    def __init__(self, redis: RedisClient, *, max_age_s: int = MAX_AGE_S, ttl_s: int = TTL_S) -> None:
        self._redis = redis
        self._max_age_s = max_age_s
        self._ttl_s = ttl_s

    async def publish_many(self, campus_id: str, events: Sequence[Published]) -> list[Position]:
        """Number, store and publish in the order given; the position of each (a repeated one: where it already is).

        Raises a Redis error when any of them failed; then the caller repeats all of them, which is harmless.
        """
        if not events:
            return []
        calls = [self._publish_call(campus_id, event) for event in events]
        answers = await run_script(self._redis, _publish_script, calls)
        return [Position(int(offset), epoch.decode()) for offset, epoch, _ in answers]

    async def position(self, campus_id: str, topic: str) -> Position:
        """Where the topic stands now."""
        return (await self.read_since(campus_id, topic, -1, "")).position

    async def read_since(self, campus_id: str, topic: str, offset: int, epoch: str) -> Missed:
        """The events after ``offset`` of ``epoch``, all of them in order, or none and ``is_recovered`` False."""
        (missed,) = await self.read_many(campus_id, [(topic, offset, epoch)])
        return missed

    async def read_many(self, campus_id: str, asked: Sequence[tuple[str, int, str]]) -> list[Missed]:
        """As :meth:`read_since` for each ``(topic, offset, epoch)``, in one round to Redis; what several ask alike is
        read once."""
        firsts = {one: number for number, one in enumerate(dict.fromkeys(asked))}
        calls = [
            (3, [*_keys_of(campus_id, topic), _new_epoch(), META_TTL_S, offset, epoch])
            for topic, offset, epoch in firsts
        ]
        answers = [_missed(*answer) for answer in await run_script(self._redis, _read_script, calls)]
        return [answers[firsts[one]] for one in asked]

    def _publish_call(self, campus_id: str, event: Published) -> tuple[int, list[Any]]:
        event_id, version, at_ms, p = event
        body = _encoder.encode((p.topic, event_id, version, str(p.kind), at_ms, dict(p.data), p.watch, p.close))
        cap = CAPS.get(p.topic.partition(":")[0], _OTHER_CAP)
        return 3, [
            *_keys_of(campus_id, p.topic),
            _new_epoch(),
            event_id,
            body,
            cap,
            self._max_age_s * 1000,
            self._ttl_s,
            keys.events_channel(campus_id),
            META_TTL_S,
            publish_verb(self._redis),
        ]


def _keys_of(campus_id: str, topic: str) -> tuple[str, str, str]:
    return keys.stream(campus_id, topic), keys.meta(campus_id, topic), keys.event_ids(campus_id, topic)


def _new_epoch() -> str:
    return secrets.token_hex(4)
