"""The shared fixtures give real servers, empty, that a test may also stop and start."""

from __future__ import annotations

import time

import psycopg
import pytest
import redis


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_begins_with_an_empty_redis(redis_url, turn):
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left behind", turn)


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_begins_with_an_empty_database(postgres_url, turn):
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE left_behind (turn integer)")


def test_sql_address_names_a_database_for_both_kinds(sql_url):
    assert sql_url.startswith(("sqlite:////", "postgresql://"))


def test_a_restarted_redis_is_empty(own_redis):
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("key", 1)
    own_redis.stop()
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.get("key") is None


async def test_waiting_ends_when_the_condition_holds_and_fails_at_the_deadline(eventually):
    start = time.monotonic()
    assert await eventually(lambda: time.monotonic() > start + 0.05)
    with pytest.raises(AssertionError, match="not true within"):
        await eventually(lambda: False, timeout_s=0.05)
