"""What the benchmark's report says of made-up sums: halves, ratios that count and that don't, what is missed."""

from __future__ import annotations

import pytest

from loadtest.mdrp.command import as_json
from loadtest.mdrp.figures import Day
from loadtest.mdrp.parameters import CHOSEN, BadParameter, with_changes
from loadtest.mdrp.sets import ALL, BASE, CHOSEN_ON, EXACT_CTD, SIXTEEN, days_of, is_base, is_chosen, is_sixteen
from loadtest.mdrp.table import text
from loadtest.mdrp.verdicts import MISSES, NOT_MEASURED, OK, match30_counts, match30_ratio, verdicts

SIXTEEN_NAMES = [f"0{k}50t{t}s{s}p{p}" for k in "or" for t in (75, 100) for s in (1, 2) for p in (100, 125)]
BASE_NAMES = [f"{d}{k}t100s1p100" for d in range(6) if d != 4 for k in ("o50", "r50", "o100")]


def made(name: str, policy: str, ctd: float, undelivered: int = 0, faults: tuple[str, ...] = ()) -> Day:
    """A day of 1,000 orders."""
    n = 1000 - undelivered
    return Day(name, policy, 1000, n, round(ctd * n), n, 10, n, 9000.0, 90, (1.0, 2.0), 1.5, faults, is_chosen(name))


def played(policy: str, sixteen: float, base: float, undelivered: int = 0) -> list[Day]:
    names = dict.fromkeys(SIXTEEN_NAMES, sixteen) | dict.fromkeys([n for n in BASE_NAMES if not is_sixteen(n)], base)
    return [made(name, policy, ctd, 0 if is_sixteen(name) else undelivered) for name, ctd in names.items()]


def test_the_sets_are_the_published_ones() -> None:
    assert len(SIXTEEN_NAMES) == 16 and all(map(is_sixteen, SIXTEEN_NAMES))
    assert len(BASE_NAMES) == 15 and all(map(is_base, BASE_NAMES))
    assert not is_sixteen("0o100t100s1p100") and not is_base("0o50t100s1p125") and not is_base("0o50t75s1p100")


def test_half_of_the_days_is_named_and_the_other_half_is_of_other_days() -> None:
    assert CHOSEN_ON.issubset(SIXTEEN_NAMES + BASE_NAMES)
    assert len(CHOSEN_ON) == 14
    assert sum(map(is_sixteen, CHOSEN_ON)) == 8
    base = {name[0] for name in CHOSEN_ON if not is_sixteen(name)}
    assert base.isdisjoint(name[0] for name in BASE_NAMES if name not in CHOSEN_ON)


def test_days_are_told_apart_by_set_policy_and_half() -> None:
    days = [*played("match30", 31.3, 31.0), *played("ours", 31.0, 30.0)]
    assert len(days_of(days, ALL, "ours")) == 29
    assert len(days_of(days, SIXTEEN, "ours")) == 16
    assert len(days_of(days, BASE, "match30", True)) + len(days_of(days, BASE, "match30", False)) == 15


def test_match30_counts_only_where_it_is_what_was_published() -> None:
    good = played("match30", 1.021 * EXACT_CTD, 32.0)
    assert match30_ratio(good) == pytest.approx(1.021, abs=1e-3)
    assert match30_counts(good) == ""
    assert "came out at 1.03" in match30_counts(played("match30", 1.03 * EXACT_CTD, 32.0))
    assert "not played" in match30_counts(good[1:])
    assert "not played" in match30_counts([])


def test_bounds_are_judged() -> None:
    days = [*played("match30", 1.021 * EXACT_CTD, 32.0), *played("ours", 1.02 * EXACT_CTD, 31.0, 5)]
    ratio, lost, share, penalised = verdicts(days)
    assert (ratio.judged(ratio.must), ratio.judged(ratio.aim or 0)) == (OK, MISSES)
    assert (lost.value, lost.is_missed) == (0.0, False)
    assert share.value == pytest.approx(0.5 * 13 / 15) and share.judged(share.must) == OK
    assert penalised.value is not None and 0.95 < penalised.value < 1 and penalised.why == ""


def test_the_bounds_are_those_that_are_promised() -> None:
    told = verdicts([*played("match30", 1.021 * EXACT_CTD, 32.0), *played("ours", 30.0, 30.0)])
    assert [(one.must, one.aim) for one in told] == [(1.025, 1.015), (0, 0), (0.6, 0.3), (0.97, 0.94)]


def test_one_undelivered_order_of_the_sixteen_is_one_too_many() -> None:
    days = played("ours", 30.0, 30.0)
    days[0] = made(days[0].instance, "ours", 30.0, 1)
    assert [b.what for b in verdicts(days) if b.is_missed] == ["16: undelivered"]


def test_what_was_not_played_is_not_judged() -> None:
    partly = verdicts([made("0o50t75s1p100", "ours", 30.0)])
    assert partly[0].judged(1.0) == NOT_MEASURED and partly[0].why == "1 of the 16 were played"
    assert verdicts([made("7x", "ours", 30.0)]) == []
    alone = verdicts(played("ours", 30.0, 30.0))[3]
    assert alone.value is None and "match30 was not played" in alone.why
    some = [*played("match30", 1.021 * EXACT_CTD, 32.0)[:-1], *played("ours", 30.0, 30.0)]
    assert verdicts(some)[3].why == "match30 was not played on all of them"


def test_the_report_names_instances_halves_and_verdicts() -> None:
    days = [*played("match30", 1.021 * EXACT_CTD, 32.0), *played("ours", 1.02 * EXACT_CTD, 31.0, 5)]
    said = text(days, ["match30", "ours"], verdicts(days))
    assert "0o50t75s1p100  (1000 orders, chosen on)" in said and "5r50t100s1p100  (1000 orders, not seen)" in said
    assert "== the 16 instances 0{o50,r50}* (16)" in said and ": not seen (8)" in said
    assert "1.0200 × exact" in said and "match30 rebuilt: 1.0210 × exact" in said
    assert "ours, mean of instances" in said and "ours, pooled" in said
    assert "must ≤ 0.97" in said and "aim ≤ 0.94" in said
    assert said.endswith("no rule is broken")
    brief = text(days, ["match30", "ours"], verdicts(days), per_instance=False)
    assert "(1000 orders" not in brief and len(brief) < len(said)


def test_ratios_to_another_match30_are_not_told() -> None:
    days = [*played("match30", 33.0, 32.0), *played("ours", 30.0, 31.0)]
    said = text(days, ["match30", "ours"], verdicts(days))
    assert "× match30" not in said.replace("penalised CtD / match30", "")
    assert "ratios to match30 are not told: match30 came out at 1.076" in said and "not measured" in said


def test_a_broken_rule_is_said_loudly() -> None:
    said = text([made("7x", "ours", 30.0, faults=("busy: c1", "busy: c2"))], ["ours"], [])
    assert "INVALID" in said and "7x ours: 2 faults, first: busy: c1" in said


def test_the_json_has_everything_that_is_printed() -> None:
    days = [*played("match30", 1.021 * EXACT_CTD, 32.0), *played("ours", 1.02 * EXACT_CTD, 31.0, 5)]
    body = as_json(days, ["match30", "ours"], verdicts(days), CHOSEN)
    assert set(body) == {"setup", "match30_to_exact", "verdicts", "sets", "instances"}
    sets = body["sets"]
    assert isinstance(sets, dict)
    assert sets["sixteen"]["ours"]["mean_of_instances"]["days"] == 16
    assert sets["base:not_seen"]["match30"]["pooled"]["orders"] == 8000


def test_parameters_are_changed_by_name() -> None:
    changed = with_changes(CHOSEN, ["wait_weight=2.5", "nearest=7", "merchant_bundles=false", "orders_per_trip=4"])
    assert (changed.params.wait_weight, changed.params.nearest, changed.params.merchant_bundles) == (2.5, 7, False)
    assert changed.orders_per_trip == 4
    assert with_changes(CHOSEN, []) == CHOSEN


@pytest.mark.parametrize(
    "change",
    ["wait_weight", "nothing=1", "nearest=1.5", "merchant_bundles=maybe", "nearest=", "wait_weight=-1",
     "wait_weight=nan", "wait_weight=inf", "nearest=-1", "orders_per_trip=0"],
)  # fmt: skip
def test_a_parameter_that_is_none_is_refused(change: str) -> None:
    with pytest.raises(BadParameter, match=change.partition("=")[0]):
        with_changes(CHOSEN, [change])
