"""The burst of payments against a server of its own: everything is accepted, paid and in the books."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.__main__ import main

pytestmark = [pytest.mark.usefixtures("uncounted"), pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_burst_is_accepted_paid_and_booked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ["payments", "--only", "burst", "--orders", "12", "--within-s", "0.2", "--workers", "1", "--data-dir"]
    assert main([*told, str(tmp_path / "d")]) == 0
    printed = capsys.readouterr().out
    assert "accepted 12, with a credential 12, paid 12" in printed
    assert "orders and payment intents match one to one: 12 checked, 0 faults" in printed
    assert "CPU ms per payment" in printed and "FAULT" not in printed


def test_a_stalled_provider_holds_nobody_up_and_nobody_is_charged_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["payments", "--only", "stalled", "--rehearsed", "12", "--over-s", "3", "--workers", "1"]
    assert main([*told, "--data-dir", str(tmp_path / "d")]) == 0
    printed = capsys.readouterr().out
    assert "paid 12, not paid 0.00 %; shown by channel: wechat_spare 12" in printed
    assert "charged for good: 12 orders 1 times" in printed and "FAULT" not in printed
    assert "the first provider alone: 100.00 % not paid" in printed


def test_calls_that_never_come_back_leave_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ["payments", "--only", "abandoned", "--abandoned", "12", "--data-dir", str(tmp_path / "d")]
    code, printed = main(told), capsys.readouterr().out
    # How long anything takes is another thing on a machine that is busy.
    wrong = [
        line
        for line in printed.splitlines()
        if line.startswith("FAULT") and " took " not in line and "hung" not in line
    ]
    assert wrong == [] and code in (0, 1)
    assert "no answer, no other way" in printed and "at rest" in printed


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (["--orders", "0"], "--orders"),
        (["--within-s", "-1"], "--within-s"),
        (["--workers", "0"], "--workers"),
        (["--only", "noon"], "--only"),
        (["--rehearsed", "0"], "--rehearsed"),
        (["--abandoned", "0"], "--abandoned"),
    ],
)
def test_a_wrong_number_is_named(told: list[str], field: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["payments", *told]) == 2
    assert field in capsys.readouterr().err
