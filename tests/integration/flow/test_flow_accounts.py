"""Whom of the campus's people an operator may decide about, and how people are found."""

from __future__ import annotations

import pytest

from dispatch.flow import read_orders
from dispatch.flow.manage_accounts import apply_as_runner, block_account, create_account, list_accounts, review_runner
from dispatch.model.account import Role
from dispatch.model.errors import NotPermitted
from dispatch.model.requests import BlockAccount, ReviewRunner
from tests.flow_world import World

_BLOCK = BlockAccount(is_blocked=True, reason="spam")
_APPROVE = ReviewRunner(status="approved")


async def test_nobody_blocks_another_campuss_team(home: World) -> None:
    operator, admin = await home.operator(), await home.person(Role.ADMIN)
    phone = "13700000000"
    theirs = await create_account(home.ctx, home.other_campus_id, phone, "乙", frozenset({Role.ADMIN}))
    guest = await create_account(home.ctx, home.campus_id, phone, "乙", frozenset({Role.STUDENT}))
    assert guest.id == theirs.id, "an admin there, a student here"
    for who in (operator, admin):
        with pytest.raises(NotPermitted, match="another campus"):
            await block_account(home.ctx, who, theirs.id, _BLOCK)
    student = await home.student()
    await create_account(home.ctx, home.other_campus_id, "13700000001", "丙", frozenset({Role.STUDENT}))
    assert (await block_account(home.ctx, operator, student.account_id, _BLOCK)).is_blocked


async def test_nobody_makes_themselves_a_runner_and_only_an_admin_decides_about_the_team(home: World) -> None:
    operator, admin = await home.operator(), await home.person(Role.ADMIN)
    await apply_as_runner(home.ctx, operator)
    with pytest.raises(NotPermitted, match="themselves"):
        await review_runner(home.ctx, operator, operator.account_id, _APPROVE)
    with pytest.raises(NotPermitted, match="admin"):
        await review_runner(home.ctx, await home.operator(), operator.account_id, _APPROVE)
    view = await review_runner(home.ctx, admin, operator.account_id, _APPROVE)
    assert view.runner_status == "approved" and "runner" in view.roles
    student = await home.student()
    await apply_as_runner(home.ctx, student)
    assert "runner" in (await review_runner(home.ctx, operator, student.account_id, _APPROVE)).roles


@pytest.mark.parametrize("form", ["{}", "+86{}", "86{}", "+86 {} "])
async def test_a_phone_number_is_found_however_it_is_written(home: World, form: str) -> None:
    operator, student = await home.operator(), await home.student()
    view = await home.place(student)
    phone = (await home.read(lambda uow: uow.accounts.get(student.account_id))).phone
    q = form.format(phone)
    found = await list_accounts(home.ctx, operator, q=q, role=None, limit=5, before=None)
    assert [account.id for account in found.accounts] == [student.account_id]
    page = await read_orders.orders(home.ctx, operator, scope="all", q=q)
    assert [order.id for order in page.orders] == [view.id]
    everybody = await list_accounts(home.ctx, operator, q="  ", role=None, limit=5, before=None)
    assert len(everybody.accounts) == 2
