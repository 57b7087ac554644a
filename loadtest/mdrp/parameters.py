"""The one set of parameters that the shipping optimizer plays every instance with, and how to try others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

from dispatch.assign import Params


@dataclass(frozen=True, slots=True)
class Setup:
    """``orders_per_trip``: what fits into a courier's bag; orders have no size in the benchmark."""

    params: Params
    orders_per_trip: int = 3


CHOSEN = Setup(
    Params(
        version="mdrp-1",
        merchant_bundles=True,
        commit_ahead_s=0.0,
        max_pickup_m=1e6,
        nearest=400,
        # Nobody declines, and all have the same standing.
        refusal_s=0.0,
        credit_s=0.0,
        idle_weight=0.0,
        fairness_weight=0.0,
    )
)


class BadParameter(ValueError):
    """No such parameter, or no such value for it."""


def with_changes(setup: Setup, changes: Iterable[str]) -> Setup:
    """``NAME=VALUE`` each; raises ``BadParameter`` with the names that there are."""
    kinds = {**get_type_hints(Params), "orders_per_trip": int}
    of_params: dict[str, Any] = {}
    orders_per_trip = setup.orders_per_trip
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in kinds:
            names = ", ".join(("orders_per_trip", *(f.name for f in fields(Params))))
            raise BadParameter(f"{change!r} is not NAME=VALUE; names are {names}")
        value: Any = _parsed(name, text, kinds[name])
        if name == "orders_per_trip":
            orders_per_trip = value
        else:
            of_params[name] = value
    return Setup(replace(setup.params, **of_params), orders_per_trip)


def _parsed(name: str, text: str, kind: object) -> object:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise BadParameter(f"{name}: {text!r} is neither true nor false")
        return text.lower() in ("true", "1")
    try:
        return int(text) if kind is int else float(text) if kind is float else text
    except ValueError:
        raise BadParameter(f"{name}: {text!r} is not a number") from None
