"""Arrival ranges on recorded tracks: learned on some days, judged on the others. There is no map of that place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from geo.arrival_model import ArrivalModel
from geo.calibration import Calibration, Spread, shared_weight
from geo.eta import SPEEDS_MPS
from geo.point import near_distance_m
from geo.walkway import DETOUR_RATIO

from .eta_stretches import Stretch, stretches
from .eta_watch import LEAST_COVERED, MOST_COVERED
from .report import text_table
from .tracks import read_tracks

#: Hours that the clocks of that campus are ahead of UTC.
LOCAL_H = 8
#: A prediction at the beginning of a stretch and then once a minute, as long as so much is left.
EVERY_S, LEAST_LEFT_S, LEAST_LEFT_M = 60.0, 30.0, 30.0
LENGTHS_M = (300.0, 1_000.0)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is left of a stretch at one moment of it."""

    straight_m: float
    left_s: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A prediction beside what came."""

    stretch: Stretch
    is_start: bool
    straight_m: float
    low_s: float
    middle_s: float
    high_s: float
    baseline_s: float
    actual_s: float

    @property
    def is_covered(self) -> bool:
        return self.low_s <= self.actual_s <= self.high_s


def moments(stretch: Stretch) -> Iterator[Ahead]:
    """The beginning, and every minute on the way."""
    due_ms, end = stretch.fixes[0].fixed_at_ms, stretch.fixes[-1]
    for fix in stretch.fixes:
        if fix.fixed_at_ms < due_ms:
            continue
        left_s = (end.fixed_at_ms - fix.fixed_at_ms) / 1000
        straight_m = near_distance_m(fix.lat, fix.lon, end.lat, end.lon)
        if left_s < LEAST_LEFT_S or straight_m < LEAST_LEFT_M:
            return
        yield Ahead(straight_m, left_s)
        due_ms = fix.fixed_at_ms + int(EVERY_S * 1000)


def expected_s(model: ArrivalModel, stretch: Stretch, straight_m: float) -> float:
    """By the straight line, its learned detour, and the person's learned speed at that hour."""
    speed_mps = model.paces.speed_mps(stretch.person, stretch.mode, stretch.hour(LOCAL_H))
    return straight_m * model.detours.ratio(straight_m) / speed_mps


def learn(model: ArrivalModel, stretch: Stretch) -> None:
    """What a delivered errand teaches: first how wrong it was expected, then how it was."""
    found = list(moments(stretch))
    for ahead in found:
        told_s = expected_s(model, stretch, ahead.straight_m)
        model.errors.learn(stretch.mode, told_s, ahead.left_s, weight=shared_weight(len(found)))
    model.detours.learn(stretch.straight_m, stretch.path_m)
    model.paces.learn(stretch.person, stretch.mode, stretch.hour(LOCAL_H), stretch.path_m, stretch.seconds)


def judge(model: ArrivalModel, stretch: Stretch) -> Iterator[Judged]:
    """Ranges for a stretch that the model does not learn from."""
    for number, ahead in enumerate(moments(stretch)):
        told = model.errors.range_of(stretch.mode, expected_s(model, stretch, ahead.straight_m))
        baseline_s = ahead.straight_m * DETOUR_RATIO / SPEEDS_MPS[stretch.mode]
        yield Judged(
            stretch, number == 0, ahead.straight_m, told.low_s, told.seconds, told.high_s, baseline_s, ahead.left_s
        )


def is_fitted(day: str) -> bool:
    """The rule by which days are divided: even days, counted from the beginning of the calendar, are learned from."""
    return date.fromisoformat(day).toordinal() % 2 == 0


@dataclass(frozen=True, slots=True)
class Trial:
    """Learned from one half of the days, judged on the other."""

    fitted: tuple[Stretch, ...]
    held_out: tuple[Stretch, ...]
    judged: tuple[Judged, ...]

    @property
    def coverage(self) -> float:
        return covered(self.judged)

    @property
    def is_calibrated(self) -> bool:
        return LEAST_COVERED <= self.coverage <= MOST_COVERED


def covered(judged: Sequence[Judged]) -> float:
    """The share within the range; NaN of none."""
    return float(np.mean([one.is_covered for one in judged])) if judged else float("nan")


def trial(found: Sequence[Stretch], *, fits_even: bool = True, prior: Spread | None = None) -> Trial:
    """Learn from the days of one parity in the order of their times, then judge the others with what was learned."""
    model = ArrivalModel(errors=Calibration(prior or Spread()))
    fitted = sorted((one for one in found if is_fitted(one.day) is fits_even), key=lambda one: one.fixes[0].fixed_at_ms)
    held_out = [one for one in found if is_fitted(one.day) is not fits_even]
    for stretch in fitted:
        learn(model, stretch)
    judged = [one for stretch in held_out for one in judge(model, stretch)]
    return Trial(tuple(fitted), tuple(held_out), tuple(judged))


def printed(told: Trial, title: str) -> str:
    """The table of one trial."""
    groups: list[tuple[str, list[Judged]]] = [
        ("all", list(told.judged)),
        ("at the start", [one for one in told.judged if one.is_start]),
        ("every minute on the way", [one for one in told.judged if not one.is_start]),
    ]
    for mode, name in (("walk", "walked"), ("e_bike", "ridden")):
        groups.append((name, [one for one in told.judged if one.stretch.mode == mode]))
    groups += [
        (f"person {person}", [one for one in told.judged if one.stretch.person == person])
        for person in sorted({stretch.person for stretch in told.held_out})
    ]
    for least, most in zip((0.0, *LENGTHS_M), (*LENGTHS_M, float("inf")), strict=True):
        name = f"{least:.0f}–{most:.0f} m left" if most < float("inf") else f"{least:.0f} m left and more"
        groups.append((name, [one for one in told.judged if least <= one.straight_m < most]))
    head = ("", "stretches", "predictions", "in the 80 % range", "earlier", "later", "mean width s", "median error s",
            "fixed speed: median error s")  # fmt: skip
    return text_table(title, head, [_row(name, judged) for name, judged in groups if judged])


def _row(name: str, judged: Sequence[Judged]) -> list[str]:
    early, late = (
        np.mean([one.actual_s < one.low_s for one in judged]),
        np.mean([one.actual_s > one.high_s for one in judged]),
    )
    width_s = np.mean([one.high_s - one.low_s for one in judged])
    error_s, baseline_s = (
        np.median([abs(one.middle_s - one.actual_s) for one in judged]),
        np.median([abs(one.baseline_s - one.actual_s) for one in judged]),
    )
    return [
        name, str(len({id(one.stretch) for one in judged})), str(len(judged)), f"{100 * covered(judged):.1f} %",
        f"{100 * early:.1f} %", f"{100 * late:.1f} %", f"{width_s:.0f}", f"{error_s:.0f}", f"{baseline_s:.0f}",
    ]  # fmt: skip


def run(path: Path) -> int:
    """Print both tables; 1 where the range of the held-out days does not hold what it says."""
    found = [stretch for day in read_tracks(path) for stretch in stretches(day)]
    main, other = trial(found), trial(found, fits_even=False)
    people = len({stretch.person for stretch in found})
    walked = sum(stretch.mode == "walk" for stretch in found)
    print(
        f"{len(found)} stretches between stops of {people} people, {walked} walked and {len(found) - walked} ridden, "
        f"on {len({(s.person, s.day) for s in found})} person-days. Even days (of the calendar) teach the speeds, the "
        "detour and the errors; odd days judge.\n"
    )
    print(printed(main, f"Odd days: {len(main.held_out)} stretches, learned from {len(main.fitted)} of even days"))
    print()
    print(printed(other, f"The other way round: {len(other.held_out)} stretches, learned from {len(other.fitted)}"))
    print()
    verdict = "holds" if main.is_calibrated else "DOES NOT HOLD"
    print(f"the 80 % range {verdict}: {100 * main.coverage:.1f} % of the arrivals on days not used to fit it")
    return 0 if main.is_calibrated else 1
