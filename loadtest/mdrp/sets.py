"""Which instances belong together: the two published sets, and the half that parameters were chosen on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from .figures import Day

#: The mean click-to-door of a plan that knew the whole day (Yildiz and Savelsbergh, 2019) on the sixteen.
EXACT_CTD = 30.67

#: The parameters were chosen on these; every other instance tells how they do on days that they have not seen.
CHOSEN_ON = frozenset(
    {
        "0o50t100s1p100", "0o50t100s1p125", "0o50t100s2p100", "0o50t100s2p125",
        "0o50t75s1p100", "0o50t75s1p125", "0o50t75s2p100", "0o50t75s2p125",
        "1o100t100s1p100", "1o50t100s1p100", "1r50t100s1p100",
        "3o100t100s1p100", "3o50t100s1p100", "3r50t100s1p100",
    }
)  # fmt: skip


def is_sixteen(name: str) -> bool:
    return fnmatchcase(name, "0[or]50*")


def is_base(name: str) -> bool:
    return fnmatchcase(name, "*t100s1p100")


def is_chosen(name: str) -> bool:
    return name in CHOSEN_ON


SIXTEEN, BASE, ALL = "sixteen", "base", "all"
#: By name: what it is called in the report, and which instances are in it.
SETS: dict[str, tuple[str, Callable[[str], bool]]] = {
    SIXTEEN: ("the 16 instances 0{o50,r50}*", is_sixteen),
    BASE: ("the base instances *t100s1p100", is_base),
    ALL: ("all instances", lambda _: True),
}


def days_of(days: Sequence[Day], set_name: str, policy: str, chosen: bool | None = None) -> list[Day]:
    """``chosen``: only of the half that parameters were chosen on, only of the other, or (None) of both."""
    belongs = SETS[set_name][1]
    return [d for d in days if d.policy == policy and belongs(d.instance) and (chosen is None or d.chosen is chosen)]
