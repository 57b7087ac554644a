"""The burst of payments against a server of its own: everything is accepted, paid and in the books."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_burst_is_accepted_paid_and_booked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ["payments", "--orders", "12", "--within-s", "0.2", "--workers", "1", "--data-dir", str(tmp_path / "d")]
    assert main(told) == 0
    printed = capsys.readouterr().out
    assert "accepted 12, with a credential 12, paid 12" in printed
    assert "orders and payment intents match one to one: 12 checked, 0 faults" in printed
    assert "CPU ms per payment" in printed and "FAULT" not in printed


@pytest.mark.parametrize(
    ("told", "field"),
    [(["--orders", "0"], "--orders"), (["--within-s", "-1"], "--within-s"), (["--workers", "0"], "--workers")],
)
def test_a_wrong_number_is_named(told: list[str], field: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["payments", *told]) == 2
    assert field in capsys.readouterr().err
