"""The OpenAPI document, built from the same table and types that serve the requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ..model.views import ErrorView
from .route import Anyone, NoQuery, Nothing, Route
from .sessions import CSRF_HEADER, SLOT_HEADER

PREFIX = "/api/v1"
_REF = "#/components/schemas/{name}"
_ERRORS = {
    "400": "The request has not the form that is asked for; `field` names the input at fault.",
    "401": "Nobody is signed in.",
    "403": "This account may not do that.",
    "404": "There is no such thing here.",
    "405": "This URL has no such method.",
    "409": "Somebody was faster, or the thing is in another state.",
    "413": "The body is too large.",
    "415": "The body is of another kind.",
    "422": "Well formed, but the rules do not allow it.",
    "423": "Locked after too many failed tries.",
    "429": "Too many requests.",
    "500": "A fault of the server, logged under the `incident` in `detail`.",
    "503": "A part of the server is not reachable; nothing was lost.",
}
_PARTIES = {
    "owner": " Only the student who placed it.",
    "party": " Only its student, its runner, and operators.",
    "carrier": " Only the runner who carries it.",
    "offered": " Only the runner to whom it was offered.",
    "self": " Only whose it is.",
    "": "",
}


def build(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document, as plain values."""
    types = [one for route in routes for one in _types_of(route)]
    schemas, components = msgspec.json.schema_components([*types, ErrorView], ref_template=_REF)
    by_type = dict(zip([*map(str, types), str(ErrorView)], schemas, strict=True))
    shape = {"application/json": {"schema": by_type[str(ErrorView)]}}
    errors = {f"Error{status}": {"description": meaning, "content": shape} for status, meaning in _ERRORS.items()}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Campus errands",
            "version": version,
            "description": "Amounts are fen, times Unix milliseconds, positions WGS-84 unless `datum` says otherwise.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": errors,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "page": {
                    "type": "apiKey", "in": "cookie", "name": "dispatch_access_main",
                    "description": f"Pages: cookies per `{SLOT_HEADER}`, and `{CSRF_HEADER}` on everything but GET.",
                },
            },
        },
    }  # fmt: skip


def _types_of(route: Route) -> list[Any]:
    types = [route.request] if route.takes_json and route.method != "GET" else []
    return [*types, route.query, *([] if route.answer in (None, bytes) else [route.answer])]


def _operation(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    is_public = route.needs is Anyone.PUBLIC
    named = "signed in" if not route.permissions else " or ".join(f"`{one}`" for one in route.permissions)
    needs = "Public." if is_public else f"Needs: {named}.{_PARTIES[route.party]}"
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "description": needs,
        "tags": [route.path.split("/")[1]],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_headers(route)],
        "responses": _responses(route, by_type),
        "security": [] if is_public else [{"bearer": []}, {"page": []}],
    }
    if body := _body(route, by_type):
        operation["requestBody"] = body
    return operation


def _operation_id(route: Route) -> str:
    words = re.sub(r"[{}]", "", route.path).replace("-", "_").strip("/").replace("/", "_")
    return f"{route.method.lower()}_{words}"


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 64}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is NoQuery:
        return []
    _, components = msgspec.json.schema_components([route.query], ref_template=_REF)
    schema = components[route.query.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(shape)}
        for name, shape in schema["properties"].items()
    ]


def _without_null(shape: dict[str, Any]) -> dict[str, Any]:
    # A parameter that is left out is None inside; nobody can send a null in a URL.
    if "anyOf" not in shape:
        return shape
    kinds = [kind for kind in shape["anyOf"] if kind != {"type": "null"}]
    return dict(kinds[0]) if len(kinds) == 1 else {**shape, "anyOf": kinds}


def _headers(route: Route) -> list[dict[str, Any]]:
    if route.key == "":
        return []
    return [{
        "name": "Idempotency-Key", "in": "header", "required": route.key == "flow",
        "schema": {"type": "string", "minLength": 1, "maxLength": 80, "pattern": "^[!-~]+$"},
        "description": "The same request under the same key gets the answer of the first time.",
    }]  # fmt: skip


def _body(route: Route, by_type: dict[str, Any]) -> dict[str, Any] | None:
    if route.method == "GET":
        return None
    if route.takes_json:
        schema = by_type[str(route.request)]
        return {"required": _has_required(route), "content": {"application/json": {"schema": schema}}}
    raw = {"type": "string", "format": "binary"}
    return {"required": True, "content": {media: {"schema": raw} for media in route.media or ("*/*",)}}


def _has_required(route: Route) -> bool:
    if route.request is Nothing:
        return False
    return any(field.required for field in msgspec.structs.fields(route.request))


def _responses(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    if route.answer is None:
        status = route.status if route.status != 200 else 204
        good: dict[str, Any] = {"description": "Done."}
    elif route.answer is bytes:
        status = route.status
        good = {"description": "The file.", "content": {"*/*": {}}}
    else:
        status = route.status
        good = {"description": "Done.", "content": {"application/json": {"schema": by_type[str(route.answer)]}}}
    failed = {code: {"$ref": f"#/components/responses/Error{code}"} for code in _ERRORS}
    return {str(status): good, **failed}
