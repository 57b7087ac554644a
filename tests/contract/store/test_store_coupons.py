"""Coupons in SQL: one for one incident, each with one order at a time, and forgotten long after their last day."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from dispatch.model.coupon import Coupon, CouponReason, CouponState
from dispatch.model.errors import Unavailable
from dispatch.model.money import Fen
from dispatch.store import migrate
from dispatch.store.engine import parse_url, writer_engine

S = CouponState


@pytest.fixture
async def student(books: Any) -> Any:
    return await books.member()


def coupon(books: Any, student: Any, incident: str = "ord_late", **changes: Any) -> Coupon:
    now = books.clock.now()
    made = Coupon(
        books.new_id("cou"), books.here, student.id, CouponReason.LATE, incident, Fen(100), "campus", "ord_late", now,
        now + timedelta(days=30),
    )  # fmt: skip
    return replace(made, **changes)


async def do(books: Any, fn: Any) -> Any:
    return await books.store.run(books.here, fn)


async def test_one_for_one_incident_and_each_campus_its_own(books: Any, student: Any) -> None:
    first = coupon(books, student)
    assert await do(books, lambda uow: uow.coupons.grant(first))
    assert not await do(books, lambda uow: uow.coupons.grant(coupon(books, student)))
    other = coupon(books, student, "another", reason=CouponReason.OFF_PEAK)
    assert await do(books, lambda uow: uow.coupons.grant(other))
    assert await do(books, lambda uow: uow.coupons.find(first.id)) == first
    assert await do(books, lambda uow: uow.coupons.granted_fen(CouponReason.LATE, first.granted_at)) == 100
    assert await do(books, lambda uow: uow.coupons.page(student.id, 1)) == [max(first, other, key=lambda one: one.id)]
    there = books.there
    assert await books.store.read(there, lambda uow: uow.coupons.find(first.id)) is None
    assert await books.store.read(there, lambda uow: uow.coupons.page()) == []
    assert not await books.store.run(there, lambda uow: uow.coupons.reserve(first.id, student.id, "ord_1"))


async def test_a_coupon_is_reserved_by_one_order_of_many(books: Any, student: Any) -> None:
    """Two processes, ten orders each."""
    wanted = coupon(books, student)
    await do(books, lambda uow: uow.coupons.grant(wanted))
    other = books.another_store()
    await other.start()
    try:
        tries = [
            store.run(books.here, lambda uow, n=n: uow.coupons.reserve(wanted.id, student.id, f"ord_{n}"))
            for n, store in enumerate([books.store, other] * 10)
        ]
        answers = await asyncio.gather(*tries)
    finally:
        await other.stop()
    assert answers.count(True) == 1
    found = await do(books, lambda uow: uow.coupons.find(wanted.id))
    assert (found.state, found.order_id) == (S.RESERVED, f"ord_{answers.index(True)}")


async def test_its_states_follow_one_another(books: Any, student: Any) -> None:
    made = coupon(books, student)
    await do(books, lambda uow: uow.coupons.grant(made))

    async def state() -> CouponState:
        found = await do(books, lambda uow: uow.coupons.find(made.id))
        assert isinstance(found, Coupon)
        return found.state

    for change, is_done, after in (
        (lambda uow: uow.coupons.use("ord_1"), False, S.AVAILABLE),
        (lambda uow: uow.coupons.expire(made.id), False, S.AVAILABLE),
        (lambda uow: uow.coupons.reserve(made.id, "acc_other", "ord_1"), False, S.AVAILABLE),
        (lambda uow: uow.coupons.reserve(made.id, student.id, "ord_1"), True, S.RESERVED),
        (lambda uow: uow.coupons.reserve(made.id, student.id, "ord_2"), False, S.RESERVED),
        (lambda uow: uow.coupons.withdraw("ord_late", CouponReason.LATE), False, S.RESERVED),
        (lambda uow: uow.coupons.use("ord_1"), True, S.USED),
        (lambda uow: uow.coupons.use("ord_1"), False, S.USED),
        (lambda uow: uow.coupons.give_back("ord_1"), True, S.AVAILABLE),
        (lambda uow: uow.coupons.give_back("ord_1"), False, S.AVAILABLE),
        (lambda uow: uow.coupons.withdraw("ord_late", CouponReason.OFF_PEAK), False, S.AVAILABLE),
        (lambda uow: uow.coupons.withdraw("ord_late", CouponReason.LATE), True, S.EXPIRED),
        (lambda uow: uow.coupons.reserve(made.id, student.id, "ord_3"), False, S.EXPIRED),
    ):
        assert await do(books, change) is is_done
        assert await state() is after


async def test_an_order_has_one_coupon(books: Any, student: Any) -> None:
    for number in range(2):
        made = coupon(books, student, f"incident {number}")
        await do(books, lambda uow, made=made: uow.coupons.grant(made))  # type: ignore[misc]
    first, second = await do(books, lambda uow: uow.coupons.usable(student.id))
    await do(books, lambda uow: uow.coupons.reserve(first.id, student.id, "ord_1"))
    with pytest.raises(Unavailable):
        await do(books, lambda uow: uow.coupons.reserve(second.id, student.id, "ord_1"))


async def test_the_books_forget_coupons_but_not_those_that_wait_with_an_order(books: Any, student: Any) -> None:
    kept = {}
    for state, order_id in ((S.EXPIRED, None), (S.USED, "ord_u"), (S.RESERVED, "ord_r"), (S.AVAILABLE, None)):
        made = coupon(books, student, str(state), state=state, order_id=order_id)
        kept[state] = made.id
        await do(books, lambda uow, made=made: uow.coupons.grant(made))  # type: ignore[misc]
    for days, left in ((30 + 89, 4), (30 + 91, 2), (30 + 399, 2), (30 + 401, 0)):
        when = books.clock.now() + timedelta(days=days)
        await books.store.run_global(lambda unit, when=when: unit.retention(when))  # type: ignore[misc]
        assert len(await do(books, lambda uow: uow.coupons.page())) == left, days


def test_a_populated_database_of_version_10_gets_coupons(sql_url: str, books_now: Any) -> None:
    engine = writer_engine(parse_url(sql_url), busy_ms=10_000)
    try:
        migrate.migrate(engine, books_now, target=10)
        account = (
            "INSERT INTO accounts (id, name_sealed, phone_sealed, phone_hash, key_id, language, is_blocked, created_at)"
            " VALUES ('acc_s', :b, :b, :b, 'k', 'en', :no, 1)"
        )
        with engine.begin() as connection:
            connection.execute(text(account), {"b": b"x", "no": False})
        assert 11 in migrate.migrate(engine, books_now)
        given = (
            "INSERT INTO coupons VALUES (:id, 'cmp_1', 'acc_s', 'late', :of, 100, 'campus', 'ord_1', 1, 2, :state,"
            " NULL)"
        )
        with engine.begin() as connection:
            connection.execute(text(given), {"id": "cou_1", "of": "ord_1", "state": "available"})
        # A second one for the same, and one that is used by no order.
        for refused in ({"of": "ord_1", "state": "available"}, {"of": "ord_2", "state": "used"}):
            with pytest.raises(IntegrityError), engine.begin() as connection:
                connection.execute(text(given), {"id": "cou_2", **refused})
    finally:
        engine.dispose()
