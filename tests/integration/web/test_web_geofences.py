"""Geofences over HTTP: drawn, changed and deleted by the campus team; wrong ones refused by the field's name."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.model.account import Role

LAT, LON = 30.5, 114.4
CIRCLE = {"kind": "circle", "lat": LAT, "lon": LON, "radius_m": 50}
CORNERS = [[LAT, LON], [LAT + 0.001, LON], [LAT + 0.001, LON + 0.001]]


@pytest.fixture
async def operator(house: Any) -> Any:
    return await house.person(Role.OPERATOR)


async def test_a_fence_from_its_drawing_to_its_end(house: Any, operator: Any) -> None:
    body = {"name": "食堂", "name_en": "Canteen", "shape": CIRCLE, "dwell_s": 600}
    made = await house.call("POST", "/geofences", body, who=operator, headers={"Idempotency-Key": "draw"})
    again = await house.call("POST", "/geofences", body, who=operator, headers={"Idempotency-Key": "draw"})
    assert made.status == 201 and again.body == made.body
    fence = made.json
    assert (fence["shape"], fence["version"], fence["inside"]) == (CIRCLE, 1, [])
    listed = (await house.call("GET", "/geofences", who=operator)).json["geofences"]
    assert listed == [fence]
    path = f"/geofences/{fence['id']}"
    change = {"name": "食堂", "shape": {"kind": "polygon", "corners": CORNERS}, "version": 1}
    changed = await house.call("PUT", path, change, who=operator)
    assert changed.status == 200 and changed.json["version"] == 2 and changed.json["dwell_s"] is None
    assert changed.json["shape"]["corners"] == CORNERS
    stale = await house.call("PUT", path, change, who=operator)
    assert stale.code == "stale_version" and stale.json["error"]["detail"] == {"version": 2}
    assert (await house.call("DELETE", f"{path}?version=1", who=operator)).code == "stale_version"
    assert (await house.call("DELETE", path, who=operator)).json["error"]["field"] == "version"
    assert (await house.call("DELETE", f"{path}?version=2", who=operator)).status == 204
    assert (await house.call("DELETE", f"{path}?version=3", who=operator)).status == 404
    assert (await house.call("GET", "/geofences", who=operator)).json["geofences"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "  "}, "name"),
        ({"name_en": "x" * 81}, "name_en"),
        ({"dwell_s": 9}, "dwell_s"),
        ({"dwell_s": 86_401}, "dwell_s"),
        ({"colour": "red"}, "colour"),
        ({"shape": {**CIRCLE, "radius_m": 4.9}}, "shape.radius_m"),
        ({"shape": {**CIRCLE, "radius_m": 5_001}}, "shape.radius_m"),
        ({"shape": {**CIRCLE, "lat": 91}}, "shape.lat"),
        ({"shape": {**CIRCLE, "lat": 40}}, "shape"),
        ({"shape": {"kind": "star"}}, "shape.kind"),
        ({"shape": {**CIRCLE, "corners": []}}, "shape.corners"),
        ({"shape": {"kind": "polygon", "corners": CORNERS[:2]}}, "shape.corners"),
        ({"shape": {"kind": "polygon", "corners": [[LAT + n * 1e-5, LON] for n in range(201)]}}, "shape.corners"),
        ({"shape": {"kind": "polygon", "corners": [*CORNERS[:2], [LAT, 181]]}}, "shape.corners.2.1"),
        ({"shape": {"kind": "polygon", "corners": [*CORNERS[:2], [LAT]]}}, "shape.corners.2"),
        ({"shape": {"kind": "polygon", "corners": [CORNERS[0]] * 3}}, "shape.corners"),
    ],
)
async def test_a_wrong_fence_is_refused_by_name(house: Any, operator: Any, change: dict[str, Any], field: str) -> None:
    refused = await house.call("POST", "/geofences", {"name": "门", "shape": CIRCLE, **change}, who=operator)
    assert refused.status == 400 and refused.code == "invalid_input", refused.body
    assert refused.json["error"]["field"] == field, refused.body
    assert (await house.call("GET", "/geofences", who=operator)).json["geofences"] == []


@pytest.mark.parametrize(
    "query", ["fence_id=x", "since=-1", "until=253402300800000", "limit=101", "before=1", "unknown=1"]
)
async def test_a_wrong_question_about_stays_is_refused(house: Any, operator: Any, query: str) -> None:
    refused = await house.call("GET", f"/geofences/stays?{query}", who=operator)
    assert refused.status == 400 and refused.json["error"]["field"] == query.partition("=")[0]


async def test_the_log_and_the_report_of_a_quiet_campus(house: Any, operator: Any) -> None:
    assert (await house.call("GET", "/geofences/stays", who=operator)).json == {"stays": [], "next_before": None}
    fence = (await house.call("POST", "/geofences", {"name": "门", "shape": CIRCLE}, who=operator)).json
    report = (await house.call("GET", "/geofences/report", who=operator)).json
    assert [(row["fence_id"], row["visits"], row["median_s"]) for row in report["rows"]] == [(fence["id"], 0, None)]
    wrong = await house.call("GET", "/geofences/report?since=5&until=4", who=operator)
    assert wrong.json["error"]["field"] == "since"


@pytest.mark.parametrize("role", [Role.STUDENT, Role.RUNNER])
async def test_students_and_runners_are_refused(house: Any, operator: Any, role: Role) -> None:
    fence = (await house.call("POST", "/geofences", {"name": "门", "shape": CIRCLE}, who=operator)).json
    who = await house.person(role)
    path = f"/geofences/{fence['id']}"
    calls = [("GET", "/geofences"), ("POST", "/geofences"), ("PUT", path), ("DELETE", f"{path}?version=1"),
             ("GET", "/geofences/stays"), ("GET", "/geofences/report")]  # fmt: skip
    for method, url in calls:
        assert (await house.call(method, url, who=who)).code == "not_permitted"
        assert (await house.call(method, url)).code == "not_signed_in"
    assert (await house.call("GET", "/geofences", who=operator)).json["geofences"] == [fence]
