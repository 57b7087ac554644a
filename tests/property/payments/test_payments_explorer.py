"""Every interleaving of the shipping failover with a hostile world; and each guard, taken away, is missed."""

from __future__ import annotations

import os

import pytest

from payments.explore.guards import GUARDS, Guard
from payments.explore.report import Case, cases, command, lines, main
from payments.explore.world import KINDS

SOAK = bool(os.environ.get("SOAK"))


@pytest.mark.parametrize("case", cases(is_long=SOAK), ids=str)
def test_never_two_payments_kept_and_money_never_stuck(case: Case) -> None:
    found = case.run()
    assert found.harm is None
    assert found.states > 100


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_each_guard_is_needed(guard: Guard) -> None:
    harm = guard.search().harm
    assert harm is not None, f"nothing happens without {guard.name}: {guard.without}"
    kind, trace = harm
    assert kind in ("double", "stuck", "broken")
    assert trace, "a way that leads there"


def test_the_report_says_what_was_searched_and_whether_it_passed(capsys: pytest.CaptureFixture[str]) -> None:
    few = [Case("l", crashes=1), Case("l", parts=2)]
    printed = list(lines(few, GUARDS[:1]))
    assert printed[0].startswith("l: 1 crashes")
    assert "no harm" in printed[1]
    assert printed[2].startswith("without fence")
    assert "double after" in printed[2]
    assert printed[-1].startswith("passed: 2 searches")
    needless = GUARDS[0]._replace(search=Case("l").run)
    assert main(few, [needless]) == 1
    told = capsys.readouterr().out
    assert "NOT MISSED" in told
    assert "FAILED: 2 searches" in told
    assert main(few[:1], []) == 0
    with pytest.raises(SystemExit) as end:
        command(["--short"])
    assert end.value.code == 2


def test_the_long_form_holds_every_pair_and_triple() -> None:
    names = {case.channels for case in cases(is_long=True)}
    assert sum(len(name) == 2 for name in names) == 8 * 8
    assert sum(len(name) == 3 for name in names) == 4 * 4 * 4
    assert {case.channels for case in cases(is_long=False)} <= names
    # A channel that was tried is not tried again, so the second of a kind has to be another one than the first.
    assert all(len(set(name)) == len(name) for name in names)


def test_the_kinds_are_those_that_the_channels_ship() -> None:
    searched = {(shape.is_direct_debit, shape.creates_locally, shape.can_close) for shape in KINDS.values()}
    debits = {(True, False, True), (True, False, False)}
    cashiers = {(False, is_local, can_close) for is_local in (True, False) for can_close in (True, False)}
    assert searched == debits | cashiers
