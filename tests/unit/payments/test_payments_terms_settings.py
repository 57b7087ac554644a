"""The terms as variables: each is read, shown, and refused by its own name, by the server and by payments alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dispatch.settings import SettingsError as ServerError
from dispatch.settings import example_env
from dispatch.settings import read_settings as read_server
from payments.settings import SettingsError, read_settings, variables
from payments.terms import DAY_S, Terms
from payments.terms_settings import TERM_SETTINGS, in_words, read_terms, told_terms

SAID = {
    "PAYMENTS_PAYOUT": "at_once",
    "PAYMENTS_LEAST_WITHDRAWAL_FEN": "500",
    "PAYMENTS_MOST_WITHDRAWN_PER_DAY_FEN": "80000",
    "PAYMENTS_MOST_WITHDRAWALS_PER_DAY": "3",
    "PAYMENTS_REVIEW_ABOVE_FEN": "0",
    "PAYMENTS_PAY_WITHIN_DAYS": "20",
    "PAYMENTS_HOLD_LIVES_DAYS": "22.5",
    "PAYMENTS_PAY_AGAIN_HOURS": "6",
    "PAYMENTS_REFUND_WITHIN_HOURS": "48",
}
MEANT = Terms(
    payout="at_once", least_withdrawal_fen=500, most_withdrawn_per_day_fen=80_000, most_withdrawals_per_day=3,
    review_above_fen=0, pay_within_s=20 * DAY_S, hold_lives_s=22.5 * DAY_S, pay_again_s=21_600.0,
    refund_within_s=172_800.0,
)  # fmt: skip


def test_every_term_has_a_variable() -> None:
    assert {each.term for each in TERM_SETTINGS} == set(Terms.__struct_fields__)
    assert {each.variable for each in TERM_SETTINGS} == set(SAID)
    assert read_terms(SAID) == (MEANT, []) and told_terms(SAID) == list(SAID)
    assert read_terms({}) == (Terms(), []) and told_terms({"PAYMENTS_PAYOUT": " "}) == []
    assert read_terms({each.variable: each.default for each in TERM_SETTINGS}) == (Terms(), [])


def test_both_ways_to_have_payments_read_them(tmp_path: Path) -> None:
    home = {"DISPATCH_DATA_DIR": str(tmp_path)}
    assert read_server(home | SAID, None).terms == MEANT
    own = read_server(home | SAID | {"PAYMENTS_CHANNELS": "sandbox"}, None)
    assert own.payments is not None and own.payments.terms == own.terms == MEANT
    assert read_settings(SAID | {"PAYMENTS_DATA_DIR": str(tmp_path)}, None).terms == MEANT
    for text in (variables(), example_env()):
        for each in TERM_SETTINGS:
            assert re.search(rf"^#{each.variable}={re.escape(each.default)}$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("PAYMENTS_PAYOUT", "weekly"),
        ("PAYMENTS_LEAST_WITHDRAWAL_FEN", "0"),
        ("PAYMENTS_LEAST_WITHDRAWAL_FEN", "1.5"),
        ("PAYMENTS_LEAST_WITHDRAWAL_FEN", "500001"),
        ("PAYMENTS_MOST_WITHDRAWN_PER_DAY_FEN", "-5"),
        ("PAYMENTS_MOST_WITHDRAWALS_PER_DAY", "1001"),
        ("PAYMENTS_REVIEW_ABOVE_FEN", "much"),
        ("PAYMENTS_PAY_WITHIN_DAYS", "30"),
        ("PAYMENTS_PAY_WITHIN_DAYS", "nan"),
        ("PAYMENTS_HOLD_LIVES_DAYS", "inf"),
        ("PAYMENTS_PAY_AGAIN_HOURS", "0"),
        ("PAYMENTS_REFUND_WITHIN_HOURS", "9999"),
    ],
)
def test_a_wrong_one_is_named(tmp_path: Path, variable: str, said: str) -> None:
    with pytest.raises(ServerError) as server:
        read_server({"DISPATCH_DATA_DIR": str(tmp_path), variable: said}, None)
    with pytest.raises(SettingsError) as own:
        read_settings({"PAYMENTS_DATA_DIR": str(tmp_path), variable: said}, None)
    for error in (server.value, own.value):
        (fault,) = error.faults
        assert fault.startswith(variable) and "_fen" not in fault.replace(variable, "") and "_s:" not in fault


def test_terms_of_a_payments_process_are_told_to_it(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("k1 " + "ab" * 32)
    keys.chmod(0o600)
    told = {
        "DISPATCH_DATA_DIR": str(tmp_path), "DISPATCH_PAYMENTS_URL": "https://pay.example.edu",
        "DISPATCH_PAYMENTS_KEYS_FILE": str(keys), "PAYMENTS_PAYOUT": "at_once",
    }  # fmt: skip
    with pytest.raises(ServerError) as refused:
        read_server(told, None)
    assert refused.value.faults == ["PAYMENTS_PAYOUT: is a setting of the payments process, not of this one"]


@pytest.mark.parametrize("channels", ["", "sandbox"])
def test_a_slip_of_the_pen_is_not_silent(tmp_path: Path, channels: str) -> None:
    told = {"DISPATCH_DATA_DIR": str(tmp_path), "PAYMENTS_REVIEW_ABOV_FEN": "1", "PAYMENTS_CHANNELS": channels}
    with pytest.raises(ServerError) as refused:
        read_server(told, None)
    assert refused.value.faults == [
        "PAYMENTS_REVIEW_ABOV_FEN: there is no such setting; did you mean PAYMENTS_REVIEW_ABOVE_FEN?"
    ]
    # What is only kept for later stays.
    read_server({"DISPATCH_DATA_DIR": str(tmp_path), "PAYMENTS_WECHAT_MCHID": "1900000109"}, None)


def test_the_terms_in_words() -> None:
    assert in_words(MEANT) == ("runners are paid with the settlement", "骑手在结算时收款")
    english, chinese = in_words(Terms())
    assert "1.00 to 5000.00 yuan a day, reviewed above 500.00; without asking on day 25 of 30" in english
    assert "第 25 天（共 30 天）" in chinese
