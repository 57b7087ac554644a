"""An offer: the optimizer's choice put to one runner, with a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: How long a runner may think about an offer.
OFFER_TTL = timedelta(seconds=15)


class OfferStatus(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # the order was cancelled, grabbed or forced onto somebody


@dataclass(frozen=True, slots=True)
class Offer:
    id: str
    campus_id: str
    task_id: str
    order_id: str
    runner_id: str
    status: OfferStatus
    offered_at: datetime
    expires_at: datetime
    decision_id: str | None = None


def is_expired(offer: Offer, now: datetime) -> bool:
    """Whether the deadline has passed; the instant of the deadline itself is too late."""
    return now >= offer.expires_at
