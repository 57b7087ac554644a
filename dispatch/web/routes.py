"""Every URL on one page: who may use it, what it takes, what it answers, which flow it runs."""

from __future__ import annotations

from geo.datum import Datum

from ..access.permissions import Permission as P
from ..flow import (
    answer_offer,
    cancel_order,
    commit_plan,
    confirm_order,
    deliver_task,
    describe_campus,
    edit_coupon_rules,
    explain_decision,
    foresee_orders,
    go_on_duty,
    manage_accounts,
    manage_credit,
    manage_geofences,
    pay_order,
    pin_order,
    place_order,
    plan_shifts,
    preview_plan,
    read_audit,
    read_orders,
    reassign_task,
    reveal_personal,
    set_dispatch_rules,
    set_zone,
    show_coupons,
    sign_in,
    watch_console,
    weigh_reassign,
    wish_runner,
)
from ..flow.origin import Origin
from ..model import coupon_views as kv
from ..model import credit_views as cv
from ..model import geofence_views as gv
from ..model import operator_views as ov
from ..model import plan_views as pv
from ..model import requests as rq
from ..model import shift_requests as sr
from ..model import shift_views as sv
from ..model import views as vw
from ..model.hall_views import HallView
from ..model.timetable_files import MAX_BYTES
from . import queries as qs
from . import session_routes as session
from .guard_routes import GUARD_ROUTES
from .money_routes import MONEY_ROUTES
from .route import CALLBACK_LIMIT, PHOTO_LIMIT, Accepted, Anyone, Call, Raw, Route
from .wallet_routes import WALLET_ROUTES, WITHDRAWAL_ROUTES

_PUBLIC, _SIGNED_IN = Anyone.PUBLIC, Anyone.SIGNED_IN
_READS = (P.ORDERS_READ_OWN, P.ORDERS_READ_ANY)
_TIMETABLES = ("text/calendar", "text/csv")
_PHOTOS = ("image/jpeg", "image/png", "image/webp")


async def _map(call: Call) -> Raw:
    ground = await describe_campus.campus_ground(call.ctx, call.id)
    document = await call.documents.map(call.id, ground.map, Datum(call.query.datum))
    headers = {"ETag": document.tag, "Cache-Control": "public, max-age=300", "Vary": "Accept-Encoding"}
    if call.headers.get("If-None-Match", "").removeprefix("W/") == document.tag:
        return Raw(b"", "", 304, headers)
    if "gzip" in call.headers.get("Accept-Encoding", ""):
        return Raw(document.packed, "application/geo+json", headers={**headers, "Content-Encoding": "gzip"})
    return Raw(document.plain, "application/geo+json", headers=headers)


async def _photo(call: Call) -> Raw:
    jpeg = await deliver_task.photo(call.ctx, call.me, call.id)
    return Raw(jpeg, "image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


async def _callback(call: Call) -> Raw:
    reply = await pay_order.callback(call.ctx, call.path["channel"], call.headers, call.body)
    kind = {b"{": "application/json", b"<": "application/xml"}.get(reply.body[:1], "text/plain")
    return Raw(reply.body, f"{kind}; charset=utf-8", reply.status)


async def _add_photo(call: Call) -> vw.PhotoView:
    media = call.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return await deliver_task.add_photo(call.ctx, call.me, call.id, media, call.body)


async def _read_plan(call: Call) -> sv.ReadPlanView:
    media = call.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return await plan_shifts.read_plan(call.ctx, call.me, media, call.body, call.query.term_starts)


async def _orders(call: Call) -> vw.OrderPage:
    q = call.query
    return await read_orders.orders(
        call.ctx, call.me, scope=q.scope, status=q.status, q=q.q, limit=q.limit, before=q.before, datum=q.datum
    )


async def _accounts(call: Call) -> ov.AccountPage:
    q = call.query
    return await manage_accounts.list_accounts(call.ctx, call.me, q=q.q, role=q.role, limit=q.limit, before=q.before)


async def _stays(call: Call) -> gv.StayPage:
    q = call.query
    return await manage_geofences.stays(
        call.ctx, call.me, fence_id=q.fence_id, runner_id=q.runner_id, since_ms=q.since, until_ms=q.until,
        limit=q.limit, before=q.before,
    )  # fmt: skip


async def _place(call: Call) -> vw.OrderView:
    assert call.key is not None, "the edge asks for the key"
    return await place_order.place_order(call.ctx, call.me, call.body, call.key, Origin(call.ip, call.device))


ROUTES: tuple[Route, ...] = (
    # --- signing in
    Route("POST", "/auth/code", _PUBLIC, lambda c: sign_in.ask_code(c.ctx, c.body, c.ip), Accepted,
          "Send a sign-in code by SMS", request=rq.AskCode, status=202),
    Route("POST", "/auth/sign-in", _PUBLIC, session.signed_in, vw.SessionView,
          "Sign in by code or password", request=rq.SignIn),
    Route("POST", "/auth/exchange", _PUBLIC, session.exchanged, vw.SessionView,
          "Exchange a link's one-time code; with X-Session-Slot into cookies", request=rq.ExchangeLink),
    Route("POST", "/auth/refresh", _PUBLIC, session.refreshed, vw.SessionView,
          "New tokens for the refresh token, which is spent", request=rq.Refresh),
    Route("POST", "/auth/sign-out", _SIGNED_IN, session.signed_out, None, "End this session"),
    Route("POST", "/auth/socket-token", _SIGNED_IN, lambda c: sign_in.socket_token(c.ctx, c.me),
          vw.SocketTokenView, "A token for the hub's first frame"),
    Route("POST", "/auth/password", _SIGNED_IN, session.password_set, None,
          "Set a first password, or change it, which ends all sessions", request=rq.SetPassword),
    Route("GET", "/me", _SIGNED_IN, lambda c: manage_accounts.me(c.ctx, c.me), vw.AccountView, "One's own account"),
    Route("PATCH", "/me", _SIGNED_IN, lambda c: manage_accounts.edit_profile(c.ctx, c.me, c.body),
          vw.AccountView, "Change one's name or language", request=rq.EditProfile),
    Route("POST", "/me/runner-application", P.ORDERS_PLACE, lambda c: manage_accounts.apply_as_runner(c.ctx, c.me),
          vw.AccountView, "Ask to become a runner", key="optional"),
    # --- campuses
    Route("GET", "/campuses", _PUBLIC, lambda c: describe_campus.campuses(c.ctx), list[vw.CampusView],
          "The campuses of this server"),
    Route("GET", "/campuses/{id}", _PUBLIC, lambda c: describe_campus.campus(c.ctx, c.id), vw.CampusView,
          "One campus"),
    Route("GET", "/campuses/{id}/map", _PUBLIC, _map, bytes, "Its map as GeoJSON", query=qs.InDatum),
    Route("GET", "/campuses/{id}/places", _PUBLIC,
          lambda c: describe_campus.places(c.ctx, c.id, c.query.q, c.query.limit, c.query.datum),
          list[vw.PlaceView], "Places by name, or the quick addresses", query=qs.FindPlaces),
    # --- ordering and paying
    Route("GET", "/channels", _SIGNED_IN, lambda c: pay_order.channels(c.ctx, c.me), list[vw.ChannelView],
          "The ways to pay, and what each still has to be told of the one who asks"),
    Route("POST", "/quotes", P.ORDERS_PLACE, lambda c: place_order.quote_order(c.ctx, c.me, c.body),
          kv.QuoteToStudent, "What an errand would cost, and the coupons that could be used", request=rq.QuoteRequest),
    Route("POST", "/orders", P.ORDERS_PLACE, _place, vw.OrderView,
          "Place an order; its payment follows over the hub", request=rq.PlaceOrder, status=202, key="flow"),
    Route("GET", "/me/runners", P.ORDERS_PLACE, lambda c: wish_runner.known_runners(c.ctx, c.me), sv.KnownRunners,
          "Runners who carried for one before"),
    Route("GET", "/me/coupons", P.ORDERS_PLACE,
          lambda c: show_coupons.own_coupons(c.ctx, c.me, limit=c.query.limit, before=c.query.before), kv.CouponPage,
          "One's own coupons, newest first", query=qs.ListCoupons),
    Route("GET", "/orders", _READS, _orders, vw.OrderPage, "Orders, newest first", query=qs.ListOrders),
    Route("GET", "/orders/{id}", _READS, lambda c: read_orders.order(c.ctx, c.me, c.id, c.query.datum),
          vw.OrderView, "One order", query=qs.InDatum, party="party"),
    Route("GET", "/orders/{id}/timeline", _READS, lambda c: read_orders.timeline(c.ctx, c.me, c.id),
          vw.TimelineView, "What happened to it", party="party"),
    Route("GET", "/orders/{id}/track", _READS, lambda c: read_orders.track(c.ctx, c.me, c.id, c.query.datum),
          vw.TrackView, "The way the runner took, and the way left", query=qs.InDatum, party="party"),
    Route("POST", "/orders/{id}/pay", P.ORDERS_PLACE,
          lambda c: pay_order.pay(c.ctx, c.me, c.id, c.body, Origin(c.ip, c.device)),
          vw.PaymentView, "Pay, or pay another way", request=rq.PayOrder, party="owner", status=202, key="optional"),
    Route("GET", "/orders/{id}/payment", P.ORDERS_PLACE, lambda c: pay_order.payment(c.ctx, c.me, c.id),
          vw.PaymentView, "How its payment stands; cheap enough to ask twice a second", party="owner"),
    Route("POST", "/orders/{id}/payment/proof", P.ORDERS_PLACE,
          lambda c: pay_order.meet_challenge(c.ctx, c.me, c.id, c.body), vw.PaymentView,
          "Give the proof that risk asked for", request=rq.MeetChallenge, party="owner", status=202),
    Route("POST", "/orders/{id}/payment/code", P.ORDERS_PLACE, lambda c: pay_order.ask_code(c.ctx, c.me, c.id),
          vw.CodeSentView, "Have the one-time code sent that risk asked for", party="owner", status=202),
    Route("POST", "/sandbox/pay", _SIGNED_IN, lambda c: pay_order.sandbox_pay(c.ctx, c.me, c.body), Accepted,
          "Pay a credential of the demonstration channel", request=rq.SandboxPay, status=202, key="optional"),
    Route("POST", "/payments/callbacks/{channel}", _PUBLIC, _callback, bytes,
          "A payment provider reports; its signature is checked", media=(), limit=CALLBACK_LIMIT),
    Route("POST", "/orders/{id}/cancel", P.ORDERS_PLACE, lambda c: cancel_order.cancel(c.ctx, c.me, c.id, c.body),
          vw.OrderView, "Cancel it", request=rq.CancelOrder, party="owner", key="optional"),
    Route("POST", "/orders/{id}/confirm", P.ORDERS_PLACE,
          lambda c: confirm_order.confirm(c.ctx, c.me, c.id, c.body), vw.OrderView,
          "Confirm that it was received", request=rq.ConfirmOrder, party="owner", key="optional"),
    Route("POST", "/orders/{id}/rating", P.ORDERS_PLACE, lambda c: confirm_order.rate(c.ctx, c.me, c.id, c.body),
          vw.OrderView, "Rate it, once", request=rq.RateOrder, party="owner", key="optional"),
    # --- carrying
    Route("POST", "/runner/duty", P.TASKS_CARRY, lambda c: go_on_duty.set_duty(c.ctx, c.me, c.body),
          vw.RunnerStateView, "Come on or go off duty", request=rq.SetDuty, key="optional"),
    Route("GET", "/runner/state", P.TASKS_CARRY, lambda c: go_on_duty.state(c.ctx, c.me, c.query.datum),
          vw.RunnerStateView, "Everything a runner's page shows", query=qs.InDatum),
    Route("GET", "/runner/hall", P.TASKS_CARRY, lambda c: go_on_duty.hall(c.ctx, c.me, c.query.datum),
          HallView, "Orders to take", query=qs.InDatum),
    *WALLET_ROUTES,
    Route("GET", "/me/credit", _SIGNED_IN,
          lambda c: manage_credit.own_credit(c.ctx, c.me, limit=c.query.limit, before=c.query.before), cv.CreditView,
          "One's own credit, what it allows and what moved it, line by line", query=qs.ListCredit),
    Route("POST", "/credit-lines/{id}/appeal", _SIGNED_IN,
          lambda c: manage_credit.appeal(c.ctx, c.me, c.id, c.body), cv.CreditLineView,
          "Say why a line of one's own is wrong", request=cv.AppealCredit, party="self", key="optional"),
    Route("GET", "/runner/plan", P.TASKS_CARRY, lambda c: plan_shifts.plan(c.ctx, c.me), sv.PlanView,
          "One's week: classes, shifts, zones, break"),
    Route("PUT", "/runner/plan", P.TASKS_CARRY, lambda c: plan_shifts.save_plan(c.ctx, c.me, c.body), sv.PlanView,
          "Write one's week anew", request=sr.SavePlan, key="optional"),
    Route("POST", "/runner/plan/read", P.TASKS_CARRY, _read_plan, sv.ReadPlanView,
          "What a calendar or table file says, to be saved", query=qs.ReadPlan, media=_TIMETABLES,
          limit=MAX_BYTES),
    Route("POST", "/runner/break", P.TASKS_CARRY, lambda c: plan_shifts.take_break(c.ctx, c.me, c.body),
          sv.PlanView, "Take a break, or end it", request=sr.TakeBreak, key="optional"),
    Route("POST", "/offers/{id}/accept", P.TASKS_CARRY, lambda c: answer_offer.accept(c.ctx, c.me, c.id),
          vw.OrderView, "Accept an offer", party="offered", key="optional"),
    Route("POST", "/offers/{id}/decline", P.TASKS_CARRY,
          lambda c: answer_offer.decline(c.ctx, c.me, c.id, c.body), None, "Decline an offer",
          request=rq.DeclineOffer, party="offered", key="optional"),
    Route("POST", "/orders/{id}/grab", P.TASKS_CARRY, lambda c: answer_offer.grab(c.ctx, c.me, c.id),
          vw.OrderView, "Take an order from the hall", key="optional"),
    Route("POST", "/orders/{id}/arrived", P.TASKS_CARRY, lambda c: deliver_task.arrived(c.ctx, c.me, c.id, c.body),
          vw.OrderView, "At the next stop", request=rq.Tap, party="carrier", key="optional"),
    Route("POST", "/orders/{id}/picked-up", P.TASKS_CARRY,
          lambda c: deliver_task.picked_up(c.ctx, c.me, c.id, c.body), vw.OrderView, "Picked up",
          request=rq.PickUp, party="carrier", key="optional"),
    Route("POST", "/orders/{id}/delivered", P.TASKS_CARRY,
          lambda c: deliver_task.delivered(c.ctx, c.me, c.id, c.body), vw.OrderView,
          "Handed over, by code or photo", request=rq.Deliver, party="carrier", key="optional"),
    Route("POST", "/orders/{id}/photos", P.TASKS_CARRY, _add_photo, vw.PhotoView, "A photo of the hand-over",
          party="carrier", media=_PHOTOS, limit=PHOTO_LIMIT, key="optional"),
    Route("GET", "/photos/{id}", _READS, _photo, bytes, "A photo of a hand-over", party="party"),
    # --- operating
    Route("GET", "/console", P.ORDERS_READ_ANY, lambda c: watch_console.console(c.ctx, c.me, c.query.datum),
          ov.ConsoleView, "The console's snapshot", query=qs.InDatum),
    Route("GET", "/outlook", P.ORDERS_READ_ANY, lambda c: foresee_orders.outlook(c.ctx, c.me), pv.OutlookView,
          "What the planner foresees for the orders that wait"),
    Route("GET", "/orders/{id}/why", P.ORDERS_READ_ANY, lambda c: explain_decision.why(c.ctx, c.me, c.id),
          ov.WhyView, "Why this runner, or why nobody yet"),
    Route("GET", "/orders/{id}/why-not", P.ORDERS_READ_ANY,
          lambda c: explain_decision.why_not(c.ctx, c.me, c.id, c.query.runner_id, c.query.decision_id),
          pv.WhyNotView, "Why not somebody else, from the recorded tick", query=qs.WhyNot),
    Route("GET", "/orders/{id}/reassign-options", P.ORDERS_REASSIGN,
          lambda c: weigh_reassign.options(c.ctx, c.me, c.id, c.query.runner_id), ov.ReassignOptionsView,
          "What it would cost to give it to whom, and what moves by that", query=qs.WeighReassign),
    Route("POST", "/plan-previews", P.ORDERS_REASSIGN, lambda c: preview_plan.preview(c.ctx, c.me, c.body),
          pv.PlanPreview, "A plan of everything that waits, without acting; audited", request=rq.PreviewPlan,
          status=201),
    Route("POST", "/plan-commits", P.ORDERS_REASSIGN, lambda c: commit_plan.commit(c.ctx, c.me, c.body),
          pv.CommitView, "Act on a previewed plan; what has changed since is refused pair by pair; audited",
          request=rq.CommitPlan, key="optional"),
    Route("POST", "/orders/{id}/reassign", P.ORDERS_REASSIGN,
          lambda c: reassign_task.reassign(c.ctx, c.me, c.id, c.body), vw.OrderView,
          "Give it to a runner by force", request=rq.Reassign, key="optional"),
    Route("POST", "/orders/{id}/reassign/undo", P.ORDERS_REASSIGN,
          lambda c: reassign_task.undo(c.ctx, c.me, c.id, c.body), vw.OrderView,
          "Take that back, within 10 seconds", request=rq.UndoReassign, key="optional"),
    Route("POST", "/orders/{id}/hold", P.ORDERS_REASSIGN,
          lambda c: pin_order.hold(c.ctx, c.me, c.id, c.body), sv.HoldView,
          "Keep it for one runner before it is offered", request=sr.HoldOrder, key="optional"),
    Route("DELETE", "/orders/{id}/hold", P.ORDERS_REASSIGN, lambda c: pin_order.release(c.ctx, c.me, c.id), None,
          "Keep it for nobody any more", key="optional"),
    Route("POST", "/orders/{id}/operator-cancel", P.ORDERS_REASSIGN,
          lambda c: cancel_order.operator_cancel(c.ctx, c.me, c.id, c.body), vw.OrderView,
          "Cancel it as an operator", request=rq.OperatorCancel, key="optional"),
    Route("POST", "/orders/{id}/reveal", P.PERSONAL_REVEAL,
          lambda c: reveal_personal.reveal(c.ctx, c.me, c.id, c.body), ov.RevealView,
          "See masked personal data; audited", request=rq.Reveal),
    Route("POST", "/alerts/{id}/acknowledge", P.ORDERS_READ_ANY,
          lambda c: watch_console.acknowledge(c.ctx, c.me, c.id), ov.AlertView, "Take note of an alert",
          key="optional"),
    Route("GET", "/accounts", P.ACCOUNTS_MANAGE, _accounts, ov.AccountPage, "The accounts of the campus",
          query=qs.ListAccounts),
    Route("POST", "/accounts/{id}/block", P.ACCOUNTS_MANAGE,
          lambda c: manage_accounts.block_account(c.ctx, c.me, c.id, c.body), vw.AccountView,
          "Block or unblock somebody", request=rq.BlockAccount, key="optional"),
    Route("POST", "/accounts/{id}/runner-review", P.ACCOUNTS_MANAGE,
          lambda c: manage_accounts.review_runner(c.ctx, c.me, c.id, c.body), vw.AccountView,
          "Decide on a runner's application", request=rq.ReviewRunner, key="optional"),
    Route("GET", "/accounts/{id}/credit", P.ACCOUNTS_MANAGE,
          lambda c: manage_credit.credit_of(c.ctx, c.me, c.id, limit=c.query.limit, before=c.query.before),
          cv.CreditView, "A runner's credit, line by line", query=qs.ListCredit),
    Route("POST", "/accounts/{id}/credit", P.ACCOUNTS_MANAGE,
          lambda c: manage_credit.record(c.ctx, c.me, c.id, c.body), cv.CreditView,
          "Correct a runner's credit, or record what was lost or damaged; audited", request=cv.RecordCredit,
          key="optional"),
    Route("POST", "/credit-lines/{id}/reverse", P.ACCOUNTS_MANAGE,
          lambda c: manage_credit.reverse_line(c.ctx, c.me, c.id, c.body), cv.CreditView,
          "Take a line back; audited", request=cv.ReverseCredit, key="optional"),
    Route("POST", "/credit-appeals/{id}/decide", P.ACCOUNTS_MANAGE,
          lambda c: manage_credit.decide_appeal(c.ctx, c.me, c.id, c.body), cv.CreditView,
          "Grant or refuse a runner's appeal; audited", request=cv.DecideAppeal, key="optional"),
    Route("GET", "/accounts/{id}/plan", P.ACCOUNTS_MANAGE, lambda c: plan_shifts.plan_of(c.ctx, c.me, c.id),
          sv.PlanView, "A runner's week"),
    Route("PUT", "/accounts/{id}/plan", P.ACCOUNTS_MANAGE,
          lambda c: plan_shifts.save_plan_of(c.ctx, c.me, c.id, c.body), sv.PlanView,
          "Plan a runner's week for them", request=sr.SavePlan, key="optional"),
    Route("POST", "/accounts/{id}/roles", P.CAMPUS_MANAGE,
          lambda c: manage_accounts.set_roles(c.ctx, c.me, c.id, c.body), vw.AccountView,
          "Give an account its roles", request=rq.SetRoles, key="optional"),
    Route("PATCH", "/campus", P.CAMPUS_MANAGE_SETTINGS,
          lambda c: describe_campus.edit_settings(c.ctx, c.me, c.body), vw.CampusView,
          "Change the campus's settings", request=rq.EditCampus),
    Route("GET", "/dispatch-rules", P.ORDERS_READ_ANY, lambda c: set_dispatch_rules.dispatch_rules(c.ctx, c.me),
          sv.DispatchRulesView, "What is done about refusals, wishes and orders that nobody takes"),
    Route("PATCH", "/dispatch-rules", P.CAMPUS_MANAGE_SETTINGS,
          lambda c: set_dispatch_rules.set_dispatch_rules(c.ctx, c.me, c.body), sv.DispatchRulesView,
          "Change that", request=sr.SetDispatchRules, key="optional"),
    Route("PATCH", "/coupon-rules", P.CAMPUS_MANAGE_SETTINGS,
          lambda c: edit_coupon_rules.set_coupon_rules(c.ctx, c.me, c.body), kv.CouponRulesView,
          "Say what the campus gives coupons for; audited", request=kv.SetCouponRules, key="optional"),
    Route("PUT", "/assurances", P.CAMPUS_MANAGE_SETTINGS,
          lambda c: edit_coupon_rules.set_assurances(c.ctx, c.me, c.body), kv.AssurancesView,
          "Say which licences and insurances are shown beside the price; audited", request=kv.SetAssurances,
          key="optional"),
    Route("GET", "/geofences", P.ORDERS_READ_ANY,
          lambda c: manage_geofences.geofences(c.ctx, c.me, c.query.datum), gv.GeofenceList,
          "The campus's geofences and who is in them", query=qs.InDatum),
    Route("POST", "/geofences", P.CAMPUS_MANAGE_SETTINGS,
          lambda c: manage_geofences.draw_geofence(c.ctx, c.me, c.body), gv.GeofenceView,
          "Draw a geofence", request=rq.DrawGeofence, status=201, key="optional"),
    Route("GET", "/geofences/stays", P.ORDERS_READ_ANY, _stays, gv.StayPage,
          "Who was in which geofence", query=qs.ListStays),
    Route("GET", "/geofences/report", P.ORDERS_READ_ANY,
          lambda c: manage_geofences.dwell_report(c.ctx, c.me, since_ms=c.query.since, until_ms=c.query.until),
          gv.DwellReport, "How often and how long runners were in each geofence", query=qs.InTime),
    Route("PUT", "/geofences/{id}", P.CAMPUS_MANAGE_SETTINGS,
          lambda c: manage_geofences.replace_geofence(c.ctx, c.me, c.id, c.body), gv.GeofenceView,
          "Draw it anew", request=rq.ReplaceGeofence, key="optional"),
    Route("PUT", "/geofences/{id}/zone", P.CAMPUS_MANAGE_SETTINGS,
          lambda c: set_zone.set_zone(c.ctx, c.me, c.id, c.body), gv.GeofenceView,
          "Make it a zone with a way of its own, or none", request=sr.SetZone, key="optional"),
    Route("DELETE", "/geofences/{id}", P.CAMPUS_MANAGE_SETTINGS,
          lambda c: manage_geofences.delete_geofence(c.ctx, c.me, c.id, c.query.version), None,
          "Delete it", query=qs.AtVersion, key="optional"),
    Route("GET", "/audit", P.AUDIT_READ,
          lambda c: read_audit.audit(c.ctx, c.me, limit=c.query.limit, before=c.query.before), ov.AuditPage,
          "Who changed what, and why", query=qs.ListAudit),
    *MONEY_ROUTES,
    *GUARD_ROUTES,
    *WITHDRAWAL_ROUTES,
)  # fmt: skip
