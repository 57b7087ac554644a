"""Accounts, memberships, sessions, codes, links, lockouts and campuses in SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta
from typing import Any

import pytest

from dispatch.model.account import Membership, Role, RunnerStatus
from dispatch.model.campus import AssignMode
from dispatch.model.errors import InvalidInput, NotFound, StaleVersion
from dispatch.model.session import Link, Session
from dispatch.store.sessions import CODE_TRIES


async def test_an_account_comes_back_and_is_found_by_its_phone(books: Any) -> None:
    account = await books.member(phone="13812345678", name="欧阳")
    assert await books.store.read(books.here, lambda uow: uow.accounts.get(account.id)) == account
    assert await books.store.read_global(lambda unit: unit.accounts.get(account.id)) == account
    assert await books.store.read_global(lambda unit: unit.accounts.by_phone("13812345678")) == account
    assert await books.store.read_global(lambda unit: unit.accounts.by_phone("13812345679")) is None
    changed = replace(account, phone="13900000000", name="Ouyang", is_blocked=True, password_hash="$argon2id$…")
    await books.store.run_global(lambda unit: unit.accounts.save(changed))
    assert await books.store.read_global(lambda unit: unit.accounts.by_phone("13900000000")) == changed
    assert await books.store.read_global(lambda unit: unit.accounts.by_phone("13812345678")) is None


async def test_name_and_phone_are_not_readable_in_the_table(books: Any) -> None:
    account = await books.member(phone="13812345678", name="欧阳")

    def raw(unit: Any) -> str:
        row = unit._scope.connection.exec_driver_sql("SELECT * FROM accounts").one()
        return str([bytes(value) if isinstance(value, memoryview) else value for value in row])

    row = await books.store.read_global(raw)
    assert account.id in row
    assert "13812345678" not in row and "欧阳" not in row and str("欧阳".encode())[2:-1] not in row


async def test_a_phone_has_one_account(books: Any) -> None:
    first, second = await books.member(phone="13812345678"), await books.member()
    with pytest.raises(InvalidInput) as refused:
        await books.member(phone="13812345678")
    assert refused.value.field == "phone"
    with pytest.raises(InvalidInput):
        await books.store.run_global(lambda unit: unit.accounts.save(replace(second, phone=first.phone)))
    with pytest.raises(NotFound):
        await books.store.run_global(lambda unit: unit.accounts.save(replace(first, id="acc_x", phone="1")))
    with pytest.raises(NotFound):
        await books.store.read_global(lambda unit: unit.accounts.get("acc_x"))


async def test_memberships_are_per_campus(books: Any) -> None:
    account = await books.member(None, Role.STUDENT)
    there = Membership(account.id, books.there, frozenset({Role.OPERATOR, Role.ADMIN}), credit=99, vehicle="e_bike")
    await books.store.run(books.there, lambda uow: uow.memberships.insert(there))
    with pytest.raises(InvalidInput):
        await books.store.run(books.there, lambda uow: uow.memberships.insert(there))
    with pytest.raises(InvalidInput):
        await books.store.run(books.there, lambda uow: uow.memberships.insert(replace(there, account_id="acc_none")))
    here = await books.store.read(books.here, lambda uow: uow.memberships.get(account.id))
    assert here == Membership(account.id, books.here, frozenset({Role.STUDENT}))
    assert await books.store.read_global(lambda unit: unit.memberships_of(account.id)) == [here, there]
    on_duty = replace(here, is_on_duty=True, runner_status=RunnerStatus.APPROVED)
    # What was read before the credit moved does not move it back.
    await books.store.run(books.here, lambda uow: uow.memberships.save(replace(on_duty, credit=70, credit_lines=9)))
    assert await books.store.read(books.here, lambda uow: uow.memberships.get(account.id)) == on_duty
    assert await books.store.read(books.there, lambda uow: uow.memberships.get(account.id)) == there
    with pytest.raises(NotFound):
        await books.store.run(books.here, lambda uow: uow.memberships.save(replace(here, account_id="acc_x")))
    with pytest.raises(NotFound):
        await books.store.read(books.here, lambda uow: uow.memberships.get("acc_x"))


async def test_runners_are_the_approved_ones(books: Any) -> None:
    approved = RunnerStatus.APPROVED
    await books.member(None, Role.RUNNER, status=RunnerStatus.APPLIED)
    resting = await books.member(None, Role.RUNNER, status=approved)
    working = await books.member(None, Role.RUNNER, status=approved, on_duty=True)
    runners = await books.store.read(books.here, lambda uow: uow.memberships.runners())
    assert [account for _, account in runners] == [resting, working]
    on_duty = await books.store.read(books.here, lambda uow: uow.memberships.runners(on_duty_only=True))
    assert [(member.account_id, account) for member, account in on_duty] == [(working.id, working)]


async def test_members_are_found_by_role_name_phone_and_id(books: Any) -> None:
    ann = await books.member(None, Role.STUDENT, Role.RUNNER, name="Ann Lee", phone="13811111111")
    bob = await books.member(None, Role.STUDENT, name="李Bob", phone="+8613822222222")
    await books.member(books.there, Role.RUNNER, name="Ann There", phone="13833333333")

    async def found(**asked: Any) -> list[Any]:
        pairs = await books.store.read(books.here, lambda uow: uow.memberships.page(**asked))
        return [account for _, account in pairs]

    assert await found() == [bob, ann]
    assert await found(limit=1) == [bob] and await found(before=bob.id) == [ann]
    assert await found(role=Role.RUNNER) == [ann] and await found(role=Role.ADMIN) == []
    assert await found(q="ann") == [ann] and await found(q="李b") == [bob] and await found(q="nobody") == []
    assert await found(q="e", limit=1) == [ann]
    assert await found(q="13811111111") == [ann] and await found(q="+8613822222222") == [bob]
    assert await found(q="13833333333") == [] and await found(q="1381111111") == []
    assert await found(q=ann.id) == [ann] and await found(q=ann.id, role=Role.OPERATOR) == []


def make_session(books: Any, account_id: str, **changes: Any) -> Session:
    now = books.clock.now()
    session = Session(books.new_id("ses"), account_id, books.here, b"hash-1", now, now + timedelta(days=30))
    return replace(session, **changes)


async def test_a_session_rotates_once_per_token(books: Any) -> None:
    account = await books.member()
    session = make_session(books, account.id, roles=frozenset({Role.STUDENT}))
    run = books.store.run_global
    await run(lambda unit: unit.sessions.insert(session))
    assert await run(lambda unit: unit.sessions.get(session.id)) == session
    assert await run(lambda unit: unit.sessions.rotate(session.id, b"hash-1", b"hash-2")) is True
    assert await run(lambda unit: unit.sessions.rotate(session.id, b"hash-1", b"hash-3")) is False, "spent"
    later = session.expires_at + timedelta(days=1)
    assert await run(lambda unit: unit.sessions.rotate(session.id, b"hash-2", b"hash-3", later)) is True
    stored = await run(lambda unit: unit.sessions.get(session.id))
    assert stored == replace(session, refresh_hash=b"hash-3", expires_at=later)
    assert await run(lambda unit: unit.sessions.revoke(session.id)) is True
    assert await run(lambda unit: unit.sessions.revoke(session.id)) is False
    assert await run(lambda unit: unit.sessions.rotate(session.id, b"hash-3", b"hash-4")) is False
    assert (await run(lambda unit: unit.sessions.get(session.id))).revoked_at == books.clock.now()
    with pytest.raises(NotFound):
        await run(lambda unit: unit.sessions.get("ses_x"))


async def test_all_sessions_of_an_account_end_together(books: Any) -> None:
    account, other = await books.member(), await books.member()
    mine = [make_session(books, account.id) for _ in range(3)]
    theirs = make_session(books, other.id)
    real_now = books.clock.now() + timedelta(hours=7)

    def insert(unit: Any) -> None:
        for session in (*mine, theirs):
            unit.sessions.insert(session)

    await books.store.run_global(insert)
    assert await books.store.run_global(lambda unit: unit.sessions.revoke_all(account.id, real_now)) == 3
    assert await books.store.run_global(lambda unit: unit.sessions.revoke_all(account.id)) == 0
    assert (await books.store.read_global(lambda unit: unit.sessions.get(mine[0].id))).revoked_at == real_now
    assert await books.store.read_global(lambda unit: unit.sessions.get(theirs.id)) == theirs


async def test_a_sign_in_code_is_good_once_for_its_phone_and_campus(books: Any) -> None:
    run, now = books.store.run_global, books.clock.now()

    async def take(phone: str, campus_id: str, code: bytes) -> bool:
        return bool(await run(lambda unit: unit.codes.take(phone, campus_id, code)))

    await run(lambda unit: unit.codes.put("138", books.here, b"111111", now + timedelta(minutes=5)))
    assert await run(lambda unit: unit.codes.sent_at("138", books.here)) == now
    assert not await take("138", books.there, b"111111")
    assert not await take("139", books.here, b"111111")
    assert not await take("138", books.here, b"222222")
    assert await run(lambda unit: unit.codes.failures("138", books.here)) == 1
    assert await take("138", books.here, b"111111")
    assert not await take("138", books.here, b"111111")
    assert await run(lambda unit: unit.codes.sent_at("138", books.here)) is None
    assert await run(lambda unit: unit.codes.failures("138", books.here)) == 0


async def test_a_sign_in_code_dies_of_age_of_wrong_tries_and_of_a_newer_one(books: Any) -> None:
    run, now = books.store.run_global, books.clock.now()
    until = now + timedelta(minutes=5)

    async def take(code: bytes, at: Any = None) -> bool:
        return bool(await run(lambda unit: unit.codes.take("138", books.here, code, at)))

    await run(lambda unit: unit.codes.put("138", books.here, b"111111", until))
    assert not await take(b"111111", until)
    await run(lambda unit: unit.codes.put("138", books.here, b"222222", until, now + timedelta(seconds=60)))
    assert await run(lambda unit: unit.codes.sent_at("138", books.here)) == now + timedelta(seconds=60)
    assert not await take(b"111111")
    for _ in range(CODE_TRIES - 1):
        assert not await take(b"000000")
    assert not await take(b"222222"), "voided by wrong tries"


async def test_a_link_is_good_once(books: Any) -> None:
    run, until = books.store.run_global, books.clock.now() + timedelta(hours=1)
    roles = frozenset({Role.RUNNER})
    await run(lambda unit: unit.links.put(b"code", "acc_1", books.here, until, roles))
    await run(lambda unit: unit.links.put(b"late", "acc_1", books.here, until))
    assert await run(lambda unit: unit.links.take(b"none")) is None
    assert await run(lambda unit: unit.links.take(b"code")) == Link("acc_1", books.here, roles)
    assert await run(lambda unit: unit.links.take(b"code")) is None
    assert await run(lambda unit: unit.links.take(b"late", until)) is None
    assert await run(lambda unit: unit.links.take(b"late")) is None, "spent even though it was too late"


async def test_wrong_tries_lock_a_key_for_a_while(books: Any) -> None:
    run = books.store.run_global

    async def fail() -> int:
        return int(await run(lambda unit: unit.lockouts.fail("138", lock_after=3, lock_s=60, window_s=100)))

    async def locked_until() -> Any:
        return await run(lambda unit: unit.lockouts.locked_until("138"))

    assert [await fail(), await fail()] == [1, 2]
    assert await locked_until() is None
    assert await fail() == 3
    assert await locked_until() == books.clock.now() + timedelta(seconds=60)
    assert await run(lambda unit: unit.lockouts.locked_until("139")) is None
    books.clock.advance(60)
    assert await locked_until() is None
    assert await fail() == 4, "a try within the window of the last still counts on"
    books.clock.advance(100)
    assert await fail() == 1
    await run(lambda unit: unit.lockouts.clear("138"))
    assert await fail() == 1


async def test_campuses_have_settings_with_a_version_and_a_map(books: Any) -> None:
    read, run = books.store.read_global, books.store.run_global
    campus = await read(lambda unit: unit.campuses.get(books.here))
    assert [one.name for one in await read(lambda unit: unit.campuses.all())] == ["here", "there"]
    assert await read(lambda unit: unit.campuses.map_bytes(books.here)) == b"map of here"
    settings = replace(campus.settings, mode=AssignMode.GRAB, opens=time(7, 30), closes=time(23, 0))
    changed = replace(campus, name="这里", settings=settings, version=2)
    await run(lambda unit: unit.campuses.save(changed))
    with pytest.raises(StaleVersion):
        await run(lambda unit: unit.campuses.save(changed))
    assert await read(lambda unit: unit.campuses.get(books.here)) == changed
    for ask in (lambda unit: unit.campuses.get("cmp_x"), lambda unit: unit.campuses.map_bytes("cmp_x"),
                lambda unit: unit.campuses.save(replace(changed, id="cmp_x"))):  # fmt: skip
        with pytest.raises(NotFound):
            await run(ask)
