"""What a campus shows beside the price: a licence, an insurance, each with the document that says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AssuranceKind(StrEnum):
    QUALIFICATION = "qualification"  # a licence of whoever sells
    FOOD_INSURANCE = "food_insurance"
    INSURANCE = "insurance"


@dataclass(frozen=True, slots=True)
class Assurance:
    """One badge. ``place_id``: of the merchant at this place alone; None: of every errand."""

    kind: AssuranceKind
    title_zh: str
    title_en: str
    url: str
    place_id: str | None = None
