"""Units of work: what one transaction may touch, bound to one campus so that forgetting it is impossible."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from ..model.account import Membership
from ..model.ids import NewId
from .accounts import Accounts, AllAccounts, Memberships
from .alerts import Alerts
from .arrivals import Arrivals
from .audit import Audit
from .campuses import Campuses
from .checks import Checks
from .commands import Commands, Courier
from .coupons import Coupons
from .credit import Credit, CreditAppeals
from .decisions import Decisions
from .delays import Delays
from .geofence_stays import GeofenceStays
from .geofences import Geofences
from .idempotency import Idempotency
from .inbox import Inbox
from .jobs import DueJobs, Jobs
from .leases import Leases
from .offers import Offers
from .orders import Orders
from .outbox import Outbox, Relayed
from .photos import Photos
from .planned_routes import PlannedRoutes
from .resealing import Resealing
from .retention import Retention
from .runner_plans import RunnerPlans
from .scope import CampusScope, Scope
from .sessions import Codes, Links, Lockouts, Sessions
from .statistics import Statistics
from .stop_visits import StopVisits
from .tasks import Tasks
from .vault import Vault
from .zones import Escalations, Pins, Zones


class UnitOfWork:
    """One campus's rows within one transaction; another campus's are not there. ``now`` stands still."""

    def __init__(self, connection: Connection, campus_id: str, now: datetime, new_id: NewId, vault: Vault) -> None:
        scope = CampusScope(connection, now, new_id, vault, campus_id)
        self.campus_id = campus_id
        self.now = now
        self.new_id = new_id
        self.orders = Orders(scope)
        self.tasks = Tasks(scope)
        self.offers = Offers(scope)
        self.decisions = Decisions(scope)
        self.planned_routes = PlannedRoutes(scope)
        self.outbox = Outbox(scope)
        self.commands = Commands(scope)
        self.inbox = Inbox(scope)
        self.jobs = Jobs(scope)
        self.audit = Audit(scope)
        self.idempotency = Idempotency(scope)
        self.photos = Photos(scope)
        self.alerts = Alerts(scope)
        self.memberships = Memberships(scope)
        self.accounts = Accounts(scope)
        self.statistics = Statistics(scope)
        self.geofences = Geofences(scope)
        self.arrivals = Arrivals(scope)
        self.geofence_stays = GeofenceStays(scope)
        self.runner_plans = RunnerPlans(scope)
        self.zones = Zones(scope)
        self.pins = Pins(scope)
        self.escalations = Escalations(scope)
        self.stop_visits = StopVisits(scope)
        self.delays = Delays(scope)
        self.coupons = Coupons(scope)
        self.credit = Credit(scope)
        self.credit_appeals = CreditAppeals(scope)


class GlobalUnit:
    """What spans campuses, within one transaction: signing in, campuses, the relay, leases. Use a
    :class:`UnitOfWork` wherever one campus is meant; :meth:`at` gives one in the same transaction."""

    def __init__(self, connection: Connection, now: datetime, new_id: NewId, vault: Vault) -> None:
        scope = Scope(connection, now, new_id, vault)
        self._scope = scope
        self.now = now
        self.new_id = new_id
        self.accounts = AllAccounts(scope)
        self.sessions = Sessions(scope)
        self.codes = Codes(scope)
        self.links = Links(scope)
        self.lockouts = Lockouts(scope)
        self.campuses = Campuses(scope)
        self.outbox = Relayed(scope)
        self.commands = Courier(scope)
        self.jobs = DueJobs(scope)
        self.leases = Leases(scope)
        self.checks = Checks(scope)
        self.resealing = Resealing(scope)

    def at(self, campus_id: str) -> UnitOfWork:
        """One campus's unit of work within this transaction."""
        scope = self._scope
        return UnitOfWork(scope.connection, campus_id, scope.now, scope.new_id, scope.vault)

    def memberships_of(self, account_id: str) -> list[Membership]:
        """Where this account is a member, in order of the campuses' ids."""
        return self.accounts.memberships_of(account_id)

    def retention(self, now: datetime | None = None) -> Mapping[str, int]:
        """Delete what is too old at ``now`` (this unit's time, if not given); how many rows of which table."""
        return Retention(self._scope).sweep(now or self.now)
