"""Another way to plan: settings of the optimizer by name, or another method, as people write it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args, get_type_hints

from ..assign.params import Params
from ..assign.state import Method

METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Variant:
    """Changes to the settings that a tick was planned under, and the method (None: as it was)."""

    changes: Mapping[str, Any]
    method: str | None = None

    def params(self, base: Params) -> Params:
        """``base`` with the changes; its version says so."""
        if not self.changes:
            return base
        return replace(base, version=f"{base.version}+{self.words()}", **self.changes)

    def words(self) -> str:
        """As it was written, in order of the names."""
        said = [f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}".lower() for name, value in
                sorted(self.changes.items())]  # fmt: skip
        return ",".join([*([self.method] if self.method else []), *said])


def method_of(name: str | None) -> Method:
    """The method that goes by this name; the optimizer for any other."""
    return "greedy" if name == "greedy" else "optimizer"


def parse_variant(text: str) -> Variant:
    """``name=value`` pairs and at most one method, separated by commas or blanks; raises ``ValueError`` with the names
    that there are."""
    changes: dict[str, Any] = {}
    method: str | None = None
    for piece in text.replace(",", " ").split():
        name, is_given, said = piece.partition("=")
        if is_given:
            changes[name] = _value(name, said)
        elif piece in METHODS:
            method = piece
        else:
            raise ValueError(f"{piece!r} is neither name=value nor a method ({', '.join(METHODS)})")
    return Variant(changes, method)


def _value(name: str, said: str) -> Any:
    known = {each.name for each in fields(Params)} - {"version"}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ValueError(
            f"the optimizer has no setting {name!r}" + (f"; did you mean {near[0]}?" if near else f": {_listed(known)}")
        )
    kind = get_type_hints(Params)[name]
    if kind is bool:
        if said.lower() not in ("0", "1", "true", "false", "yes", "no"):
            raise ValueError(f"{name}={said}: say yes or no")
        return said.lower() in ("1", "true", "yes")
    try:
        value = kind(said)
    except ValueError:
        raise ValueError(f"{name}={said}: must be a {'whole ' if kind is int else ''}number") from None
    if not 0 <= value < 1e12:
        raise ValueError(f"{name}={said}: must not be below 0")
    return value


def _listed(known: set[str]) -> str:
    return ", ".join(sorted(known))
