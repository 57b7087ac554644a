"""Every error of the HTTP edge in one form: refusals translated once, bugs answered kindly and logged with an id."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec
from tornado.web import HTTPError

from payments.service.remote import PaymentsUnreachable
from payments.store.group_commit import TooBusy

from ..model.errors import Refusal, TooMany, Unavailable
from ..model.views import ErrorBody, ErrorView

_log = logging.getLogger(__name__)

_SORRY = "Something went wrong on our side. Nothing was lost; please try again in a minute."
_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 408: "timeout", 413: "too_large"}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is answered."""

    status: int
    view: ErrorView
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        return msgspec.json.encode(self.view)


def failure_of(fault: BaseException | None, *, status: int = 500) -> Failure:
    """What the caller is told of ``fault``; what is no refusal is logged here with the id that the caller gets."""
    if isinstance(fault, PaymentsUnreachable | TooBusy):
        _log.warning("payments: %s", fault)
        fault = Unavailable("payments are busy or not reached; what was asked may be asked again")
    if isinstance(fault, Refusal):
        body = ErrorBody(code=fault.code, message=fault.message, field=fault.field, detail=_plain(fault.detail))
        return Failure(fault.status, ErrorView(error=body), _headers(fault))
    if isinstance(fault, HTTPError):
        return _plain_failure(fault.status_code)
    if fault is None:
        return _plain_failure(status)
    incident = secrets.token_hex(6)
    _log.error("incident %s", incident, exc_info=fault)
    body = ErrorBody(code="internal", message=_SORRY, detail={"incident": incident})
    return Failure(500, ErrorView(error=body))


def _plain_failure(status: int) -> Failure:
    try:
        message = HTTPStatus(status).description or HTTPStatus(status).phrase
    except ValueError:
        message = "This request cannot be answered"
    return Failure(status, ErrorView(error=ErrorBody(code=_CODES.get(status, f"http_{status}"), message=message)))


def _headers(fault: Refusal) -> dict[str, str]:
    if fault.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(fault, TooMany | Unavailable):
        return {"Retry-After": str(fault.detail.get("retry_after_s", 1))}
    return {}


def _plain(detail: dict[str, object]) -> dict[str, object] | None:
    if not detail:
        return None
    built = msgspec.to_builtins(detail, enc_hook=str)
    assert isinstance(built, dict)
    return built
