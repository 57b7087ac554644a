"""How long the load test's clients stay away: growing, spread, and never shorter than the server asked for."""

from __future__ import annotations

from random import Random

import pytest

from loadtest.pauses import LOST_S, REFUSED_S, Pauses, asked_by_header_s, asked_by_reason_s


class Most(Random):
    """Luck that always draws the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Least(Random):
    def uniform(self, a: float, b: float) -> float:
        return a


def test_pauses_double_up_to_their_ceiling_and_begin_anew() -> None:
    pauses = Pauses(Most())
    assert [pauses.next_s() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    pauses.reset()
    assert pauses.next_s() == LOST_S[0]
    refused = Pauses(Most())
    assert [refused.next_s(is_refused=True) for _ in range(7)] == [2, 4, 8, 16, 32, 60, 60]
    assert [Pauses(Most()).next_s(is_refused=True) for _ in range(2)] == [REFUSED_S[0]] * 2


def test_what_the_server_asks_for_is_the_least_and_the_jitter_is_full() -> None:
    assert Pauses(Least()).next_s(asked_s=2.5) == 2.5
    assert Pauses(Most()).next_s(asked_s=2.5) == 3.5
    drawn = [Pauses(Random(seed)).next_s() for seed in range(400)]
    assert min(drawn) < 0.05 and max(drawn) > 0.95
    assert 0.4 < sum(drawn) / len(drawn) < 0.6


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [("server_drain retry_ms=2500", 2.5), ("server_drain", 0), ("", 0), ("x retry_ms=9999999999", 300),
     ("no_retry_ms=5", 0), ("retry_ms=soon", 0)],
)  # fmt: skip
def test_a_close_reason_may_ask_for_a_pause(reason: str, seconds: float) -> None:
    assert asked_by_reason_s(reason) == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2), (None, 0), ("", 0), ("-1", 0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("86400", 300)],
)
def test_retry_after_may_ask_for_a_pause(header: str | None, seconds: float) -> None:
    assert asked_by_header_s(header) == seconds
