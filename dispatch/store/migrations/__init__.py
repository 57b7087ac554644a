"""Numbered forward migrations: how a database of any earlier version becomes one of this version."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from . import (
    m0001_first_tables,
    m0002_order_codes,
    m0003_sealed_answers,
    m0004_geofences,
    m0005_credit,
    m0006_shifts,
    m0007_stop_visits,
    m0008_arrivals,
    m0009_bundles,
    m0010_volumes,
    m0011_coupons,
)

#: Changes one database by one version. Frozen once shipped: it never uses the tables of the present.
Migration = Callable[[Connection], None]

#: In order; the first makes version 1.
MIGRATIONS: tuple[Migration, ...] = (
    m0001_first_tables.upgrade,
    m0002_order_codes.upgrade,
    m0003_sealed_answers.upgrade,
    m0004_geofences.upgrade,
    m0005_credit.upgrade,
    m0006_shifts.upgrade,
    m0007_stop_visits.upgrade,
    m0008_arrivals.upgrade,
    m0009_bundles.upgrade,
    m0010_volumes.upgrade,
    m0011_coupons.upgrade,
)
LATEST = len(MIGRATIONS)
