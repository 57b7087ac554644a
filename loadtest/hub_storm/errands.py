"""Orders that live while the storm rages: placed, paid, given to runners, handed on, carried out, over the real API."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from geo.point import Point

from ..actors.student import Place, draw_errand
from .accounts import Member

PAID_S = 40.0
_LOOK_S = 0.1
#: What is picked up and handed over, and needs no receipt.
_PLAIN = ("parcel", "carry")
_OVER = ("delivered", "confirmed", "settled", "closed", "cancelled")


@dataclass(slots=True)
class Errand:
    """One order: its student, and what is known of it here."""

    student: Member
    order_id: str
    version: int = 0
    status: str = ""
    runner_id: str = ""
    pin: str = ""

    def learn(self, view: dict[str, Any]) -> None:
        self.version, self.status = int(view["version"]), str(view["status"])
        self.runner_id = str((view.get("runner") or {}).get("id", ""))
        self.pin = str(view.get("pin") or self.pin)


@dataclass(slots=True)
class Bustle:
    """The source of events: handing orders on at a steady rate, and whole lives of orders beside it."""

    operators: Sequence[Member]
    runners: dict[str, Member]
    places: list[dict[str, Any]]
    luck: Random
    errands: list[Errand] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    # --- making orders

    async def place(self, student: Member) -> Errand:
        """An order that is paid for; raises TimeoutError when that does not come true in time."""
        places = tuple(Place(p["id"], Point(p["lat"], p["lon"])) for p in self.places)
        until_s = time.monotonic() + PAID_S
        errand: Errand | None = None
        while time.monotonic() < until_s:
            errand = await self._ordered(student, places)
            if errand is not None:
                break
            await asyncio.sleep(_LOOK_S * 5)
        if errand is None:
            raise TimeoutError("no order could be placed")
        has_paid = False
        while time.monotonic() < until_s:
            view = await self._look(errand, student)
            if view is not None and errand.status != "awaiting_payment":
                return errand
            token = ((view or {}).get("payment") or {}).get("credential") or {}
            if token.get("token") and not has_paid:
                paid = await student.call("pay", "POST", "/sandbox/pay", {"token": token["token"], "outcome": "ok"})
                has_paid = paid.is_ok
            await asyncio.sleep(_LOOK_S)
        raise TimeoutError(f"order {errand.order_id} was not paid for within {PAID_S:.0f} s")

    async def _ordered(self, student: Member, places: tuple[Place, ...]) -> Errand | None:
        draft = draw_errand(places, self.luck)
        while draft["type_code"] not in _PLAIN:
            draft = draw_errand(places, self.luck)
        quote = await student.call("quote", "POST", "/quotes", draft)
        if not quote.is_ok:
            return None
        body = {
            **draft, "description": "Fetch my parcel, please", "expected_total_fen": quote.body["total_fen"],
            "channel": "sandbox",
        }  # fmt: skip
        key = f"{student.id}-{self.luck.getrandbits(60):x}"
        placed = await student.call("place", "POST", "/orders", body, key=key)
        if placed.status == 0:  # unknown: the same key asks again for the same order
            placed = await student.call("place", "POST", "/orders", body, key=key)
        if not placed.is_ok:
            self.done[f"place {placed.status} {placed.code}"] += 1
            return None
        errand = Errand(student, str(placed.body["id"]))
        errand.learn(placed.body)
        return errand

    async def give(self, errand: Errand, runner_id: str) -> bool:
        """An operator puts the order onto this runner."""
        operator = self.luck.choice(self.operators)
        body = {"runner_id": runner_id, "version": errand.version, "reason": "other", "note": ""}
        answer = await operator.call("reassign", "POST", f"/orders/{errand.order_id}/reassign", body)
        if answer.is_ok:
            errand.learn(answer.body)
            self.done["given"] += 1
            return True
        self.done[f"give {answer.status} {answer.code}".strip()] += 1
        await self._look(errand, operator)
        return False

    async def make(self, student: Member, runner_id: str, at_once: asyncio.Semaphore) -> Errand:
        """An order that this runner has."""
        async with at_once:
            errand = await self.place(student)
            until_s = time.monotonic() + PAID_S
            while errand.runner_id != runner_id and not await self.give(errand, runner_id):
                if time.monotonic() > until_s:
                    raise TimeoutError(f"order {errand.order_id} could not be given to a runner: {dict(self.done)}")
                await asyncio.sleep(_LOOK_S)
            self.errands.append(errand)
            return errand

    async def _look(self, errand: Errand, who: Member) -> dict[str, Any] | None:
        answer = await who.call("look", "GET", f"/orders/{errand.order_id}")
        if not answer.is_ok:
            return None
        errand.learn(answer.body)
        view: dict[str, Any] = answer.body
        return view

    # --- what goes on

    def begin(self, per_s: float, livers: Sequence[Member], on_new: Callable[[Errand], None]) -> None:
        """Hand orders on ``per_s`` times a second; each of ``livers`` orders, receives and orders again."""
        self._tasks.append(asyncio.create_task(self._hand_on(per_s)))
        self._tasks += [asyncio.create_task(self._live(student, on_new)) for student in livers]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for fault in ended:
            if isinstance(fault, Exception):
                self.done[f"stumbled: {type(fault).__name__} {fault}"] += 1

    async def _hand_on(self, per_s: float) -> None:
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                await asyncio.sleep(self.luck.uniform(0.5, 1.5) / per_s)
                if len(under_way) < 8:
                    task = asyncio.create_task(self._hand_one_on())
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _hand_one_on(self) -> None:
        errand = self.luck.choice(self.errands)
        if self.luck.random() < 0.15 and errand.runner_id in self.runners:
            await self._tap(errand, "arrived")
            return
        await self.give(errand, self.luck.choice([one for one in self.runners if one != errand.runner_id]))

    async def _tap(self, errand: Errand, what: str, body: dict[str, Any] | None = None) -> bool:
        runner = self.runners[errand.runner_id]
        answer = await runner.call(what, "POST", f"/orders/{errand.order_id}/{what}", body or {})
        self.done[what if answer.is_ok else f"{what} {answer.status} {answer.code}".strip()] += 1
        if answer.is_ok:
            errand.learn(answer.body)
        return answer.is_ok

    async def _live(self, student: Member, on_new: Callable[[Errand], None]) -> None:
        """Order after order, each to its end, whatever happens to the server meanwhile."""
        while True:
            try:
                errand = await self.place(student)
            except TimeoutError:
                self.done["a life could not begin"] += 1
                continue
            on_new(errand)
            while errand.status not in _OVER:
                await asyncio.sleep(self.luck.uniform(0.2, 0.6))
                if await self._look(errand, student) is not None:
                    await self._next(errand)
            if errand.status == "delivered":
                await student.call("confirm", "POST", f"/orders/{errand.order_id}/confirm", {})
                await student.call("rate", "POST", f"/orders/{errand.order_id}/rating", {"stars": 5})
                self.done["lives"] += 1

    async def _next(self, errand: Errand) -> None:
        """The next thing that happens to an order."""
        if errand.status == "open":
            await self.give(errand, self.luck.choice(list(self.runners)))
        elif errand.runner_id in self.runners:
            is_carried = errand.status == "carrying"
            await self._tap(errand, *(("delivered", {"pin": errand.pin}) if is_carried else ("picked-up", {})))
