"""Questions about decisions and plans over HTTP: their forms, their refusals, and that nobody else is answered."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.model.account import Role

PREVIEW = "pre_01KJP4C580MKX5CMHF1GWCK3D7"


async def _scene(house: Any) -> tuple[Any, Any, dict[str, Any]]:
    student, runner, operator = [await house.person(role) for role in (Role.STUDENT, Role.RUNNER, Role.OPERATOR)]
    await house.call("POST", "/runner/duty", {"is_on": True}, who=runner)
    return operator, runner, await house.paid(student)


async def test_a_plan_over_http(house: Any) -> None:
    operator, runner, order = await _scene(house)
    preview = await house.call("POST", "/plan-previews", {"preset": "fewest_km"}, who=operator)
    assert preview.status == 201 and preview.json["pairs"] == [], "nobody knows where the runner is"
    assert [one["order_id"] for one in preview.json["waiting"]] == [order["id"]]
    assert preview.json["waiting"][0]["reason"] == "all_positions_stale"
    commit = {"preview_id": preview.json["id"], "order_ids": [order["id"]], "reason": "a busy noon"}
    refused = await house.call("POST", "/plan-commits", commit, who=operator)
    assert (refused.code, refused.json["error"]["field"]) == ("invalid_input", "order_ids")
    gone = await house.call("POST", "/plan-commits", commit | {"preview_id": PREVIEW}, who=operator)
    assert (gone.code, gone.json["error"]["field"]) == ("stale_version", "preview_id")
    outlook = await house.call("GET", "/outlook", who=operator)
    assert outlook.json == {"at_ms": None, "orders": [], "left_out": 0}
    why_not = await house.call("GET", f"/orders/{order['id']}/why-not?runner_id={runner.id}", who=operator)
    assert (why_not.json["rule"], why_not.json["is_decided"]) == ("not_recorded", False)
    seen = {"seen": [{"order_id": order["id"], "seconds": 1, "is_late": False}]}
    body = {"runner_id": runner.id, "version": order["version"], "reason": "other"}
    stale = await house.call("POST", f"/orders/{order['id']}/reassign", body | seen, who=operator)
    assert (stale.code, stale.json["error"]["field"]) == ("stale_version", "seen")
    taken = await house.call("POST", f"/orders/{order['id']}/reassign", body | {"seen": []}, who=operator)
    assert taken.status == 200, taken.body


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/plan-previews", {"preset": "cheapest"}, "preset"),
        ("/plan-previews", {"without": ["x"]}, "without.0"),
        ("/plan-previews", {"without": [PREVIEW.replace("pre", "ord")] * 301}, "without"),
        ("/plan-commits", {"preview_id": PREVIEW, "order_ids": [], "reason": "x"}, "order_ids"),
        ("/plan-commits", {"preview_id": PREVIEW, "order_ids": [PREVIEW] * 301, "reason": "x"}, "order_ids"),
        ("/plan-commits", {"preview_id": PREVIEW, "order_ids": [PREVIEW], "reason": ""}, "reason"),
        ("/plan-commits", {"preview_id": PREVIEW, "order_ids": [PREVIEW], "reason": "x", "act": "beg"}, "act"),
    ],
)
async def test_what_is_not_a_plan_is_refused_with_its_field(house: Any, path: str, body: Any, field: str) -> None:
    operator = await house.person(Role.OPERATOR)
    answer = await house.call("POST", path, body, who=operator)
    assert answer.status == 400 and answer.json["error"]["field"].startswith(field), answer.body


async def test_whose_campus_it_is_not_learns_nothing(house: Any) -> None:
    _, runner, order = await _scene(house)
    stranger = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    preview = await house.call("POST", "/plan-previews", {}, who=stranger)
    assert preview.json["waiting"] == preview.json["pairs"] == []
    asked = await house.call("GET", f"/orders/{order['id']}/why-not?runner_id={runner.id}", who=stranger)
    assert asked.code == "not_found"
