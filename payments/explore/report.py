"""The searches that are run, short and long, and what they print: ``python -m payments explore [--long]``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from payments.explore.group import explore_group
from payments.explore.guards import GUARDS, Guard
from payments.explore.search import Found
from payments.explore.single import explore
from payments.explore.world import ALIKE, COMMON


class Case(NamedTuple):
    """One search: kinds of channel in the order in which they are tried, and how hostile the world is."""

    channels: str
    crashes: int = 0
    wishes: int = 0
    lies: int = 0
    parts: int = 1

    def run(self) -> Found:
        """Search it."""
        if self.parts > 1:
            return explore_group(self.channels, parts=self.parts, crashes=self.crashes, wishes=self.wishes)
        return explore(self.channels, crashes=self.crashes, wishes=self.wishes, lies=self.lies)

    def __str__(self) -> str:
        what = f"group of {self.parts} over {self.channels}" if self.parts > 1 else self.channels
        limits = [
            f"{count} {name}" for count, name in zip(self[1:4], ("crashes", "wishes", "lies"), strict=True) if count
        ]
        return f"{what}: {', '.join(limits) or 'delay and loss'}"


def _orders(length: int, kinds: Sequence[str]) -> list[str]:
    """Every order of so many channels of these kinds; the second of a kind is another one than the first."""
    orders: list[str] = []
    for chosen in product(kinds, repeat=length):
        turns = [chosen[:place].count(kind) for place, kind in enumerate(chosen)]
        orders.append("".join(kind[turn] for kind, turn in zip(chosen, turns, strict=True)))
    return orders


def cases(*, is_long: bool) -> list[Case]:
    """Pairs, triples and groups. The long form is for a night, the short one for every commit."""
    pairs, all_pairs, triples = _orders(2, COMMON), _orders(2, ALIKE), _orders(3, COMMON)
    if is_long:
        return [
            *(Case(pair, crashes=2) for pair in pairs),
            *(Case(pair, crashes=1, wishes=1) for pair in all_pairs),
            *(Case(pair, wishes=1, lies=1) for pair in all_pairs),
            *(Case(kinds[0], crashes=1, wishes=1, parts=2) for kinds in ALIKE),
            *(Case(kinds[0], crashes=2, parts=2) for kinds in COMMON),
            *(Case(pair, parts=2) for pair in ("lw", "lm", "ql")),
            Case("l", parts=3),
            *(Case(triple, crashes=1) for triple in triples),
            *(Case(triple, wishes=1) for triple in triples),
        ]
    return [
        *(Case(pair, crashes=1) for pair in pairs),
        *(Case(pair, wishes=1) for pair in ("wv", "qw", "lw", "dw")),
        *(Case(pair, crashes=1) for pair in ("tw", "pw", "cw", "kw", "wk", "tp")),
        *(Case(pair, wishes=1) for pair in ("tx", "py")),
        Case("wv", crashes=2),
        Case("dq", crashes=2),
        *(Case(pair, wishes=1, lies=1) for pair in ("lw", "qd", "pt")),
        *(Case(triple) for triple in ("qdl", "qlw", "ldw", "dwq", "wdl", "dlq", "wvu", "qrs", "lmn", "def")),
        Case("w", parts=2),
        Case("p", parts=2),
        Case("l", crashes=1, wishes=1, parts=2),
    ]


def lines(todo: Sequence[Case], guards: Sequence[Guard] = GUARDS) -> Iterator[str]:
    """The report, line by line as the searches end; the last line begins with "FAILED" when one of them found harm, or
    when a guard that was taken away was not missed."""
    began = time.monotonic()
    states = bad = 0
    for case in todo:
        since = time.monotonic()
        found = case.run()
        states += found.states
        bad += found.harm is not None
        verdict = "no harm" if found.harm is None else f"{found.harm[0].upper()}: {' · '.join(found.harm[1])}"
        yield f"{case!s:42} {found.states:>9,} states {time.monotonic() - since:6.1f} s  {verdict}"
    for guard in guards:
        harm = guard.search().harm
        bad += harm is None
        found_as = "NOT MISSED" if harm is None else f"{harm[0]} after {len(harm[1])} steps: {' · '.join(harm[1])}"
        yield f"without {guard.name} ({guard.without}): {found_as}"
    seconds = time.monotonic() - began
    verdict = "FAILED" if bad else "passed"
    yield f"{verdict}: {len(todo)} searches, {states:,} states, {len(guards)} guards, {seconds:.1f} s"


def main(todo: Sequence[Case] | None = None, guards: Sequence[Guard] = GUARDS) -> int:
    """Print the report (of the short form, unless told otherwise); 0 when all is as it must be."""
    last = ""
    for last in lines(cases(is_long=False) if todo is None else todo, guards):
        print(last, flush=True)  # noqa: T201
    return int(last.startswith("FAILED"))


def command(arguments: Sequence[str]) -> int:
    """``explore [--long]``; the exit code. SystemExit 2 for other arguments, 0 for ``--help``."""
    parser = argparse.ArgumentParser(
        prog="python -m payments explore",
        description="Search every interleaving of the failover with a hostile world: crashes, lost and late messages, "
        "providers that lie. Exit code 1 when a search finds harm. · 穷举支付切换的所有交错，发现损害则退出码为 1。",
    )
    parser.add_argument("--long", action="store_true", help="the long form, for a night · 长时间形式")
    return main(cases(is_long=parser.parse_args(arguments).long))
