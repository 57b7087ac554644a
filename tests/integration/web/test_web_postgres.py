"""The same over PostgreSQL: signing in, a whole order, the campus team."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dispatch.model.account import Role


@pytest.fixture
def urls(postgres_url: str, postgres_cluster: Any) -> Iterator[list[str]]:
    """One database for dispatch, one for payments, one for the demonstration bank."""
    more = [f"{postgres_url.rsplit('/', 1)[1]}_{name}" for name in ("payments", "bank")]
    for name in more:
        postgres_cluster.execute(f"CREATE DATABASE {name}")
    yield [postgres_url, *(postgres_cluster.url_of(name) for name in more)]
    for name in more:
        postgres_cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_people_and_orders_on_postgres(house: Any) -> None:
    phone = {"phone": "13700000077", "campus_id": house.campus_id}
    await house.call("POST", "/auth/code", phone)
    session = (await house.call("POST", "/auth/sign-in", phone | {"code": house.sms.code()})).json
    renewed = await house.call("POST", "/auth/refresh", {"refresh_token": session["refresh_token"]})
    assert renewed.status == 200
    student, runner, operator = [await house.person(role) for role in (Role.STUDENT, Role.RUNNER, Role.OPERATOR)]
    order = await house.carried(student, runner)
    path = f"/orders/{order['id']}"
    pin = (await house.call("GET", path, who=student)).json["pin"]
    await house.call("POST", f"{path}/picked-up", {}, who=runner)
    done = await house.call("POST", f"{path}/delivered", {"pin": pin}, who=runner, headers={"Idempotency-Key": "d"})
    assert done.json["status"] == "delivered"
    again = await house.call("POST", f"{path}/delivered", {"pin": pin}, who=runner, headers={"Idempotency-Key": "d"})
    assert again.body == done.body
    asked = f"{path}/why-not?runner_id={runner.id}"
    for read in ("/console", "/accounts", "/audit", "/money", "/outlook", f"{path}/why", asked, f"{path}/timeline"):
        assert (await house.call("GET", read, who=operator)).status == 200, read
    assert (await house.call("POST", "/plan-previews", {}, who=operator)).status == 201
    blocked = await house.call(
        "POST", f"/accounts/{student.id}/block", {"is_blocked": True, "reason": "test"}, who=operator
    )
    assert blocked.status == 200
