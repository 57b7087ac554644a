"""Query parameters as types: a URL is decoded like a body, once and strictly."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from ..model.requests import DatumName, IdText, Request, Version

Limit = Annotated[int, Meta(ge=1, le=100)]
Search = Annotated[str, Meta(max_length=80)]
#: Up to the end of the year 9999.
Moment = Annotated[int, Meta(ge=0, lt=253_402_300_800_000)]


class InDatum(Request, frozen=True, kw_only=True):
    """Which datum the answer's positions are in."""

    datum: DatumName = "wgs84"


class FindPlaces(InDatum, frozen=True, kw_only=True):
    """Places by name; no name: the quick addresses."""

    q: Search = ""
    limit: Limit = 10


class ListOrders(InDatum, frozen=True, kw_only=True):
    """``scope``: placed by me, carried by me, or all of the campus. ``status``: names, joined by commas."""

    scope: Literal["mine", "carried", "all"] = "mine"
    status: Annotated[str, Meta(max_length=200)] | None = None
    q: Search | None = None
    limit: Limit = 20
    before: IdText | None = None


class ListAccounts(Request, frozen=True, kw_only=True):
    """``q``: a part of the name, a whole phone number or an id."""

    q: Search | None = None
    role: Literal["student", "runner", "operator", "admin"] | None = None
    limit: Limit = 20
    before: IdText | None = None


class ListAudit(Request, frozen=True, kw_only=True):
    """A page of the audit log."""

    limit: Limit = 50
    before: IdText | None = None


class WhyNot(Request, frozen=True, kw_only=True):
    """``runner_id``: who is asked about; ``decision_id``: which decision, the newest where it is not said."""

    runner_id: IdText
    decision_id: IdText | None = None


class WeighReassign(Request, frozen=True, kw_only=True):
    """``runner_id``: weighed in any case, however far away."""

    runner_id: IdText | None = None


class ReadPlan(Request, frozen=True, kw_only=True):
    """``term_starts``: a day of the term's first week, for a table that counts weeks and does not say it."""

    term_starts: date | None = None


class AtVersion(Request, frozen=True, kw_only=True):
    """The version that was seen of what is to be deleted."""

    version: Version


class ListStays(Request, frozen=True, kw_only=True):
    """Stays that began from ``since`` and before ``until``, newest first."""

    fence_id: IdText | None = None
    runner_id: IdText | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 50
    before: IdText | None = None


class ListCredit(Request, frozen=True, kw_only=True):
    """Lines of a credit's history, newest first; ``before`` is the number of the last line of the page before."""

    limit: Limit = 30
    before: Annotated[int, Meta(ge=1, le=2**53)] | None = None


class ListCoupons(Request, frozen=True, kw_only=True):
    """Newest first; ``before`` is the id of the last coupon of the page before."""

    limit: Limit = 20
    before: IdText | None = None


class InTime(Request, frozen=True, kw_only=True):
    """From ``since`` and before ``until``; the last day unless it says otherwise."""

    since: Moment | None = None
    until: Moment | None = None


class Few(Request, frozen=True, kw_only=True):
    """The first so many of a list that is short by nature."""

    limit: Limit = 50


class Many(Request, frozen=True, kw_only=True):
    """The first so many of a list that may be long."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 500


class ListRefunds(Few, frozen=True, kw_only=True):
    """``only_open``: those that are not with their payers yet."""

    only_open: bool = False


class ListWithdrawals(Few, frozen=True, kw_only=True):
    """``only_held``: those that wait for a review."""

    only_held: bool = False


class InHours(Request, frozen=True, kw_only=True):
    """The last so many hours."""

    hours: Annotated[int, Meta(ge=1, le=168)] = 24


class ListCases(Request, frozen=True, kw_only=True):
    """Cases of risk, newest first; ``before`` is the ``seq`` of the last case of the page before."""

    limit: Limit = 30
    before: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    only_open: bool = False
