"""Refusals: what a caller did that the rules do not allow, each with a stable code and the field it is about."""

from __future__ import annotations

from typing import Any, ClassVar


class Refusal(Exception):
    """A request that the rules refuse; nothing was changed.

    ``code`` is stable and part of the protocol; ``status`` is the HTTP status that the web edge answers with;
    ``field`` names the input at fault, in dotted form (``stops.0.point.lat``); ``detail`` is for a machine.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400

    def __init__(self, message: str = "", *, field: str | None = None, **detail: Any) -> None:
        super().__init__(message or self.__doc__ or self.code)
        self.message = message or (self.__doc__ or self.code).strip()
        self.field = field
        self.detail = detail


class InvalidInput(Refusal):
    """A field has a value that this request cannot take."""

    code, status = "invalid_input", 400


class NotSignedIn(Refusal):
    """Sign in first."""

    code, status = "not_signed_in", 401


class NotPermitted(Refusal):
    """This account may not do that."""

    code, status = "not_permitted", 403


class NotFound(Refusal):
    """There is no such thing here."""

    code, status = "not_found", 404


class StaleVersion(Refusal):
    """Somebody else changed it first; fetch it again."""

    code, status = "stale_version", 409


class WrongState(Refusal):
    """It is in a state in which that cannot be done."""

    code, status = "wrong_state", 409


class AlreadyTaken(Refusal):
    """Another runner has it."""

    code, status = "already_taken", 409


class OfferExpired(Refusal):
    """The offer's time is over."""

    code, status = "offer_expired", 409


class NotAvailable(Refusal):
    """The runner is not available for this task."""

    code, status = "not_available", 409


class KeyReused(Refusal):
    """This idempotency key was used for a different request."""

    code, status = "idempotency_key_reused", 409


class OutsideArea(Refusal):
    """The place lies outside the campus's service area."""

    code, status = "outside_area", 422


class OutsideHours(Refusal):
    """The campus takes no orders at this hour."""

    code, status = "outside_hours", 422


class QuoteExpired(Refusal):
    """The quote's time is over; ask for a new one."""

    code, status = "quote_expired", 409


class CouponGone(Refusal):
    """This coupon cannot be used (any more)."""

    code, status = "coupon_gone", 409


class CodeNeeded(Refusal):
    """This needs a one-time code for this very act: ask for one, give it back, and name it."""

    code, status = "code_needed", 409


class PaymentDeclined(Refusal):
    """The payment was declined; nothing was charged."""

    code, status = "payment_declined", 402


class WrongPin(Refusal):
    """The hand-over code is wrong."""

    code, status = "wrong_pin", 422


class PinLocked(Refusal):
    """Too many wrong hand-over codes; give a photo instead."""

    code, status = "pin_locked", 423


class TooMany(Refusal):
    """Too many requests; wait and try again."""

    code, status = "too_many", 429


class SignInFailed(Refusal):
    """The code or password is wrong or no longer valid."""

    code, status = "sign_in_failed", 401


class LockedOut(Refusal):
    """Too many failed attempts; this account is locked for a while."""

    code, status = "locked_out", 423


class AccountBlocked(Refusal):
    """This account is blocked; contact the campus team."""

    code, status = "account_blocked", 403


class TooLarge(Refusal):
    """The body is larger than this endpoint takes."""

    code, status = "too_large", 413


class UnsupportedMedia(Refusal):
    """The body is not of a kind that this endpoint takes."""

    code, status = "unsupported_media", 415


class Unavailable(Refusal):
    """A part of the server is not reachable right now; nothing was lost, try again."""

    code, status = "unavailable", 503
