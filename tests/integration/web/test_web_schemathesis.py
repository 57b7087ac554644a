"""Requests made up from the OpenAPI document: no fault of ours, and every answer is of the form that was promised."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dispatch.model.account import Role
from dispatch.web import openapi
from dispatch.web.routes import ROUTES

EXAMPLES = 12
#: Ending one's own session or standing would turn the rest of the walk into refusals; callbacks answer in the form that
#: their provider asks for.
SPARED = (
    "/payments/callbacks/{channel}",
    "/auth/sign-out",
    "/auth/password",
    "/accounts/{id}/block",
    "/accounts/{id}/roles",
)
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


@dataclass
class Running:
    """A server in a thread of its own, because the generator of requests is not asynchronous."""

    url: str = ""
    tokens: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def running(open_a_house: Any) -> Iterator[Running]:
    state, is_up, stop = Running(), threading.Event(), []

    async def serve() -> None:
        async with open_a_house() as house:
            student, runner = await house.person(Role.STUDENT), await house.person(Role.RUNNER)
            admin = await house.person(Role.OPERATOR, Role.ADMIN)
            order = await house.carried(student, runner)
            state.url, state.tokens = house.url, [student.token, runner.token, admin.token]
            state.ids |= {"orders": order["id"], "campuses": house.campus_id, "accounts": student.id}
            ended = asyncio.Event()
            stop.append((asyncio.get_running_loop(), ended))
            is_up.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert is_up.wait(30), "the server did not start"
    yield state
    loop, ended = stop[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(30)


@pytest.mark.timeout(300)
def test_made_up_requests_get_promised_answers(running: Running) -> None:
    document = openapi.build([route for route in ROUTES if route.path not in SPARED], "test")
    schema = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        _walk(result.ok(), running)


def _walk(operation: Any, running: Running) -> None:
    kind = operation.path.removeprefix("/api/v1/").split("/")[0]

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(), token=st.sampled_from(running.tokens), is_real=st.booleans())
    def walk(case: Any, token: str, is_real: bool) -> None:
        if is_real and "id" in (case.path_parameters or {}) and kind in running.ids:
            case.path_parameters["id"] = running.ids[kind]
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}
        response = case.call(base_url=running.url)
        case.validate_response(response, checks=CHECKS)

    walk()
