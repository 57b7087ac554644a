"""Audit, idempotency keys, photos, alerts, retention, checks and key rotation in SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dispatch.model.alert import Alert
from dispatch.model.audit import AuditEntry
from dispatch.model.decision import Decision
from dispatch.model.errors import KeyReused, NotFound
from dispatch.model.money import Fen
from dispatch.model.offer import OfferStatus
from dispatch.model.order import OrderStatus
from dispatch.model.photo import Photo
from dispatch.model.session import Session
from dispatch.model.task import TaskStatus
from dispatch.store.vault import SealBroken, Vault


def make_photo(books: Any, order_id: str) -> Photo:
    return Photo(books.new_id("pho"), books.here, order_id, "acc_r", books.clock.now(), b"\xff\xd8\x00\xff", 1024, 768)


async def test_the_audit_log_tells_before_and_after(books: Any) -> None:
    made = []
    for n in range(3):
        made.append(
            await books.store.run(
                books.here,
                lambda uow, n=n: uow.audit.add("acc_o", "order.reassign", f"ord_{n % 2}", "太晚", {"n": n}, None),
            )
        )
    page = await books.store.read(books.here, lambda uow: uow.audit.page())
    now = books.clock.now()
    assert page[0] == AuditEntry(made[2], books.here, now, "acc_o", "order.reassign", "ord_0", "太晚", {"n": 2}, None)
    assert [entry.id for entry in page] == made[::-1]
    older = await books.store.read(books.here, lambda uow: uow.audit.page(limit=1, before=made[2]))
    assert [entry.id for entry in older] == [made[1]]


async def test_an_idempotency_key_gives_the_first_answer_again(books: Any) -> None:
    run = books.store.run

    async def stored(account: str, key: str, request_hash: bytes | str) -> bytes | None:
        answer: bytes | None = await run(books.here, lambda uow: uow.idempotency.stored(account, key, request_hash))
        return answer

    async def store(account: str, key: str, request_hash: bytes | str, answer: bytes) -> None:
        await run(books.here, lambda uow: uow.idempotency.store(account, key, request_hash, answer))

    assert await stored("acc_1", "key", b"h1") is None
    await store("acc_1", "key", b"h1", b"first")
    await store("acc_1", "key", b"h1", b"second")
    assert await stored("acc_1", "key", b"h1") == b"first"
    assert await stored("acc_1", "key", "h1") == b"first", "a hash may be text"
    assert await stored("acc_2", "key", b"h2") is None, "never another account's"
    for refused in (stored("acc_1", "key", b"h2"), store("acc_1", "key", b"h2", b"x")):
        with pytest.raises(KeyReused):
            await refused
    books.clock.advance(24 * 3600)
    assert await stored("acc_1", "key", b"h2") is None
    await store("acc_1", "key", b"h2", b"new")
    assert await stored("acc_1", "key", b"h2") == b"new"


async def test_a_kept_answer_is_sealed_into_its_row(books: Any) -> None:
    answer = "7号楼 302室".encode() + b"\xff\x00"

    def keep(uow: Any) -> None:
        for key in ("one", "two"):
            uow.idempotency.store("acc_1", key, b"h", answer)

    await books.store.run(books.here, keep)
    raw = await _columns(books, "SELECT answer FROM idempotency")
    assert len(raw) == 2 and all(b"302" not in bytes(sealed) for sealed in raw)
    await _execute(
        books,
        "UPDATE idempotency SET answer = (SELECT answer FROM idempotency WHERE key = 'one') WHERE key = 'two'",
    )
    assert await books.store.read(books.here, lambda uow: uow.idempotency.stored("acc_1", "one", b"h")) == answer
    with pytest.raises(SealBroken):
        await books.store.read(books.here, lambda uow: uow.idempotency.stored("acc_1", "two", b"h"))


async def test_an_answer_kept_in_clear_by_an_earlier_version_is_still_given(books: Any) -> None:
    await books.store.run(books.here, lambda uow: uow.idempotency.store("acc_1", "key", b"h", b"x"))
    await _execute(books, "UPDATE idempotency SET key_id = NULL, answer = request_hash")
    assert await books.store.read(books.here, lambda uow: uow.idempotency.stored("acc_1", "key", b"h")) == b"h"
    assert await books.store.run_global(lambda unit: unit.resealing.step()) == 0


async def _columns(books: Any, sql: str) -> list[Any]:
    def read(unit: Any) -> list[Any]:
        return [row[0] for row in unit._scope.connection.exec_driver_sql(sql)]

    found: list[Any] = await books.store.read_global(read)
    return found


async def _execute(books: Any, sql: str) -> None:
    await books.store.run_global(lambda unit: unit._scope.connection.exec_driver_sql(sql))


async def test_photos_lie_with_their_order(books: Any) -> None:
    order = await books.order()
    photos = [make_photo(books, order.id) for _ in range(2)]
    for photo in photos:
        await books.store.run(books.here, lambda uow, photo=photo: uow.photos.insert(photo))
    assert await books.store.read(books.here, lambda uow: uow.photos.get(photos[0].id)) == photos[0]
    assert await books.store.read(books.here, lambda uow: uow.photos.of_order(order.id)) == [p.id for p in photos]
    assert await books.store.read(books.here, lambda uow: uow.photos.of_order("ord_x")) == []
    of_all = await books.store.read(books.here, lambda uow: uow.photos.of_orders([order.id, "ord_x"]))
    assert of_all == {order.id: [p.id for p in photos]}
    with pytest.raises(NotFound):
        await books.store.read(books.here, lambda uow: uow.photos.get("pho_x"))


async def test_an_alert_is_raised_once_and_seen_once(books: Any) -> None:
    run = books.store.run
    raised = [
        await run(books.here, lambda uow, s=subject: uow.alerts.raise_once("late", s, "晚了", "late"))
        for subject in ("ord_1", "ord_1", "ord_2")
    ]
    assert raised == [True, False, True]
    second, first = await run(books.here, lambda uow: uow.alerts.open_alerts())
    assert first == Alert(first.id, books.here, "late", "ord_1", books.clock.now(), "晚了", "late")
    assert second.order_id == "ord_2" and not second.is_acknowledged
    seen = await run(books.here, lambda uow: uow.alerts.acknowledge(first.id, "acc_o"))
    assert seen == replace(first, acknowledged_at=books.clock.now(), acknowledged_by="acc_o")
    books.clock.advance(5)
    assert await run(books.here, lambda uow: uow.alerts.acknowledge(first.id, "acc_p")) == seen, "who was first stays"
    assert await run(books.here, lambda uow: uow.alerts.open_alerts(1)) == [second]
    assert await run(books.here, lambda uow: uow.alerts.raise_once("late", "ord_1", "晚了", "late")) is False
    with pytest.raises(NotFound):
        await run(books.here, lambda uow: uow.alerts.acknowledge("alr_x", "acc_o"))


async def test_retention_forgets_what_is_old_and_keeps_the_timeline(books: Any) -> None:
    order = await books.order()
    account = await books.member()
    now = books.clock.now()
    session = Session(books.new_id("ses"), account.id, books.here, b"h", now, now + timedelta(days=30))
    decision = Decision(books.new_id("dec"), books.here, "tsk_1", order.id, now, "grab", None, None, 0)
    event = books.make_event(order.id)

    def fill(unit: Any) -> None:
        uow = unit.at(books.here)
        uow.photos.insert(make_photo(books, order.id))
        uow.idempotency.store(account.id, "key", b"h", b"answer")
        uow.decisions.insert(decision)
        uow.outbox.add(event)
        uow.commands.add("cmd_1", order.id, "Settle", b"")
        uow.commands.add("cmd_2", order.id, "Settle", b"")
        unit.commands.mark_sent(["cmd_1"])
        unit.outbox.mark_published([event.id])
        unit.sessions.insert(session)
        unit.codes.put("138", books.here, b"c", now + timedelta(minutes=5))
        unit.links.put(b"l", account.id, books.here, now + timedelta(minutes=5))
        unit.lockouts.fail("138")

    await books.store.run_global(fill)
    nothing = await books.store.run_global(lambda unit: unit.retention())
    assert set(nothing.values()) == {0}
    in_two_days = now + timedelta(days=2)
    counts = await books.store.run_global(lambda unit: unit.retention(in_two_days))
    assert {name for name, count in counts.items() if count} == {"idempotency", "sign_in_codes", "links", "lockouts"}
    books.clock.advance(40 * 86_400)
    counts = await books.store.run_global(lambda unit: unit.retention())
    assert {name: count for name, count in counts.items() if count} == {
        "photos": 1, "decisions": 1, "commands": 1, "sessions": 1,
    }  # fmt: skip
    assert await books.store.read(books.here, lambda uow: uow.outbox.timeline(order.id)) == [event]
    assert await books.store.read_global(lambda unit: unit.commands.unsent()) == [("cmd_2", "Settle", b"")]


async def test_checks_name_what_is_wrong(books: Any) -> None:
    S, T = OrderStatus, TaskStatus
    sound = await books.order(status=S.ASSIGNED, runner_id="acc_1")
    await books.task(sound, status=T.ASSIGNED)
    await books.task(await books.order())
    await books.order(status=S.SETTLED, held_fen=Fen(10), captured_fen=Fen(7), released_fen=Fen(3))
    assert await books.store.read_global(lambda unit: unit.checks.violations()) == {}
    lost = await books.order(status=S.CLOSED, held_fen=Fen(10), released_fen=Fen(9))
    alone = await books.order(status=S.CARRYING, runner_id="acc_1")
    waiting = await books.order()
    ended = await books.order(status=S.CANCELLED)
    await books.task(ended, status=T.CARRYING, runner_id="acc_2")
    asked = await books.task(await books.order(status=S.DELIVERED), status=T.DONE)
    offer = await books.offer(asked, "acc_3")
    await books.offer(asked, "acc_3", status=OfferStatus.DECLINED)
    foreign = await books.order(status=S.DELIVERED)
    await books.task(replace(foreign, campus_id=books.there), status=T.DONE)
    found = await books.store.read_global(lambda unit: unit.checks.violations())
    assert found == {
        "ended_order_unbalanced": [lost.id],
        "live_order_without_its_runner": [alone.id],
        "open_order_without_open_task": [waiting.id],
        "task_carried_for_no_live_order": [ended.id],
        "task_of_another_campus": [foreign.id],
        "offer_pending_for_taken_task": [offer.id],
        "task_offered_twice_to_a_runner": [asked.id],
    }
    counts = await books.store.read_global(lambda unit: unit.checks.orders_by_status())
    assert counts["open"] == 2 and counts["settled"] == 1


async def test_rotation_seals_everything_anew_and_the_old_key_can_go(books: Any) -> None:
    accounts = [await books.member(name=f"人{n}") for n in range(5)]
    orders = [await books.order(student_id=account.id) for account in accounts]
    bare = await books.order(stops=())
    await books.store.run(books.here, lambda uow: uow.idempotency.store("acc_1", "key", b"h", b"answer"))
    lookup = b"look-up-key-of-32-bytes-at-least"
    both = books.another_store(Vault({"k1": b"1" * 32, "k2": b"2" * 32}, "k2", lookup))
    await both.start()
    assert [await both.run_global(lambda unit: unit.resealing.step(3)) for _ in range(3)] == [7, 4, 0]
    await both.stop()
    only_new = books.another_store(Vault({"k2": b"2" * 32}, "k2", lookup))
    await only_new.start()
    for account, order in zip(accounts, orders, strict=True):
        assert await only_new.read(books.here, lambda uow, a=account: uow.accounts.get(a.id)) == account
        assert await only_new.read(books.here, lambda uow, o=order: uow.orders.get(o.id)) == order
    assert await only_new.read(books.here, lambda uow: uow.orders.get(bare.id)) == bare
    assert await only_new.read(books.here, lambda uow: uow.idempotency.stored("acc_1", "key", b"h")) == b"answer"
    await only_new.stop()
    with pytest.raises(SealBroken):
        await books.store.read(books.here, lambda uow: uow.accounts.get(accounts[0].id))


async def test_a_sealed_value_moved_to_another_row_does_not_open(books: Any) -> None:
    one, two = await books.member(), await books.member()

    def swap(unit: Any) -> None:
        unit._scope.connection.exec_driver_sql(
            f"UPDATE accounts SET phone_sealed = (SELECT phone_sealed FROM accounts WHERE id = '{one.id}') "
            f"WHERE id = '{two.id}'"
        )

    await books.store.run_global(swap)
    with pytest.raises(SealBroken):
        await books.store.read(books.here, lambda uow: uow.accounts.get(two.id))
