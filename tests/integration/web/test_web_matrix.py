"""Who may do what: every route of the table by everybody, against the permission it states."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from dispatch.access.permissions import Permission, permissions_of
from dispatch.flow.move_credit import move
from dispatch.model.account import Role
from dispatch.model.campus import CampusSettings
from dispatch.model.credit import CreditAppeal, CreditCause, CreditReason
from dispatch.model.ids import OFFER
from dispatch.model.offer import Offer, OfferStatus
from dispatch.model.order import OrderStatus
from dispatch.model.task import TaskStatus
from dispatch.web.queries import AtVersion, WhyNot
from dispatch.web.route import Anyone, Route
from dispatch.web.routes import ROUTES
from payments.guards.risk import RuleBook
from tests.money_scene import add_case, add_item, add_run, add_withdrawal, guard

#: What each route is sent by somebody who may use it; a route that is missing here fails the test.


def _nothing(scene: Scene) -> Any:
    return {}


GOOD: dict[str, Callable[[Scene], Any]] = {
    "POST /auth/code": lambda s: {"phone": "13712345678", "campus_id": s.house.campus_id},
    "POST /auth/sign-in": lambda s: {"phone": "13712345678", "campus_id": s.house.campus_id, "code": "000000"},
    "POST /auth/exchange": lambda s: {"code": "x" * 32},
    "POST /auth/refresh": _nothing,
    "POST /auth/sign-out": _nothing,
    "POST /auth/socket-token": _nothing,
    "POST /auth/password": lambda s: {"new_password": "a-good-password", "old_password": "a-good-password"},
    "PATCH /me": lambda s: {"language": "en"},
    "POST /me/runner-application": _nothing,
    "POST /quotes": lambda s: s.quote,
    "POST /orders": lambda s: {**s.quote, "description": "取快递", "expected_total_fen": 1},
    "POST /orders/{id}/pay": lambda s: {"channel": "sandbox"},
    "POST /orders/{id}/payment/proof": lambda s: {"token": "x"},
    "POST /orders/{id}/payment/code": _nothing,
    "POST /sandbox/pay": lambda s: {"token": "x"},
    "POST /payments/callbacks/{channel}": _nothing,
    "POST /orders/{id}/cancel": lambda s: {"reason": "changed my mind", "version": s.order["version"]},
    "POST /orders/{id}/confirm": _nothing,
    "POST /orders/{id}/rating": lambda s: {"stars": 5},
    "POST /runner/duty": lambda s: {"is_on": True},
    "PUT /runner/plan": lambda s: {"version": 0, "entries": []},
    "POST /runner/plan/read": lambda s: b"weekday,from,to\n1,08:00,09:35\n",
    "POST /runner/withdrawals": lambda s: {"amount_fen": 1},
    "PUT /runner/payout-account": lambda s: {"alipay_user_id": "2088000000000001"},
    "POST /runner/break": lambda s: {"until_ms": None},
    "POST /offers/{id}/accept": _nothing,
    "POST /offers/{id}/decline": _nothing,
    "POST /orders/{id}/grab": _nothing,
    "POST /orders/{id}/arrived": _nothing,
    "POST /orders/{id}/picked-up": _nothing,
    "POST /orders/{id}/delivered": lambda s: {"pin": "0000"},
    "POST /orders/{id}/photos": lambda s: s.picture,
    "POST /orders/{id}/reassign": lambda s: {"runner_id": None, "version": 0, "reason": "other"},
    "POST /plan-previews": lambda s: {"preset": "fastest"},
    "POST /plan-commits": lambda s: {
        "preview_id": "pre_01KJP4C580MKX5CMHF1GWCK3D7",
        "order_ids": [s.order["id"]],
        "reason": "a busy noon",
    },
    "POST /orders/{id}/reassign/undo": lambda s: {"version": 0},
    "POST /orders/{id}/hold": lambda s: {"runner_id": s.people["carrier"].id, "version": 0, "reason": "knows the way"},
    "DELETE /orders/{id}/hold": _nothing,
    "POST /orders/{id}/refund": lambda s: {"amount_fen": 1, "reason": "was cold"},
    "POST /me/codes": lambda s: {"kind": "change_payout_account"},
    "POST /me/codes/{id}/confirm": lambda s: {"kind": "change_payout_account", "code": "000000"},
    "POST /payments/codes": _nothing,
    "POST /me/channels/{channel}/page": _nothing,
    "POST /me/channels/{channel}/bind": lambda s: {"card_token": "CARD1", "is_agreed": True},
    "DELETE /me/channels/{channel}/bind": _nothing,
    "POST /orders/{id}/operator-cancel": lambda s: {"reason": "asked", "version": 0},
    "POST /orders/{id}/reveal": lambda s: {"reason": "cannot be reached"},
    "POST /alerts/{id}/acknowledge": _nothing,
    "POST /accounts/{id}/block": lambda s: {"is_blocked": False, "reason": "was a mistake"},
    "POST /accounts/{id}/runner-review": lambda s: {"status": "removed"},
    "POST /accounts/{id}/credit": lambda s: {"kind": "corrected", "delta": 1, "reason": "a good deed"},
    "POST /credit-lines/{id}/appeal": lambda s: {"text": "it rained"},
    "POST /credit-lines/{id}/reverse": lambda s: {"reason": "it did rain"},
    "POST /credit-appeals/{id}/decide": lambda s: {"is_granted": False, "answer": "it did not"},
    "PUT /accounts/{id}/plan": lambda s: {"version": 0, "entries": []},
    "POST /accounts/{id}/roles": lambda s: {"roles": ["student"]},
    "PATCH /campus": lambda s: {"version": 0},
    "PATCH /dispatch-rules": lambda s: {"version": 0},
    "PATCH /coupon-rules": lambda s: {"version": 0},
    "PUT /assurances": lambda s: {"version": 0, "assurances": []},
    "POST /geofences": lambda s: s.fence,
    "PUT /geofences/{id}": lambda s: {**s.fence, "version": 0},
    "PUT /geofences/{id}/zone": lambda s: {"version": 0, "mode": "grab"},
    "DELETE /geofences/{id}": _nothing,
    "POST /money/runs": lambda s: {"channel": "sandbox", "day": "2026-03-02"},
    "POST /money/items/{id}/take": _nothing,
    "POST /money/items/{id}/close": lambda s: {"reason": "the bank was asked"},
    "POST /money/withdrawals/{id}/review": lambda s: {"is_approved": False, "reason": "called the runner"},
    "POST /money/risk-cases/{id}/review": lambda s: {"is_released": True, "reason": "called the payer"},
}
#: A channel's day belongs to all campuses; each is shown what is its own of it. A code is its account's, of any campus.
SHARED = ("/money/runs/{id}", "/money/runs/{id}/csv", "/me/codes/{id}/confirm")
#: Walked last: it ends the sessions that the others use.
LAST = "POST /auth/sign-out"
EVERYBODY = ("nobody", "student", "other student", "other runner", "carrier", "operator", "foreign operator", "admin")
ROLES = {
    "student": Role.STUDENT, "other student": Role.STUDENT, "other runner": Role.RUNNER, "carrier": Role.RUNNER,
    "operator": Role.OPERATOR, "foreign operator": Role.OPERATOR, "admin": Role.ADMIN,
}  # fmt: skip
PARTIES = {
    "": set(EVERYBODY) - {"foreign operator"},
    "owner": {"student"},
    "party": {"student", "carrier", "operator", "admin"},
    "carrier": {"carrier"},
    "offered": {"carrier"},
    "self": {"carrier"},
}


class Scene:
    """People of two campuses, and one order that one of them placed and another carries."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self.people: dict[str, Any] = {"nobody": None}
        self.order: dict[str, Any] = {}
        self.ids: dict[str, str] = {}

    async def build(self) -> None:
        for name, role in ROLES.items():
            at = self.house.other_campus_id if name.startswith("foreign") else self.house.campus_id
            self.people[name] = await self.house.person(role, campus_id=at)
        self.quote = await self.house.quote_body()
        raw = io.BytesIO()
        Image.new("RGB", (32, 32)).save(raw, "PNG")
        self.picture = raw.getvalue()
        await self.house.ctx.store.run(
            self.house.campus_id, lambda uow: uow.alerts.raise_once("late", "x", "迟", "late")
        )
        alerts = await self.house.ctx.store.read(self.house.campus_id, lambda uow: uow.alerts.open_alerts(5))
        self.ids["alerts"] = alerts[0].id
        campus = (await self.house.call("GET", f"/campuses/{self.house.campus_id}")).json
        circle = {"kind": "circle", "lat": campus["lat"], "lon": campus["lon"], "radius_m": 40}
        self.fence = {"name": "中心广场", "shape": circle}
        made = await self.house.call("POST", "/geofences", self.fence, who=self.people["operator"])
        self.ids["geofences"] = made.json["id"]
        guard(self.house.payments, RuleBook(default=()))
        self.ids["money/runs"] = await add_run(self.house.payments)
        self.ids["money/items"] = (await add_item(self.house.payments, self.house.campus_id)).id
        case_id = await add_case(self.house.payments, self.house.campus_id, self.people["student"].id)
        self.ids["money/risk-cases"] = case_id
        held = await add_withdrawal(self.house.payments, self.house.campus_id, self.people["carrier"].id)
        self.ids["money/withdrawals"] = held

    async def renew(self, number: int, *, is_credit: bool) -> None:
        """A fresh carried order with an offer and a photo, so that no route lives off what another one did."""
        student, carrier = self.people["student"], self.people["carrier"]
        self.order = await self.house.carried(student, carrier, f"order-{number}")
        order_id = self.order["id"]
        photo = await self.house.call(
            "POST", f"/orders/{order_id}/photos", who=carrier, raw=self.picture, headers={"Content-Type": "image/png"}
        )
        self.ids |= {"orders": order_id, "photos": photo.json["id"], "accounts": self.people["other student"].id}
        self.ids["offers"] = await self.house.ctx.store.run(self.house.campus_id, self._offer)
        if is_credit:
            await self.house.ctx.store.run(self.house.campus_id, self._credit)

    def _credit(self, uow: Any) -> None:
        """Two lines of the carrier's: one to appeal, one that is appealed; somebody else has a line to correct."""
        settings, carrier = CampusSettings(), self.people["carrier"]
        for name, person in (("credit-lines", carrier), ("appealed", carrier), ("", self.people["other student"])):
            cause = CreditCause(CreditReason.CORRECTED, -1)
            line = move(uow, settings, person.id, cause, subject_id=uow.new_id("crd"))
            assert line is not None
            self.ids[name] = line.id
        appeal = CreditAppeal(uow.new_id("apl"), uow.campus_id, carrier.id, self.ids["appealed"], uow.now, "it rained")
        assert uow.credit_appeals.insert(appeal)
        self.ids["credit-appeals"] = appeal.id

    def _offer(self, uow: Any) -> str:
        task = uow.tasks.by_order(self.order["id"])
        offer = Offer(
            uow.new_id(OFFER), uow.campus_id, task.id, task.order_id, self.people["carrier"].id, OfferStatus.ACCEPTED,
            uow.now, uow.now,
        )  # fmt: skip
        uow.offers.insert(offer)
        return str(offer.id)

    async def finish(self) -> None:
        """Free the carrier for the next order."""

        def done(uow: Any) -> None:
            order, task = uow.orders.get(self.order["id"]), uow.tasks.by_order(self.order["id"])
            uow.orders.save(replace(order, status=OrderStatus.CLOSED, version=order.version + 1))
            uow.tasks.save(replace(task, status=TaskStatus.CANCELLED, version=task.version + 1, runner_id=None))

        await self.house.ctx.store.run(self.house.campus_id, done)

    def url(self, route: Route) -> str:
        kind = route.path.split("/{")[0].strip("/")
        named = {"campuses": self.house.campus_id, **self.ids}.get(kind, "x")
        asked = {AtVersion: "?version=0", WhyNot: f"?runner_id={self.people['carrier'].id}"}
        query = asked.get(route.query, "")
        return route.path.replace("{id}", named).replace("{channel}", "sandbox") + query


def permitted(route: Route, name: str) -> bool:
    """Whether the table lets somebody like this in, whatever the thing is."""
    if route.needs is Anyone.PUBLIC:
        return True
    if name == "nobody":
        return False
    granted = permissions_of([ROLES[name]])
    return not route.permissions or any(one in granted for one in route.permissions)


def is_theirs(route: Route, name: str) -> bool:
    """Whether the thing in the URL is one that they may touch."""
    if "{id}" not in route.path or route.needs is Anyone.PUBLIC or route.path in SHARED:
        return True
    return name in PARTIES[route.party]


async def test_every_route_lets_in_whom_it_says_and_nobody_else(house: Any) -> None:
    scene = Scene(house)
    await scene.build()
    wrong: list[str] = []
    ordered = sorted(ROUTES, key=lambda route: f"{route.method} {route.path}" == LAST)
    for number, route in enumerate(ordered):
        if "{id}" in route.path and not route.path.startswith("/campuses"):
            await scene.renew(number, is_credit="credit" in route.path)
        # Those who may do it come last: what they do may change who may.
        for name in sorted(EVERYBODY, key=lambda name: permitted(route, name) and is_theirs(route, name)):
            said = await _try(scene, route, name)
            if said:
                wrong.append(f"{route.method} {route.path} by {name}: {said}")
        if "{id}" in route.path and not route.path.startswith("/campuses"):
            await scene.finish()
    assert not wrong, "\n".join(wrong)


async def _try(scene: Scene, route: Route, name: str) -> str:
    """What is wrong with how ``name`` is treated; empty: nothing."""
    person, url = scene.people[name], scene.url(route)
    if not permitted(route, name):
        # Before the body counts: rubbish in it changes nothing about the answer.
        answer = await scene.house.call(
            route.method, url, who=person, raw=b"{rubbish" if route.method != "GET" else None
        )
        expected = "not_signed_in" if name == "nobody" else "not_permitted"
        return "" if answer.code == expected else f"{answer.status} {answer.body[:200]!r} instead of {expected}"
    answer = await _good(scene, route, url, person)
    if not is_theirs(route, name):
        return "" if answer.code in ("not_found", "not_permitted") else f"{answer.status} {answer.body[:200]!r}"
    if name == "admin" and route.needs is Permission.TASKS_CARRY:
        # An admin holds the permission; carrying asks for an approved runner besides.
        return "" if answer.status < 500 else f"{answer.status}"
    if route.needs is Anyone.PUBLIC:
        return "" if answer.status < 500 and answer.status != 403 else f"{answer.status} {answer.body[:200]!r}"
    refused = answer.status >= 500 or answer.code in ("not_signed_in", "not_permitted", "not_found")
    return f"{answer.status} {answer.body[:200]!r}" if refused else ""


async def _good(scene: Scene, route: Route, url: str, person: Any) -> Any:
    if route.method == "GET":
        return await scene.house.call("GET", url, who=person)
    body = GOOD[f"{route.method} {route.path}"](scene)
    headers = {"Idempotency-Key": "matrix"} if route.key == "flow" else {}
    if isinstance(body, bytes):
        return await scene.house.call(
            route.method, url, who=person, raw=body, headers={**headers, "Content-Type": "image/png"}
        )
    return await scene.house.call(route.method, url, body, who=person, headers=headers)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_the_matrix_knows_every_route(route: Route) -> None:
    assert route.method == "GET" or f"{route.method} {route.path}" in GOOD
