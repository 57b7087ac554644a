"""The names of what Redis holds; a campus is the hash tag, so that one campus never spans two shards."""

from __future__ import annotations


def fixes(campus_id: str) -> str:
    """Hash: runner id → newest fix."""
    return f"{{{campus_id}}}:fix"


def track(campus_id: str, runner_id: str) -> str:
    """Sorted set by fixed_at_ms: a runner's recent fixes."""
    return f"{{{campus_id}}}:track:{runner_id}"


def stream(campus_id: str, topic: str) -> str:
    """Stream: the topic's recent events; an entry's id is ``<ms>-<offset>``."""
    return f"{{{campus_id}}}:s:{topic}"


def meta(campus_id: str, topic: str) -> str:
    """Hash: o(ffset), e(poch) and m (the newest entry's ms) of a topic."""
    return f"{{{campus_id}}}:m:{topic}"


def event_ids(campus_id: str, topic: str) -> str:
    """Sorted set by offset: ids of events that the topic has, so that a repeated one is not published twice."""
    return f"{{{campus_id}}}:i:{topic}"


def note(campus_id: str, name: str) -> str:
    """String with an end: what one process tells all others."""
    return f"{{{campus_id}}}:note:{name}"


def events_channel(campus_id: str) -> str:
    return f"{{{campus_id}}}:events"


def positions_channel(campus_id: str) -> str:
    return f"{{{campus_id}}}:pos"


def want_channel(campus_id: str) -> str:
    return f"{{{campus_id}}}:want"


def gone_channel(campus_id: str) -> str:
    return f"{{{campus_id}}}:gone"


def wake_channel(name: str) -> str:
    return f"wake:{name}"


def counter(key: str, window_s: int, window: int) -> str:
    return f"count:{{{key}}}:{window_s}:{window}"
