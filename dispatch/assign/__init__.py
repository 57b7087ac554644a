"""The optimizer: which runner should carry which task, and why. Pure: state in, plan out, no clock and no luck."""

from __future__ import annotations

from .explain import WhatIf, WhyNot, what_if, what_if_cost, why_not
from .solver import plan
from .state import Assignment, Candidate, Exclusion, Params, Plan, RunnerIn, TaskIn, Waiting

__all__ = [
    "Assignment", "Candidate", "Exclusion", "Params", "Plan", "RunnerIn", "TaskIn", "Waiting", "WhatIf", "WhyNot",
    "plan", "what_if", "what_if_cost", "why_not",
]  # fmt: skip
