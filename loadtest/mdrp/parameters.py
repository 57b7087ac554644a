"""The one set of parameters that the shipping optimizer plays every instance with, and how to try others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

from dispatch.assign.params import Params


@dataclass(frozen=True, slots=True)
class Setup:
    """``orders_per_trip``: what fits into a courier's bag (orders have no size in the benchmark);
    ``planned_per_courier``: orders foreseen for one courier, over several trips."""

    params: Params
    orders_per_trip: int = 5
    planned_per_courier: int = 8


CHOSEN = Setup(
    Params(
        version="mdrp-1",
        merchant_bundles=True,
        same_counter_s=0.0,
        look_ahead_s=1800.0,
        runner_ahead_s=1800.0,
        commit_ahead_s=0.0,
        max_pickup_m=1e6,
        travel_weight=0.0,
        wait_weight=1.0,
        stand_weight=0.0,
        lateness_weight=0.0,
        detour_weight=1.0,
        disturbance_weight=0.0,
        unassigned_s=12_000.0,
        iterations=40,
        searched_places=3000,
        # Nobody declines, and all have the same standing.
        refusal_s=0.0,
        credit_s=0.0,
        idle_weight=0.0,
        fairness_weight=0.0,
        ageing_weight=0.0,
    )
)


class BadParameter(ValueError):
    """No such parameter, or no such value for it."""


def with_changes(setup: Setup, changes: Iterable[str]) -> Setup:
    """``NAME=VALUE`` each; raises ``BadParameter`` with the names that there are."""
    of_params: dict[str, Any] = {}
    own: dict[str, Any] = {}
    own_names = [f.name for f in fields(Setup) if f.name != "params"]
    kinds = get_type_hints(Params) | dict.fromkeys(own_names, int)
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in kinds:
            names = ", ".join((*own_names, *(f.name for f in fields(Params))))
            raise BadParameter(f"{change!r} is not NAME=VALUE; names are {names}")
        (own if name in own_names else of_params)[name] = _parsed(name, text, kinds[name], int(name in own_names))
    return replace(setup, params=replace(setup.params, **of_params), **own)


def _parsed(name: str, text: str, kind: object, least: int) -> object:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise BadParameter(f"{name}: {text!r} is neither true nor false")
        return text.lower() in ("true", "1")
    try:
        value = int(text) if kind is int else float(text) if kind is float else text
    except ValueError:
        raise BadParameter(f"{name}: {text!r} is not a number") from None
    # As the server takes them: a weight below 0, or one that is no number at all, makes plans that mean nothing.
    if not isinstance(value, str) and not least <= value < 1e12:
        raise BadParameter(f"{name}: {text!r} is not a number from {least} on")
    return value
