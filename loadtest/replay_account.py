"""The account of a replay: what became of every single fix, added up over all runners and watchers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from geo.point import Point

from .figures import Durations
from .tracks import PersonDay

if TYPE_CHECKING:
    from .replay import Options

FLUSH_S = 0.050
#: Of the fixes of a runner who reports more slowly than the hub flushes, so many arrive one by one.
LEAST_SHARE = 0.99


@dataclass(slots=True)
class Streamed:
    """One person-day as it was sent and what the server said to it."""

    day: PersonDay
    account_id: str = ""
    sent_s: dict[int, float] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    places: dict[int, Point] = field(default_factory=dict)
    sent: int = 0
    unsent: int = 0
    acked: int = 0
    acked_refused: int = 0
    index_off_m: float | None = None
    index_missing: bool = False
    #: Whether the index was to be asked: somebody told where it is, and it has something to show.
    is_index_due: bool = False

    @property
    def accepted(self) -> list[int]:
        """Times of the fixes that were not refused by name, ascending."""
        return sorted(at for at in self.sent_s if at not in self.refused)

    @property
    def unnamed(self) -> int:
        """Refusals beyond those that the server names one by one."""
        return max(0, self.acked_refused - len(self.refused) - self.doubles)

    @property
    def doubles(self) -> int:
        """Readings with the time of another one: sent, and refused as duplicates under the same time."""
        return self.sent - len(self.sent_s)

    @property
    def is_slow(self) -> bool:
        """Whether this runner reports more slowly than the hub flushes, one report in a hundred apart."""
        gaps = sorted(b - a for a, b in pairwise(sorted(self.sent_s.values())))
        return bool(gaps) and gaps[len(gaps) // 100] > FLUSH_S


@dataclass(slots=True)
class Watched:
    """What one watcher received."""

    seen: dict[str, dict[int, float]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    out_of_order: int = 0
    rows: int = 0

    def frame(self, frame: dict[str, Any], now_s: float) -> None:
        if frame.get("t") != "pos":
            return
        for row in frame["p"]:
            runner, at = row[0], row[3]
            self.rows += 1
            if at < self.last.get(runner, 0):
                self.out_of_order += 1
            self.last[runner] = max(at, self.last.get(runner, 0))
            self.seen.setdefault(runner, {}).setdefault(at, now_s)


@dataclass(slots=True)
class Tally:
    """The account over all runners and watchers."""

    runners: int = 0
    watchers: int = 0
    real_s: float = 0.0
    sent: int = 0
    unsent: int = 0
    acked: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unnamed: int = 0
    unanswered: int = 0
    due: int = 0
    one_by_one: int = 0
    conflated: int = 0
    lost: int = 0
    out_of_order: int = 0
    slow_runners: int = 0
    slow_due: int = 0
    slow_seen: int = 0
    spaced_due: int = 0
    spaced_seen: int = 0
    ages_ms: Durations = field(default_factory=Durations)
    index_checked: int = 0
    index_unasked: int = 0
    index_off_m: float = 0.0
    index_wrong: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


def tally_of(streams: list[Streamed], watchers: list[Watched]) -> Tally:
    """Add everything up. A fix that was believed and not delivered was conflated when a newer one of its runner was
    delivered after it, and lost when none was."""
    total = Tally(runners=len(streams), watchers=len(watchers))
    for stream in streams:
        total.sent += stream.sent
        total.unsent += stream.unsent
        total.acked += stream.acked
        total.refused.update(stream.refused.values())
        if stream.doubles:
            total.refused["duplicate"] += stream.doubles
        total.unnamed += stream.unnamed
        total.unanswered += max(0, stream.sent - stream.acked - stream.acked_refused)
        total.slow_runners += stream.is_slow
        _index(total, stream)
        for watched in watchers:
            _delivered(total, stream, watched.seen.get(stream.account_id, {}))
    total.out_of_order = sum(watched.out_of_order for watched in watchers)
    return total


def _delivered(total: Tally, stream: Streamed, seen: dict[int, float]) -> None:
    accepted = stream.accepted
    newest = max(seen, default=0)
    hit = sum(at in seen for at in accepted)
    missed_before = sum(at not in seen and at < newest for at in accepted)
    # Refusals that were only counted are among those never delivered.
    conflated = max(0, missed_before - stream.unnamed)
    total.due += hit + conflated + sum(at > newest for at in accepted)
    total.one_by_one += hit
    total.conflated += conflated
    total.lost += sum(at > newest for at in accepted)
    if stream.is_slow:
        total.slow_due += len(accepted) - min(stream.unnamed, missed_before)
        total.slow_seen += hit
    for at, following in pairwise(accepted):
        if stream.sent_s[following] - stream.sent_s[at] > FLUSH_S:
            total.spaced_due += 1
            total.spaced_seen += at in seen
    for at, received_s in seen.items():
        if at in stream.sent_s:
            total.ages_ms.add((received_s - stream.sent_s[at]) * 1000)


def _index(total: Tally, stream: Streamed) -> None:
    if stream.index_off_m is None and not stream.index_missing:
        total.index_unasked += stream.is_index_due
        return
    total.index_checked += 1
    if stream.index_off_m is None:
        total.index_wrong.append(f"{stream.day.name}: not in the index")
        return
    total.index_off_m = max(total.index_off_m, stream.index_off_m)
    if stream.index_off_m > 1.0:
        total.index_wrong.append(f"{stream.day.name}: {stream.index_off_m:.1f} m off")


def printed(tally: Tally, options: Options) -> str:
    """What is printed at the end."""
    ages = tally.ages_ms

    def share(part: int, whole: int) -> str:
        return f"{100 * part / whole:.2f} %" if whole else "-"

    lines = [
        f"runners (person-days)        {tally.runners}, at {options.speed:g} x, {tally.real_s / 60:.1f} minutes",
        f"tracks as recorded, but      pauses cut to {options.longest_gap_s:g} s, begun within {options.spread_s:g} s"
        + (f", ended after {options.most_fixes} fixes" if options.most_fixes else ""),
        f"watchers                     {tally.watchers}, each following every runner",
        f"sent                         {tally.sent}",
        f"accepted                     {tally.acked}  ({share(tally.acked, tally.sent)})",
        f"refused                      {sum(tally.refused.values()) + tally.unnamed}",
        *(f"  {reason:<26} {count}" for reason, count in tally.refused.most_common()),
    ]
    if tally.unnamed:
        lines.append(f"  counted, not named         {tally.unnamed}")
    lines += [
        f"deliveries due               {tally.due}",
        f"delivered one by one         {tally.one_by_one}  ({share(tally.one_by_one, tally.due)})",
        f"conflated                    {tally.conflated}",
        f"lost                         {tally.lost}",
        f"out of order                 {tally.out_of_order}",
        f"runners slower than a flush  {tally.slow_runners}, {share(tally.slow_seen, tally.slow_due)} one by one",
        f"next fix a flush later       {tally.spaced_due}, {share(tally.spaced_seen, tally.spaced_due)} one by one",
        "age on one clock, ms         "
        f"p50 {ages.percentile(0.5):.1f}  p95 {ages.percentile(0.95):.1f}  p99 {ages.percentile(0.99):.1f}, "
        "from sending to a watcher's receipt",
        f"index at each track's end    {tally.index_checked} asked, at most {tally.index_off_m:.2f} m off, "
        f"{len(tally.index_wrong)} wrong",
        *(f"  {text}" for text in tally.index_wrong[:10]),
        *(f"error: {text} ({count})" for text, count in tally.errors.most_common(10)),
    ]
    if tally.unsent:
        lines.append(f"without a connection         {tally.unsent}")
    lines += [f"FAULT {text}" for text in faults_of(tally, options.least_share)]
    return "\n".join(lines)


def faults_of(tally: Tally, least_share: float = LEAST_SHARE) -> list[str]:
    """What a replay shows that it should not; nothing when all is well."""
    rules = (
        (not tally.sent, "nothing was sent"),
        (tally.unsent, f"{tally.unsent} fixes had no connection to be sent over"),
        (tally.unanswered, f"{tally.unanswered} fixes were neither accepted nor refused"),
        (tally.unnamed, f"{tally.unnamed} fixes were refused without being named"),
        (tally.lost, f"{tally.lost} accepted fixes were lost"),
        (tally.out_of_order, f"{tally.out_of_order} positions came out of order"),
        (tally.index_wrong, f"the index was wrong about {len(tally.index_wrong)} runners"),
        (tally.index_unasked, f"the index was not asked about {tally.index_unasked} runners"),
        (
            tally.slow_seen < least_share * tally.slow_due,
            f"of runners slower than a flush less than {100 * least_share:g} % were delivered one by one",
        ),
    )
    return [text for is_so, text in rules if is_so]
