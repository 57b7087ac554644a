"""Risk, whatever the history: the strictest objection is the verdict, it is the same again, and more is no excuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from payments.guards.judge import judge
from payments.guards.risk import DEFAULT_RULES, STRICTNESS, History, RiskRequest, Seen

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
_WORDS = st.sampled_from((None, "x", "y"))
_KINDS = st.sampled_from(("pay", "refund", "coupon"))
_SEEN = st.builds(
    Seen,
    kind=_KINDS,
    ref=st.integers(0, 10**6).map(str),
    at=st.integers(1, 3600 * 24 * 40).map(lambda ago_s: NOW - timedelta(seconds=ago_s)),
    account=st.sampled_from(("a", "b", "c", "d")),
    amount_fen=st.sampled_from((1, 500, 501, 20_000, 300_000)),
    decision=st.sampled_from(STRICTNESS),
    device=_WORDS,
    ip=_WORDS,
    card=_WORDS,
    group=st.sampled_from(("", "g")),
    incident=st.sampled_from(("", "i")),
    is_open=st.booleans(),
)
_PAST = st.lists(_SEEN, max_size=40)
_REQUEST = st.builds(
    RiskRequest,
    kind=_KINDS,
    ref=st.just("new"),
    campus_id=st.just("nu"),
    account=st.just("a"),
    amount_fen=st.sampled_from((1, 500, 501, 20_000, 300_000)),
    device=_WORDS,
    ip=_WORDS,
    card=_WORDS,
    group=st.sampled_from(("", "g", "h")),
    incident=st.sampled_from(("", "i")),
)


@settings(max_examples=200, deadline=None)
@given(_REQUEST, _PAST, _PAST, st.integers(0, 30_000))
def test_a_verdict_is_the_strictest_objection(
    request: RiskRequest, account: list[Seen], others: list[Seen], given_fen: int
) -> None:
    history = History(account=account, device=others, ip=others, card=others, coupons_today_fen=given_fen)
    verdict = judge(history, request, DEFAULT_RULES, NOW)
    assert verdict == judge(history, request, DEFAULT_RULES, NOW)
    ranks = [STRICTNESS.index(each.decision) for each in verdict.objections]
    assert STRICTNESS.index(verdict.decision) == max(ranks, default=0)
    assert (verdict.challenge is not None) == (verdict.decision == "challenge")
    assert len({each.code for each in verdict.objections}) == len(verdict.objections)
    if request.group:
        assert "small_payments" not in {each.code for each in verdict.objections}


@settings(max_examples=100, deadline=None)
@given(_REQUEST, _PAST, st.integers(1, 5))
def test_more_small_payments_are_no_excuse(request: RiskRequest, past: list[Seen], more: int) -> None:
    before = {each.code for each in judge(History(account=past), request, DEFAULT_RULES, NOW).objections}
    added = [
        Seen(kind="pay", ref=f"m{i}", at=NOW - timedelta(seconds=i), account="a", amount_fen=100, decision="allow")
        for i in range(more)
    ]
    after = {each.code for each in judge(History(account=[*added, *past]), request, DEFAULT_RULES, NOW).objections}
    counted = {"small_payments", "account_rush", "account_frozen", "large_payment"}
    assert before & counted <= after
