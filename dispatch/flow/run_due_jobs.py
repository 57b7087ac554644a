"""Work that falls due: an offer's deadline, an unpaid order, a late one, the silent confirmation, the settlement.

Each handler looks again whether its work is still to be done and ends its own job in the same transaction, so that
being called twice, or killed anywhere, does it once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from ..model.errors import Refusal
from ..model.job import Job
from ..model.money import Fen
from ..model.offer import OfferStatus, is_expired
from ..model.order import LIVE, OrderStatus
from ..store.unit_of_work import UnitOfWork
from .answer_offer import give_back
from .campus_ground import CampusGround
from .cancel_order import cancel_in
from .confirm_order import confirm_in
from .context import Context
from .escalate import END_PIN, ESCALATE, end_pin, escalate
from .grant_coupons import EXPIRE_COUPON, LATE_COUPON, late_coupon, watch_lateness
from .move_credit import FADE, credit_answer, fade_credit
from .raise_alert import raise_alert
from .settle_order import command_settlement
from .tell_delay import tell_broken_promise
from .use_coupons import expire_coupon

log = logging.getLogger(__name__)

BATCH, LEASE_S = 50, 60.0
#: Business seconds between tries of a job that failed; after the last a person is told.
RETRY_S = (5, 15, 60, 300, 900)

Handler = Callable[[UnitOfWork, str, CampusGround], None]


def expire_offer(uow: UnitOfWork, offer_id: str, ground: CampusGround) -> None:
    """Nobody answered in time: the task goes to somebody else."""
    offer = uow.offers.get(offer_id)
    if offer.status is not OfferStatus.PENDING:
        return
    if is_expired(offer, uow.now):
        give_back(uow, offer, OfferStatus.EXPIRED)
        credit_answer(uow, offer, OfferStatus.EXPIRED, ground.campus.settings)
    else:
        # The clock of whoever leased the job is ahead of ours.
        uow.jobs.schedule("expire_offer", offer.id, offer.expires_at)


def expire_unpaid(uow: UnitOfWork, order_id: str, ground: CampusGround) -> None:
    """Nobody paid in time: the order ends; money that comes later anyway is given back."""
    order = uow.orders.get(order_id)
    if order.status is OrderStatus.AWAITING_PAYMENT:
        cancel_in(uow, order, ground, charge_fen=Fen(0), reason="unpaid", actor_id=None)


def check_late(uow: UnitOfWork, order_id: str, ground: CampusGround) -> None:
    """The promise was not kept: the campus team hears of it, and both sides unless they knew it before."""
    order = uow.orders.get(order_id)
    if order.status in LIVE or order.status is OrderStatus.OPEN:
        code = order.id[-6:]
        text_zh, text_en = f"订单 {code} 已超过承诺时间", f"Order {code} is past its promise"
        if raise_alert(uow, "order_late", order.id, text_zh, text_en, order):
            tell_broken_promise(uow, order, ground)
        watch_lateness(uow, order, ground.campus.settings)


def auto_confirm(uow: UnitOfWork, order_id: str, ground: CampusGround) -> None:
    """A day passed without a complaint: it counts as received."""
    order = uow.orders.get(order_id)
    if order.status is OrderStatus.DELIVERED:
        confirm_in(uow, order, ground, actor_id=None)


def settle(uow: UnitOfWork, order_id: str, ground: CampusGround) -> None:
    """The waiting time is over: divide the money."""
    command_settlement(uow, uow.orders.get(order_id), ground)


def fade(uow: UnitOfWork, account_id: str, ground: CampusGround) -> None:
    """Nothing moved this runner's credit for a while."""
    fade_credit(uow, account_id, ground.campus.settings)


HANDLERS: dict[str, Handler] = {
    "expire_offer": expire_offer,
    "expire_unpaid": expire_unpaid,
    "check_late": check_late,
    "auto_confirm": auto_confirm,
    "settle": settle,
    FADE: fade,
    ESCALATE: escalate,
    END_PIN: end_pin,
    LATE_COUPON: late_coupon,
    EXPIRE_COUPON: expire_coupon,
}


async def run_due_jobs(ctx: Context, holder: str) -> int:
    """Lease what is due and do it; how many jobs were looked at."""
    now = ctx.clock.now()
    # A lease is a bound in real time, whatever the rate of business time.
    lease_s = LEASE_S * ctx.clock.rate
    jobs = await ctx.store.run_global(lambda unit: unit.jobs.lease_due(now, BATCH, lease_s, holder))
    for job in jobs:
        try:
            await _run(ctx, job)
        except Refusal as refused:
            await _again(ctx, job, str(refused))
        except Exception:
            log.exception("job %s of %s failed", job.kind, job.subject_id)
            await _again(ctx, job, "failed")
    if jobs:
        ctx.announce()
    return len(jobs)


async def _run(ctx: Context, job: Job) -> None:
    ground = await ctx.grounds.get(job.campus_id)
    handler = HANDLERS[job.kind]

    def work(uow: UnitOfWork) -> None:
        # First, so that a handler may schedule its own kind again.
        uow.jobs.cancel(job.kind, job.subject_id)
        handler(uow, job.subject_id, ground)

    await ctx.store.run(job.campus_id, work)


async def _again(ctx: Context, job: Job, problem: str) -> None:
    """Try again later; after the last try leave an alert and look once an hour."""
    is_last = job.tries > len(RETRY_S)
    pause_s = 3600 if is_last else RETRY_S[job.tries - 1]
    due_at = ctx.clock.now() + timedelta(seconds=pause_s)
    await ctx.store.run_global(lambda unit: unit.jobs.retry(job, due_at))
    if is_last:
        text_zh, text_en = f"任务 {job.kind} 一直失败:{problem}", f"Job {job.kind} keeps failing: {problem}"
        await ctx.store.run(
            job.campus_id, lambda uow: raise_alert(uow, f"job_{job.kind}", job.subject_id, text_zh, text_en)
        )
