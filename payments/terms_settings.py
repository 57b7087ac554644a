"""The terms as variables of the environment: one table, read by a payments process and by a server with its own."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from payments.money import MAX_INTENT_FEN, Fen
from payments.terms import DAY_S, Terms

PREFIX = "PAYMENTS_"
_HOUR_S = 3600.0
#: What all limits lie below: they have to be an amount, or a number of things that somebody does in a day.
_MOST_PER_DAY = 1000
_MOST_DAYS = 365


class TermSetting(msgspec.Struct, frozen=True, kw_only=True):
    """One variable: the term that it sets, how its text is read, how the term is shown, and what it is for."""

    variable: str
    term: str
    read: Callable[[str], Any]
    show: Callable[[Any], str]
    about: str

    @property
    def default(self) -> str:
        """What the term is without you."""
        return self.show(getattr(Terms(), self.term))


def _payout(said: str) -> str:
    if said not in ("on_withdrawal", "at_once"):
        raise ValueError("must be on_withdrawal or at_once")
    return said


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(said: str) -> int:
        if not said.isascii() or not said.isdecimal() or not least <= int(said) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(said)

    return read


def _span(unit_s: float, most: float) -> Callable[[str], float]:
    def read(said: str) -> float:
        try:
            number = float(said)
        except ValueError:
            number = 0.0
        if not 0 < number <= most:
            raise ValueError(f"must be a number above 0 and at most {most:g}")
        return number * unit_s

    return read


def _setting(name: str, term: str, read: Callable[[str], Any], about: str, unit_s: float = 0.0) -> TermSetting:
    show: Callable[[Any], str] = (lambda kept: f"{kept / unit_s:g}") if unit_s else str
    return TermSetting(variable=PREFIX + name, term=term, read=read, show=show, about=about)


_fen = _whole(1, MAX_INTENT_FEN)

TERM_SETTINGS: tuple[TermSetting, ...] = (
    _setting("PAYOUT", "payout", _payout,
             "when runners are paid: on_withdrawal (the institution keeps their part until they ask) or at_once (with "
             "the settlement)"),
    _setting("LEAST_WITHDRAWAL_FEN", "least_withdrawal_fen", _fen,
             "least amount of a withdrawal, in fen, unless it is everything"),
    _setting("MOST_WITHDRAWN_PER_DAY_FEN", "most_withdrawn_per_day_fen", _fen,
             "most that a runner withdraws within 24 hours, in fen"),
    _setting("MOST_WITHDRAWALS_PER_DAY", "most_withdrawals_per_day", _whole(1, _MOST_PER_DAY),
             "withdrawals of a runner within 24 hours"),
    _setting("REVIEW_ABOVE_FEN", "review_above_fen", _whole(0, MAX_INTENT_FEN),
             "a withdrawal of more than this, in fen, is looked at by a person first; 0: every one"),
    _setting("PAY_WITHIN_DAYS", "pay_within_s", _span(DAY_S, _MOST_DAYS),
             "days after the payment on which a runner is paid without asking; below PAYMENTS_HOLD_LIVES_DAYS", DAY_S),
    _setting("HOLD_LIVES_DAYS", "hold_lives_s", _span(DAY_S, _MOST_DAYS),
             "days for which the institution holds what is not divided", DAY_S),
    _setting("PAY_AGAIN_HOURS", "pay_again_s", _span(_HOUR_S, 24.0 * 7),
             "hours until a payment to a runner that failed is tried again without being asked for", _HOUR_S),
    _setting("REFUND_WITHIN_HOURS", "refund_within_s", _span(_HOUR_S, 24.0 * 30),
             "hours within which a refund has to be back with its payer; later it is an alarm", _HOUR_S),
)  # fmt: skip


def read_terms(told: Mapping[str, str]) -> tuple[Terms, list[str]]:
    """The terms that the environment says, and every fault by its variable."""
    given: dict[str, Any] = {}
    faults: list[str] = []
    for each in TERM_SETTINGS:
        said = told.get(each.variable, "").strip()
        if not said:
            continue
        try:
            given[each.term] = each.read(said)
        except ValueError as fault:
            faults.append(f"{each.variable}={said!r}: {fault}")
    if faults:
        return Terms(), faults
    try:
        return Terms(**given), []
    except ValueError as fault:
        term, _, why = str(fault).partition(": ")
        variables = {each.term: each.variable for each in TERM_SETTINGS}
        for name, variable in variables.items():
            why = why.replace(name, variable)
        return Terms(), [f"{variables[term]}: {why}"]


def slips(told: Mapping[str, str]) -> list[str]:
    """Variables that are nearly one of a term: a slip of the pen must not be silent."""
    known = [each.variable for each in TERM_SETTINGS]
    faults = []
    for name in told:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.9) if name.startswith(PREFIX) else []
        if near and name not in known:
            faults.append(f"{name}: there is no such setting; did you mean {near[0]}?")
    return faults


def told_terms(told: Mapping[str, str]) -> list[str]:
    """The variables of terms that the environment sets."""
    return [each.variable for each in TERM_SETTINGS if told.get(each.variable, "").strip()]


def in_words(terms: Terms) -> tuple[str, str]:
    """When runners are paid and under which limits, in English and Chinese."""
    if terms.payout == "at_once":
        return "runners are paid with the settlement", "骑手在结算时收款"
    days, hold = f"{terms.pay_within_s / DAY_S:g}", f"{terms.hold_lives_s / DAY_S:g}"
    above, least, most = (
        _yuan(fen) for fen in (terms.review_above_fen, terms.least_withdrawal_fen, terms.most_withdrawn_per_day_fen)
    )
    return (
        f"runners withdraw, {least} to {most} yuan a day, reviewed above {above}; "
        f"without asking on day {days} of {hold}",
        f"骑手自行提现，每日 {least} 至 {most} 元，超过 {above} 元须审核；"
        f"未提现的在第 {days} 天（共 {hold} 天）自动付款",
    )


def _yuan(fen: Fen) -> str:
    return f"{fen / 100:.2f}"
