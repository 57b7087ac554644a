"""Settings of the optimizer that people choose by name, each a change of what the campus goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

from .params import Params

Preset = Literal["balanced", "fastest", "fewest_km"]
PRESETS: tuple[Preset, ...] = get_args(Preset)

_CHANGES: Mapping[Preset, Mapping[str, float]] = {
    "balanced": {},
    # Students' time is all that counts: whose turn it is, and how far runners go, is not.
    "fastest": {
        "travel_weight": 0.05, "wait_weight": 1.5, "lateness_weight": 3.0, "stand_weight": 0.0, "credit_s": 0.0,
        "idle_weight": 0.0, "fairness_weight": 0.0,
    },
    # Every metre counts, time little: things are carried together.
    "fewest_km": {
        "travel_weight": 6.0, "wait_weight": 0.1, "lateness_weight": 0.5, "detour_weight": 0.1, "idle_weight": 0.0,
        "fairness_weight": 0.0, "credit_s": 0.0,
    },
}  # fmt: skip


def preset_params(base: Params, preset: Preset) -> Params:
    """``base`` with the preset's weights; its version says so."""
    changes = _CHANGES[preset]
    if not changes:
        return base
    return replace(base, version=f"{base.version}+{preset}", **changes)  # type: ignore[arg-type]
