"""What is not the API: pages, files, health, the OpenAPI document, headers, the campus map."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from dispatch.hub import asyncapi
from dispatch.model.account import Role
from dispatch.web import WebSettings
from dispatch.web.pages import PAGES
from dispatch.web.routes import ROUTES


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "js").mkdir(parents=True)
    for page in PAGES.values():
        (folder / page).write_text(f"<!doctype html><title>{page}</title>")
    (folder / "js" / "a.js").write_text("export const a = 1;")
    return folder


async def test_pages_and_files_are_served_and_not_sent_twice(open_a_house: Any, static: Path) -> None:
    async with open_a_house(web=WebSettings(static_dir=static)) as house:
        for url, page in PAGES.items():
            answer = await house.call("GET", "/" + url)
            assert answer.status == 200 and page in answer.body.decode()
            assert answer.headers["Content-Type"].startswith("text/html")
        script = await house.call("GET", "//static/js/a.js")
        assert script.headers["Content-Type"].startswith("text/javascript")
        again = await house.call("GET", "//static/js/a.js", headers={"If-None-Match": script.headers["ETag"]})
        assert again.status == 304 and again.body == b""
        (static / "js" / "a.js").write_text("export const a = 2;")
        newer = await house.call("GET", "//static/js/a.js", headers={"If-None-Match": script.headers["ETag"]})
        assert newer.status == 200 and newer.body.endswith(b"2;")
        assert (await house.call("HEAD", "//console")).status == 200
        for outside in ("//static/../secrets", "//static/%2e%2e/%2e%2e/etc/passwd", "//static/none.js"):
            assert (await house.call("GET", outside)).status in (403, 404)


async def test_every_answer_says_what_a_browser_may_do(house: Any) -> None:
    for path in ("//healthz", "/campuses", "//static/none.js", "/me", "//lost"):
        headers = (await house.call("GET", path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe-inline" not in policy
        assert "Server" not in headers and "Strict-Transport-Security" not in headers
    assert (await house.call("GET", "/campuses")).headers["Cache-Control"] == "no-store"


async def test_health_and_readiness(house: Any) -> None:
    assert (await house.call("GET", "//healthz")).json == {"status": "ok"}
    ready = await house.call("GET", "//readyz")
    assert ready.status == 200 and ready.json["parts"] == {"database": "ok", "redis": "ok"}


async def test_readiness_names_what_is_missing(open_a_house: Any, own_redis: Any) -> None:
    async with open_a_house(redis_url=own_redis.url) as house:
        own_redis.stop()
        answer = await house.call("GET", "//readyz")
        assert answer.status == 503 and answer.json["parts"] == {"database": "ok", "redis": "failed"}
        assert (await house.call("GET", "//healthz")).status == 200
        # Without Redis people still sign in: every process counts for itself.
        assert (
            await house.call("POST", "/auth/code", {"phone": "13700000000", "campus_id": house.campus_id})
        ).status == 202


async def test_the_map_is_packed_tagged_and_in_the_wanted_datum(house: Any) -> None:
    path = f"/campuses/{house.campus_id}/map"
    answer = await house.call("GET", path, headers={"Accept-Encoding": "identity"})
    assert answer.headers["Content-Type"] == "application/geo+json" and "Content-Encoding" not in answer.headers
    drawn = answer.json
    assert drawn["type"] == "FeatureCollection" and len(drawn["features"]) > 20
    async with house.http.get(house.url + "/api/v1" + path, auto_decompress=True) as packed:
        assert packed.headers["Content-Encoding"] == "gzip" and (await packed.json(content_type=None)) == drawn
    same = await house.call("GET", path, headers={"If-None-Match": answer.headers["ETag"]})
    assert same.status == 304 and same.body == b""
    moved = await house.call("GET", path + "?datum=gcj02", headers={"Accept-Encoding": "identity"})
    assert moved.headers["ETag"] != answer.headers["ETag"]
    assert len(gzip.compress(answer.body)) < len(answer.body) / 3


async def test_campuses_and_places(house: Any) -> None:
    campuses = (await house.call("GET", "/campuses")).json
    assert sorted(one["id"] for one in campuses) == sorted([house.campus_id, house.other_campus_id])
    one = (await house.call("GET", f"/campuses/{house.campus_id}")).json
    assert one["is_open"] and one["time_scale"] == 1.0 and {kind["code"] for kind in one["types"]} >= {"parcel", "meal"}
    quick = (await house.call("GET", f"/campuses/{house.campus_id}/places?limit=5")).json
    assert 0 < len(quick) <= 5 and all(place["is_quick"] for place in quick)
    name = quick[0]["name"]
    found = (await house.call("GET", f"/campuses/{house.campus_id}/places?q={name}")).json
    assert found[0]["name"] == name
    moved = (await house.call("GET", f"/campuses/{house.campus_id}/places?limit=1&datum=gcj02")).json
    assert moved[0]["lon"] != quick[0]["lon"]


async def test_the_document_describes_every_route_and_its_reader_runs_no_inline_script(house: Any) -> None:
    document = (await house.call("GET", "//openapi.json")).json
    for route in ROUTES:
        operation = document["paths"]["/api/v1" + route.path][route.method.lower()]
        assert operation["summary"] == route.summary and "4" in "".join(operation["responses"])
    wanted = json.dumps(document)
    for name in {part.split('"')[0] for part in wanted.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]
    reader = await house.call("GET", "//docs")
    assert b"<script src=" in reader.body and b"onload" not in reader.body and b"<script>" not in reader.body
    assert b"SwaggerUIBundle" in (await house.call("GET", "//docs/reader.js")).body
    assert (await house.call("POST", "//docs", {})).status == 405


async def test_the_hub_describes_itself_to_anybody(house: Any) -> None:
    answer = await house.call("GET", "//asyncapi.json")
    assert answer.status == 200 and answer.json == asyncapi.build(answer.json["info"]["version"])
    kept = await house.call("GET", "//asyncapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert kept.status == 304 and not kept.body
    assert b"/asyncapi.json" in (await house.call("GET", "//docs")).body


async def test_the_access_log_holds_no_secret(house: Any, caplog: pytest.LogCaptureFixture) -> None:
    student = await house.person(Role.STUDENT)
    with caplog.at_level(logging.DEBUG, "dispatch"):
        await house.call("GET", "/orders?q=13800000001", who=student)
        await house.call("GET", "//healthz")
    lines = [record for record in caplog.records if record.name == "dispatch.access_log"]
    assert "GET /api/v1/orders 200" in lines[0].getMessage()
    assert student.token not in caplog.text and "13800000001" not in caplog.text
