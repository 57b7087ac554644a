"""A runner carries an errand out: arrived, picked up, handed over by code or by photo."""

from __future__ import annotations

import asyncio
import hmac
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from PIL import Image, ImageOps

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model import ids
from ..model.errors import (
    InvalidInput,
    NotFound,
    PinLocked,
    Refusal,
    TooLarge,
    TooMany,
    UnsupportedMedia,
    WrongPin,
    WrongState,
)
from ..model.event import EventKind
from ..model.money import Fen
from ..model.order import Order, OrderMove, OrderStatus, next_status
from ..model.photo import Photo
from ..model.requests import Deliver, PickUp, Tap
from ..model.stop import StopRole
from ..model.task import HELD, Task, TaskMove, TaskStatus
from ..model.task import next_status as next_task_status
from ..model.views import OrderView, PhotoView
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .context import Context
from .move_credit import credit_delivery
from .order_view import ms, viewer_of
from .read_orders import read_one
from .tapped import Spot, beyond_doubt_m, locate, tapped_at, where
from .tell import tell

PIN_TRIES = 5
MAX_PHOTO_IN, MAX_PHOTO_OUT = 2_000_000, 300_000
MAX_PHOTO_PIXELS = 40_000_000
#: A kept photo is at most so many pixels wide and high.
SIDE = 1600
MAX_PHOTOS = 6


async def arrived(ctx: Context, who: Principal, order_id: str, tap: Tap) -> OrderView:
    """The runner is at the next stop; pressing it twice is harmless."""
    spot = await locate(ctx, who, tap)

    def change(uow: UnitOfWork, order: Order, task: Task, ground: CampusGround) -> None:
        if task.status in (TaskStatus.AT_PICKUP, TaskStatus.AT_DROPOFF):
            return
        role = _next_role(order, task)
        there = replace(task, status=next_task_status(task.status, TaskMove.ARRIVE), version=task.version + 1)
        touched = replace(order, version=order.version + 1)
        at = tapped_at(tap, uow.now, order.assigned_at)
        uow.tasks.save(there)
        uow.orders.save(touched)
        uow.stop_visits.confirm(order, role, who.account_id, at)
        tell(
            uow,
            EventKind.RUNNER_ARRIVED,
            touched,
            there,
            actor_id=who.account_id,
            stop_role=str(role),
            at_ms=ms(at),
            **where(order, role, spot, ground.campus.settings.credit.far_m),
        )

    return await _carry(ctx, who, order_id, change)


def _next_role(order: Order, task: Task) -> StopRole:
    if not _has_pickup(order):
        return StopRole.PLACE
    return StopRole.PICKUP if task.status is TaskStatus.ASSIGNED else StopRole.DROPOFF


def _has_pickup(order: Order) -> bool:
    return any(stop.role is StopRole.PICKUP for stop in order.stops)


async def picked_up(ctx: Context, who: Principal, order_id: str, tap: PickUp) -> OrderView:
    """The runner has it; where goods were bought, for how much by the receipt."""
    spot = await locate(ctx, who, tap)

    def change(uow: UnitOfWork, order: Order, task: Task, ground: CampusGround) -> None:
        if order.status is OrderStatus.CARRYING:
            return
        goods = _goods(order, tap)
        if not _has_pickup(order):
            raise WrongState("this errand has nothing to pick up")
        at = tapped_at(tap, uow.now, order.assigned_at)
        picked = replace(
            order,
            status=next_status(order.status, OrderMove.PICK_UP),
            version=order.version + 1,
            picked_up_at=at,
            goods_actual_fen=goods,
            goods_runner_id=None if goods is None else who.account_id,
        )
        carrying = replace(task, status=next_task_status(task.status, TaskMove.PICK_UP), version=task.version + 1)
        uow.tasks.save(carrying)
        uow.orders.save(picked)
        tell(
            uow,
            EventKind.ORDER_PICKED_UP,
            picked,
            carrying,
            actor_id=who.account_id,
            at_ms=ms(at),
            **_served(uow, order, StopRole.PICKUP, who.account_id, at),
            **where(order, StopRole.PICKUP, spot, ground.campus.settings.credit.far_m),
        )

    return await _carry(ctx, who, order_id, change)


async def delivered(ctx: Context, who: Principal, order_id: str, tap: Deliver) -> OrderView:
    """Handed over. The code proves it; five wrong ones lock the code, and a photo is asked for instead."""
    spot = await locate(ctx, who, tap)

    def change(uow: UnitOfWork, order: Order, task: Task, ground: CampusGround) -> Refusal | None:
        if order.status is not OrderStatus.ASSIGNED and order.status is not OrderStatus.CARRYING:
            return None
        if _has_pickup(order) and order.status is not OrderStatus.CARRYING:
            raise WrongState("pick it up first", status=str(order.status))
        refusal = _check_proof(uow, order, tap)
        if refusal is not None:
            return refusal
        _deliver(uow, order, task, tap, spot, who.account_id, ground)
        return None

    return await _carry(ctx, who, order_id, change)


def _check_proof(uow: UnitOfWork, order: Order, tap: Deliver) -> Refusal | None:
    """None when the hand-over is proved. A wrong code is returned, not raised: the try must stay counted."""
    if tap.photo_id is not None:
        if tap.photo_id not in uow.photos.of_order(order.id):
            raise InvalidInput("no such photo of this order", field="photo_id")
        return None
    if tap.pin is None:
        raise InvalidInput("give the student's code or a photo", field="pin")
    if order.pin_tries >= PIN_TRIES:
        return PinLocked(field="pin")
    if hmac.compare_digest(tap.pin, order.pin):
        return None
    tries = order.pin_tries + 1
    uow.orders.save(replace(order, version=order.version + 1, pin_tries=tries))
    return WrongPin(field="pin", tries_left=PIN_TRIES - tries)


def _deliver(
    uow: UnitOfWork, order: Order, task: Task, tap: Deliver, spot: Spot | None, runner_id: str, ground: CampusGround
) -> None:
    at = tapped_at(tap, uow.now, order.picked_up_at or order.assigned_at)
    done = replace(
        order, status=next_status(order.status, OrderMove.DELIVER), version=order.version + 1, delivered_at=at
    )
    finished = replace(task, status=next_task_status(task.status, TaskMove.DELIVER), version=task.version + 1)
    uow.tasks.save(finished)
    uow.orders.save(done)
    uow.jobs.cancel("check_late", order.id)
    uow.jobs.schedule(
        "auto_confirm", order.id, uow.now + timedelta(seconds=ground.campus.settings.auto_confirm_after_s)
    )
    role = order.stops[-1].role if order.stops else StopRole.PLACE
    place = where(order, role, spot, ground.campus.settings.credit.far_m)
    tell(
        uow,
        EventKind.ORDER_DELIVERED,
        done,
        finished,
        actor_id=runner_id,
        at_ms=ms(at),
        proof="photo" if tap.photo_id else "pin",
        is_late=at > order.promised_at,
        **_served(uow, order, role, runner_id, at),
        **place,
    )
    # The right code proves the hand-over, wherever the phone believes to be; a photo does not.
    far_m = beyond_doubt_m(place) if tap.photo_id else None
    credit_delivery(uow, done, runner_id, ground.campus.settings, distance_m=far_m)


def _served(uow: UnitOfWork, order: Order, role: StopRole, runner_id: str, at: datetime) -> dict[str, Any]:
    """The visit of this stop ends; how many seconds it took, where its beginning is known."""
    if all(stop.role is not role for stop in order.stops):
        return {}
    took_s = uow.stop_visits.finish(order, role, runner_id, at).service_s
    return {} if took_s is None else {"service_s": round(took_s)}


async def add_photo(ctx: Context, who: Principal, order_id: str, content_type: str, body: bytes) -> PhotoView:
    """Keep a photo of the hand-over: re-encoded, without whatever else the file carried."""
    if content_type.split(";")[0].strip() not in ("image/jpeg", "image/png", "image/webp"):
        raise UnsupportedMedia("send a JPEG, PNG or WebP image")
    if len(body) > MAX_PHOTO_IN:
        raise TooLarge(limit_bytes=MAX_PHOTO_IN)
    await ctx.store.read(who.campus_id, lambda uow: _carried(uow, order_id, who))
    jpeg, width, height = await asyncio.to_thread(reencode, body)

    def change(uow: UnitOfWork) -> PhotoView:
        order, _ = _carried(uow, order_id, who)
        if len(uow.photos.of_order(order.id)) >= MAX_PHOTOS:
            raise TooMany("this order has enough photos", limit=MAX_PHOTOS)
        photo = Photo(
            id=uow.new_id(ids.PHOTO),
            campus_id=uow.campus_id,
            order_id=order.id,
            runner_id=who.account_id,
            taken_at=uow.now,
            jpeg=jpeg,
            width=width,
            height=height,
        )
        uow.photos.insert(photo)
        return PhotoView(id=photo.id, bytes=len(jpeg), width=width, height=height)

    return await ctx.store.run(who.campus_id, change)


async def photo(ctx: Context, who: Principal, photo_id: str) -> bytes:
    """The JPEG, for the order's parties and operators only."""

    def read(uow: UnitOfWork) -> bytes:
        found = uow.photos.get(photo_id)
        viewer_of(uow.orders.get(found.order_id), who)
        return found.jpeg

    return await ctx.store.read(who.campus_id, read)


def reencode(body: bytes) -> tuple[bytes, int, int]:
    """A JPEG of at most 300 kB without metadata; raises :class:`UnsupportedMedia` for what is no image."""
    try:
        with Image.open(io.BytesIO(body), formats=("JPEG", "PNG", "WEBP")) as opened:
            if opened.width * opened.height > MAX_PHOTO_PIXELS:
                raise TooLarge("the photo has too many pixels", limit_pixels=MAX_PHOTO_PIXELS)
            # A JPEG is decoded at about the size that is kept; a photo of 40 million pixels costs no 120 MB.
            opened.draft("RGB", (SIDE, SIDE))
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnsupportedMedia("this is no image that can be read") from error
    # Comments and profiles would be written out again.
    picture.info.clear()
    for side, quality in ((SIDE, 82), (1280, 75), (1024, 65), (800, 55), (640, 40)):
        picture.thumbnail((side, side))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= MAX_PHOTO_OUT:
            return out.getvalue(), picture.width, picture.height
    raise TooLarge("the photo cannot be made small enough", limit_bytes=MAX_PHOTO_OUT)


def _goods(order: Order, tap: PickUp) -> Fen | None:
    if not order.quote.goods_cap_fen:
        if tap.goods_actual_fen:
            raise InvalidInput("this errand buys no goods", field="goods_actual_fen")
        return None
    if tap.goods_actual_fen is None:
        raise InvalidInput("say what the receipt says", field="goods_actual_fen")
    if tap.goods_actual_fen > order.quote.goods_cap_fen:
        raise InvalidInput(
            "more than the student agreed to", field="goods_actual_fen", cap_fen=order.quote.goods_cap_fen
        )
    return Fen(tap.goods_actual_fen)


def _carried(uow: UnitOfWork, order_id: str, who: Principal) -> tuple[Order, Task]:
    who.require(Permission.TASKS_CARRY)
    order, task = uow.orders.get(order_id), uow.tasks.by_order(order_id)
    if task is None or order.runner_id != who.account_id:
        raise NotFound("this order is not yours to carry", id=order_id)
    return order, task


Change = Callable[[UnitOfWork, Order, Task, CampusGround], Refusal | None]


async def _carry(ctx: Context, who: Principal, order_id: str, change: Change) -> OrderView:
    """Run one step of carrying; what ``change`` returns is raised after its commit."""
    ground = await ctx.grounds.get(who.campus_id)

    def step(uow: UnitOfWork) -> OrderView | Refusal:
        order, task = _carried(uow, order_id, who)
        if task.status not in HELD and task.status is not TaskStatus.DONE:
            raise WrongState(f"a task that is {task.status} is not being carried", status=str(task.status))
        refusal = change(uow, order, task, ground)
        return refusal or read_one(uow, order_id, who, ground, ctx.options.undo_ttl).view

    answer = await ctx.store.run(who.campus_id, step)
    ctx.announce()
    if isinstance(answer, Refusal):
        raise answer
    return answer
