"""The optimizer: which runner should carry which task, and why. Pure: state in, plan out, no clock and no luck."""

from __future__ import annotations

from .explain import WhatIf, WhyNot, what_if, why_not
from .params import Params
from .solver import plan
from .state import (
    Assignment,
    Candidate,
    Exclusion,
    Plan,
    PlannedStop,
    RouteStop,
    RunnerIn,
    TaskIn,
    Waiting,
    Ways,
)  # fmt: skip

__all__ = [
    "Assignment", "Candidate", "Exclusion", "Params", "Plan", "PlannedStop", "RouteStop", "RunnerIn", "TaskIn",
    "Waiting", "Ways", "WhatIf", "WhyNot", "plan", "what_if", "why_not",
]  # fmt: skip
