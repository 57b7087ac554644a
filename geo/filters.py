"""Which fixes are believed: every refusal has a name, and no refusal can lock a good runner out.

The rules are pure and cheap: they run for each fix on the hub's path. A fix is compared with the runner's anchor,
the newest fix that was believed. When the anchor itself was wrong, good fixes look impossible; a short run of them
that agree among themselves becomes the new anchor.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from enum import StrEnum

import msgspec

from .fix import Fix
from .point import M_PER_DEG, MAX_LAT_DEG, near_distance_m


class Reason(StrEnum):
    """Why a fix was refused; counted and told to the runner."""

    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    NO_POSITION = "no_position"  # exactly 0, 0: what a receiver says before it knows
    TOO_INACCURATE = "too_inaccurate"
    FROM_FUTURE = "from_future"
    TOO_OLD = "too_old"
    DUPLICATE = "duplicate"
    IMPOSSIBLE_JUMP = "impossible_jump"


class Verdict(StrEnum):
    """How an accepted fix counts."""

    LIVE = "live"  # the newest: moves the dot
    LATE = "late"  # older than the newest: fills the track, never moves the dot back


class FilterRules(msgspec.Struct, frozen=True):
    """The bounds. Times are the campus's (scaled) time, so the rules are the same at every rate."""

    max_ahead_s: float = 60.0  # a phone's clock may run ahead of ours by this much
    max_age_s: float = 86_400.0  # a day's backlog after a dead spot still fills the track
    max_accuracy_m: float = 2_000.0  # a reading vaguer than the campus says nothing
    max_speed_mps: float = 25.0
    jump_slack_m: float = 30.0  # noise of good receivers that claim no accuracy
    max_accuracy_slack_m: float = 60.0  # a claimed inaccuracy excuses a jump up to here, not without end
    reanchor_after: int = 3  # so many "impossible" fixes that agree replace the anchor
    remembered: int = 256  # times kept to recognise doubled fixes


DEFAULT_RULES = FilterRules()


class FilterState:
    """What is remembered of one runner between fixes: the anchor, the run of suspects, the recent times."""

    __slots__ = (
        "anchor_accuracy_m",
        "anchor_lat",
        "anchor_lon",
        "anchor_ms",
        "suspect_count",
        "suspect_lat",
        "suspect_lon",
        "suspect_ms",
        "times",
    )

    def __init__(self) -> None:
        self.anchor_ms = -1  # nothing believed yet
        self.anchor_lat = 0.0
        self.anchor_lon = 0.0
        self.anchor_accuracy_m = 0.0
        self.suspect_count = 0
        self.suspect_ms = 0
        self.suspect_lat = 0.0
        self.suspect_lon = 0.0
        self.times = array("q")  # ascending, bounded: 8 bytes a fix


def _fault(fix: Fix, rules: FilterRules) -> Reason:
    """Which rule a reading breaks that is not sound."""
    lat, lon, accuracy = fix.lat, fix.lon, fix.accuracy_m
    if not (-MAX_LAT_DEG <= lat <= MAX_LAT_DEG and -180.0 <= lon <= 180.0):
        return Reason.NOT_A_NUMBER if lat != lat or lon != lon else Reason.OUT_OF_RANGE
    if lat == 0.0 and lon == 0.0:
        return Reason.NO_POSITION
    if accuracy is not None and accuracy > rules.max_accuracy_m:
        return Reason.TOO_INACCURATE
    others = (accuracy, fix.speed_mps, fix.bearing_deg, fix.battery)
    return Reason.NOT_A_NUMBER if any(other != other for other in others) else Reason.OUT_OF_RANGE


def check(state: FilterState, fix: Fix, now_ms: int, rules: FilterRules = DEFAULT_RULES) -> Verdict | Reason:
    """Judge one fix of a runner; ``state`` moves on only when it is believed (or joins a run of suspects).

    This runs for every fix there is, hence the long condition: ranges are written ``lo <= x <= hi``, so NaN is never
    inside, and which of them was broken is only asked when one was."""
    lat, lon, accuracy = fix.lat, fix.lon, fix.accuracy_m
    if not (
        -MAX_LAT_DEG <= lat <= MAX_LAT_DEG
        and -180.0 <= lon <= 180.0
        and (lat != 0.0 or lon != 0.0)
        and (accuracy is None or 0.0 <= accuracy <= rules.max_accuracy_m)
        and (fix.speed_mps is None or 0.0 <= fix.speed_mps <= 1_000.0)
        and (fix.bearing_deg is None or 0.0 <= fix.bearing_deg <= 360.0)
        and (fix.battery is None or 0.0 <= fix.battery <= 1.0)
    ):
        return _fault(fix, rules)
    at_ms = fix.fixed_at_ms
    if at_ms - now_ms > rules.max_ahead_s * 1000.0:
        return Reason.FROM_FUTURE
    if at_ms < 0 or now_ms - at_ms > rules.max_age_s * 1000.0:
        return Reason.TOO_OLD
    anchor_ms = state.anchor_ms
    if anchor_ms < 0:
        return _believe(state, fix, accuracy or 0.0, rules)
    if at_ms <= anchor_ms and (at_ms == anchor_ms or _is_remembered(state.times, at_ms)):
        return Reason.DUPLICATE
    # Most fixes are near their anchor, and most of those so near that the sum of the sides, without a cosine, is proof.
    if (abs(lat - state.anchor_lat) + abs(lon - state.anchor_lon)) * M_PER_DEG > rules.jump_slack_m:
        jump_m = near_distance_m(state.anchor_lat, state.anchor_lon, lat, lon)
        if jump_m > rules.jump_slack_m:
            slack_m = rules.jump_slack_m + min((accuracy or 0.0) + state.anchor_accuracy_m, rules.max_accuracy_slack_m)
            if jump_m > slack_m + rules.max_speed_mps * abs(at_ms - anchor_ms) / 1000.0:
                return _suspect(state, fix, accuracy or 0.0, rules)
    if at_ms < anchor_ms:
        return _fill_in(state.times, at_ms, rules)
    return _believe(state, fix, accuracy or 0.0, rules)


def _believe(state: FilterState, fix: Fix, accuracy: float, rules: FilterRules) -> Verdict:
    state.anchor_ms = fix.fixed_at_ms
    state.anchor_lat = fix.lat
    state.anchor_lon = fix.lon
    state.anchor_accuracy_m = accuracy
    state.suspect_count = 0
    state.times.append(fix.fixed_at_ms)
    if len(state.times) >= 2 * rules.remembered:
        del state.times[: rules.remembered]
    return Verdict.LIVE


def _is_remembered(times: array[int], at_ms: int) -> bool:
    index = bisect_left(times, at_ms)
    return index < len(times) and times[index] == at_ms


def _fill_in(times: array[int], at_ms: int, rules: FilterRules) -> Verdict:
    times.insert(bisect_left(times, at_ms), at_ms)
    if len(times) >= 2 * rules.remembered:
        del times[: rules.remembered]
    return Verdict.LATE


def _suspect(state: FilterState, fix: Fix, accuracy: float, rules: FilterRules) -> Verdict | Reason:
    """An impossible jump; the last of a run that agrees among itself becomes the anchor instead."""
    at_ms = fix.fixed_at_ms
    if at_ms < state.anchor_ms:
        return Reason.IMPOSSIBLE_JUMP  # the past cannot overthrow the present
    step_ms = at_ms - state.suspect_ms
    agrees = (
        state.suspect_count > 0
        and step_ms > 0
        and near_distance_m(state.suspect_lat, state.suspect_lon, fix.lat, fix.lon)
        <= rules.jump_slack_m + min(accuracy, rules.max_accuracy_slack_m) + rules.max_speed_mps * step_ms / 1000.0
    )
    if agrees:
        state.suspect_count += 1
    elif step_ms == 0 and state.suspect_count > 0:
        return Reason.IMPOSSIBLE_JUMP  # a doubled fix is no second witness
    else:
        state.suspect_count = 1
    if state.suspect_count >= rules.reanchor_after:
        # What was remembered came from a place that now counts as wrong, yet its times are still spent.
        return _believe(state, fix, accuracy, rules)
    state.suspect_ms = at_ms
    state.suspect_lat = fix.lat
    state.suspect_lon = fix.lon
    return Reason.IMPOSSIBLE_JUMP
