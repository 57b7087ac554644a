"""What the books forget, and when: personal things early, money and history never."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, and_, delete, or_, text

from ..model.coupon import CouponState
from ..model.geofence import STAY_KEPT
from ..model.photo import PHOTO_KEPT
from ..model.visit import VISIT_KEPT
from . import tables
from .arrivals import PACE_KEPT
from .coupons import COUPON_KEPT, USED_COUPON_KEPT
from .idempotency import KEY_KEPT
from .planned_routes import ROUTE_KEPT
from .scope import Scope

_UNUSED = (CouponState.AVAILABLE, CouponState.EXPIRED)
DECISION_KEPT = timedelta(days=30)
COMMAND_KEPT = timedelta(days=30)
#: Longer than any order waits.
PIN_KEPT = timedelta(days=7)
#: Sign-in remains are kept a day beyond their end, for whoever asks what happened yesterday.
SIGN_IN_KEPT = timedelta(days=1)
#: In the words of the index that finds them.
_TOLD_OF_FENCES = text("kind IN ('geofence_entered', 'geofence_left', 'geofence_dwelled')")


class Retention:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def sweep(self, now: datetime) -> dict[str, int]:
        """Delete what is too old; how many rows per table. Published events stay: they are the timeline. Only crossings
        of geofences go with the stays that they told of, since both say where somebody was."""
        ended = now - SIGN_IN_KEPT
        is_published = tables.events.c.published_at.is_not(None)
        old: tuple[tuple[Table, ColumnElement[bool]], ...] = (
            (tables.photos, tables.photos.c.taken_at <= now - PHOTO_KEPT),
            (tables.idempotency, tables.idempotency.c.stored_at <= now - KEY_KEPT),
            (tables.decisions, tables.decisions.c.at <= now - DECISION_KEPT),
            (tables.commands, tables.commands.c.sent_at <= now - COMMAND_KEPT),
            (tables.geofence_stays, tables.geofence_stays.c.left_at <= now - STAY_KEPT),
            (tables.events, and_(_TOLD_OF_FENCES, tables.events.c.at <= now - STAY_KEPT, is_published)),
            (tables.stop_visits, tables.stop_visits.c.begun_at <= now - VISIT_KEPT),
            (tables.planned_routes, tables.planned_routes.c.planned_at <= now - ROUTE_KEPT),
            (tables.runner_paces, tables.runner_paces.c.learned_at <= now - PACE_KEPT),
            (tables.delays, tables.delays.c.told_at <= now - VISIT_KEPT),
            (tables.pins, tables.pins.c.placed_at <= now - PIN_KEPT),
            (tables.escalations, tables.escalations.c.since <= now - PIN_KEPT),
            (
                tables.coupons,
                or_(
                    and_(tables.coupons.c.state.in_(_UNUSED), tables.coupons.c.valid_until <= now - COUPON_KEPT),
                    tables.coupons.c.valid_until <= now - USED_COUPON_KEPT,
                ),
            ),
            (tables.sign_in_codes, tables.sign_in_codes.c.expires_at <= ended),
            (tables.links, tables.links.c.expires_at <= ended),
            (tables.lockouts, tables.lockouts.c.failed_at <= ended),
            (tables.sessions, or_(tables.sessions.c.expires_at <= ended, tables.sessions.c.revoked_at <= ended)),
        )
        return {table.name: self._scope.connection.execute(delete(table).where(when)).rowcount for table, when in old}
