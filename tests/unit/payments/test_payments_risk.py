"""Risk rules: what each objects to, that the strictest wins, and how a campus changes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from payments.guards.judge import judge, wants
from payments.guards.risk import (
    DEFAULT_RULES,
    MOST_SEEN,
    STRICTNESS,
    Amount,
    Frequency,
    History,
    RiskRequest,
    Seen,
    read_rules,
)

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def request(amount_fen: int = 400, **fields: Any) -> RiskRequest:
    return RiskRequest(
        **{"kind": "pay", "ref": "new", "campus_id": "nu", "account": "s", "amount_fen": amount_fen, **fields}
    )


def seen(ago_s: float, amount_fen: int = 400, **fields: Any) -> Seen:
    given = {"kind": "pay", "ref": f"r{ago_s}", "account": "s", "decision": "allow", **fields}
    return Seen(at=NOW - timedelta(seconds=ago_s), amount_fen=amount_fen, **given)


def said(history: History, asked: RiskRequest) -> tuple[str, str]:
    verdict = judge(history, asked, DEFAULT_RULES, NOW)
    return verdict.decision, verdict.code


SMALL = [seen(10), seen(20), seen(59)]


@pytest.mark.parametrize(
    ("past", "asked", "expected"),
    [
        ([], request(), ("allow", "")),
        (SMALL, request(), ("challenge", "small_payments")),
        (SMALL, request(500), ("challenge", "small_payments")),
        (SMALL, request(501), ("allow", "")),
        (SMALL[:2], request(), ("allow", "")),
        ([*SMALL[:2], seen(60)], request(), ("allow", "")),
        ([*SMALL[:2], seen(30, 501)], request(), ("allow", "")),
        ([*SMALL[:2], seen(30, kind="refund")], request(), ("allow", "")),
        ([*SMALL[:2], seen(30, ref="new")], request(), ("allow", "")),
        # Parts of a split group are one logical payment, and not a small one because its parts are.
        (SMALL, request(group="g"), ("allow", "")),
        ([*SMALL[:2], seen(30, group="g"), seen(31, group="g")], request(), ("allow", "")),
        ([seen(i, 900) for i in range(1, 31)], request(900), ("challenge", "account_rush")),
        ([seen(i, 900, ref=str(i), group="g") for i in range(1, 31)], request(900), ("allow", "")),
        ([], request(200_001), ("hold", "large_payment")),
        ([seen(i * 100, 1000) for i in range(1, 6)], request(50_001), ("hold", "unusual_payment")),
        ([seen(i * 100, 1000) for i in range(1, 5)], request(50_001), ("allow", "")),
        ([seen(i * 100, 4000) for i in range(1, 6)], request(50_001), ("allow", "")),
        ([seen(100, 300_000, decision="hold", is_open=True)], request(900), ("refuse", "account_frozen")),
        ([seen(100, 300_000, decision="hold")], request(900), ("allow", "")),
        ([seen(100, 900, device="d1")], request(10_001, device="d2"), ("challenge", "new_device")),
        ([seen(100, 900, device="d1")], request(10_001, device="d1"), ("allow", "")),
        ([seen(100, 900, device="d1")], request(10_000, device="d2"), ("allow", "")),
        ([seen(100, 900)], request(10_001, device="d2"), ("allow", "")),
        ([seen(100, 900, ip="i1")], request(50_001, ip="i2"), ("challenge", "new_address")),
        ([seen(i * 1000, kind="refund") for i in range(1, 6)], request(kind="refund"), ("hold", "many_refunds")),
        ([seen(9, kind="coupon", incident="x")], request(kind="coupon", incident="x"), ("refuse", "coupon_again")),
        ([seen(9, kind="coupon", incident="x")], request(kind="coupon", incident="y"), ("allow", "")),
        (
            [seen(9, kind="coupon", incident="x", decision="refuse")],
            request(kind="coupon", incident="x"),
            ("allow", ""),
        ),
    ],
)
def test_an_accounts_history_is_judged(past: list[Seen], asked: RiskRequest, expected: tuple[str, str]) -> None:
    assert said(History(account=past), asked) == expected


def test_devices_addresses_and_cards_are_judged() -> None:
    others = [seen(i, account=f"a{i}", device="d", card="c") for i in range(1, 6)]
    assert said(History(device=others), request(device="d")) == ("challenge", "shared_device")
    assert said(History(device=others[1:]), request(device="d")) == ("allow", "")
    assert said(History(device=others), request()) == ("allow", "")
    assert said(History(card=others[:3]), request(card="c")) == ("hold", "shared_card")
    crowd = [seen(i / 10, account=f"a{i}", ip="i") for i in range(1, 100)]
    assert said(History(ip=crowd), request(ip="i")) == ("allow", "")
    trouble = [msgspec.structs.replace(each, decision="challenge") for each in crowd[:10]]
    assert said(History(ip=trouble), request(ip="i")) == ("challenge", "address_trouble")
    assert said(History(ip=trouble), request()) == ("allow", "")


def test_a_days_coupons_have_a_budget() -> None:
    assert said(History(coupons_today_fen=19_700), request(300, kind="coupon")) == ("allow", "")
    assert said(History(coupons_today_fen=19_701), request(300, kind="coupon")) == ("refuse", "coupon_budget")


def test_the_strictest_wins_and_all_are_told() -> None:
    past = [*SMALL, seen(40, 300_000, decision="hold", is_open=True)]
    verdict = judge(History(account=past), request(), DEFAULT_RULES, NOW)
    assert (verdict.decision, verdict.code) == ("refuse", "account_frozen")
    assert [each.code for each in verdict.objections] == ["account_frozen", "small_payments"]
    challenge = verdict.objections[1]
    assert (challenge.challenge, challenge.parameters) == ("face", {"count": 4, "most": 3, "window_s": 60})
    assert sorted(STRICTNESS, key=STRICTNESS.index)[-1] == "refuse"


def test_a_campus_changes_drops_and_adds_rules() -> None:
    book = read_rules(
        """{"*": {"large_payment": {"above_fen": 5000}},
            "nu": {"small_payments": {"most": 1}, "new_device": null,
                   "tiny": {"rule": "amount", "decision": "refuse", "above_fen": 10}}}"""
    )
    nu = {rule.code: rule for rule in book.of("nu")}
    assert isinstance(nu["small_payments"], Frequency) and nu["small_payments"].most == 1
    assert nu["small_payments"].window_s == 60.0
    assert isinstance(nu["large_payment"], Amount) and nu["large_payment"].above_fen == 5000
    assert "new_device" not in nu and "tiny" in nu
    elsewhere = {rule.code: rule for rule in book.of("elsewhere")}
    assert "new_device" in elsewhere and "tiny" not in elsewhere
    assert elsewhere["large_payment"] == nu["large_payment"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "object"),
        ('{"nu": {"small_payments": {"mots": 1}}}', "nu, small_payments: .*mots"),
        ('{"nu": {"small_payments": {"most": 200}}}', "most is below"),
        ('{"nu": {"small_payments": {"window_s": 9e9}}}', "window_s"),
        ('{"nu": {"small_payments": {"decision": "hold"}}}', "names its kind"),
        ('{"nu": {"mine": {"most": 1}}}', "nu, mine"),
    ],
)
def test_rules_that_cannot_be_are_named(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_rules(text)


def test_only_what_rules_look_at_is_fetched() -> None:
    assert wants(DEFAULT_RULES, "card", "pay") and not wants(DEFAULT_RULES, "card", "coupon")
    assert wants((), "account", "pay") and not wants((), "ip", "pay")
    assert all(getattr(rule, "most", 0) < MOST_SEEN for rule in DEFAULT_RULES)
