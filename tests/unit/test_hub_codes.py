"""Close codes: the verdict that each carries, and how long whoever is sent away is asked to stay away."""

from __future__ import annotations

import pytest

from dispatch.hub.codes import STAY_AWAY_MS, CloseCode, closing_reason, may_return


@pytest.mark.parametrize("code", list(CloseCode))
def test_only_those_who_should_return_are_told_when(code: CloseCode) -> None:
    told = closing_reason(code, 1_500)
    assert closing_reason(code) == code.reason
    assert told == (f"{code.reason} retry_ms=1500" if 4000 <= code <= 4499 else code.reason)
    if " " in told:
        assert may_return(code)


def test_what_ends_many_at_once_spreads_them() -> None:
    assert {code for code in CloseCode if 4000 <= code <= 4499} == set(STAY_AWAY_MS)
    assert all(500 <= among_ms <= 5_000 for among_ms in STAY_AWAY_MS.values())
    assert all(len(closing_reason(code, 99_999).encode()) <= 123 for code in CloseCode), (
        "a close frame has no more room"
    )
