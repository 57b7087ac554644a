"""From bytes to typed requests: decoded once, strictly, refused with the name of the field at fault."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from ..model.errors import InvalidInput, UnsupportedMedia
from ..model.requests import Request

R = TypeVar("R", bound=Request)

_AT = re.compile(r" - at `(?:key in )?(\$[^`]*)`$")
_NAMED = re.compile(r"(?:unknown field|missing required field) `([^`]*)`")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]([ -~]{0,78}[!-~])?")
_NUL = "this text holds a NUL character"
_decoders: dict[type[Request], msgspec.json.Decoder[Any]] = {}


def decode_body(body: bytes, kind: type[R]) -> R:
    """The body as a request; raises :class:`InvalidInput`. No body is an empty object."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        request: R = decoder.decode(body or b"{}")
    except msgspec.ValidationError as fault:
        raise _refusal(str(fault)) from None
    except msgspec.DecodeError as fault:
        raise InvalidInput(f"the body is not JSON: {fault}", reason="malformed") from None
    except UnicodeDecodeError:
        raise InvalidInput("the body is not UTF-8", reason="malformed") from None
    if b"\\u0000" in body:
        _refuse_nul(msgspec.to_builtins(request), "")
    return request


def decode_query(arguments: Mapping[str, Sequence[bytes]], kind: type[R]) -> R:
    """The query parameters as a request; raises :class:`InvalidInput` also for one given twice or unknown."""
    given: dict[str, str] = {}
    known = _names(kind)
    for name, values in arguments.items():
        if name not in known:
            raise InvalidInput(f"there is no query parameter {name[:80]!r}", field=name[:80])
        if len(values) != 1:
            raise InvalidInput("this query parameter may be given once", field=name)
        try:
            given[name] = values[0].decode()
        except UnicodeDecodeError:
            raise InvalidInput("this is not UTF-8", field=name) from None
        if "\0" in given[name]:
            raise InvalidInput(_NUL, field=name)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as fault:
        raise _refusal(str(fault)) from None


@cache
def _names(kind: type[Request]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


def check_media(content_type: str, allowed: Sequence[str], encoding: str = "") -> str:
    """The media type without its parameters; raises :class:`UnsupportedMedia`."""
    if encoding.strip().lower() not in {"", "identity"}:
        raise UnsupportedMedia("send the body without a content encoding")
    media = content_type.partition(";")[0].strip().lower()
    if media not in allowed:
        raise UnsupportedMedia(f"send {' or '.join(allowed)}", allowed=list(allowed))
    return media


def check_key(key: str | None) -> str | None:
    """The idempotency key; raises :class:`InvalidInput` where it has no proper form."""
    if key is not None and _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise InvalidInput("1 to 80 printable ASCII characters", field="Idempotency-Key")
    return key


def dotted(path: str) -> str | None:
    """``$.stops[0].lat`` as ``stops.0.lat``; the root is None."""
    return re.sub(r"\[(\d+|\.\.\.)\]", r".\1", path.removeprefix("$")).strip(".") or None


def _refusal(text: str) -> InvalidInput:
    at = _AT.search(text)
    field = dotted(at[1]) if at else None
    message = _AT.sub("", text)
    if named := _NAMED.search(message):
        field = f"{field}.{named[1]}" if field else named[1]
    return InvalidInput(message, field=field[:200] if field else None)


def _refuse_nul(value: object, path: str) -> None:
    # PostgreSQL takes no NUL in a text; better refused here, by name, than there.
    if isinstance(value, str) and "\0" in value:
        raise InvalidInput(_NUL, field=path or None)
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_nul(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_nul(inner, f"{path}.{index}")
