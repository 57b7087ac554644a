"""Channels from the environment: which there are, and the configuration of each, checked before anything starts.

``PAYMENTS_CHANNELS=wechat,wechat_native,alipay`` names them in order of preference. A name is a kind of channel, or a
kind with a word of its own behind it. Each field of its configuration is a variable: ``PAYMENTS_WECHAT_NATIVE_APPID``,
or for all of that kind ``PAYMENTS_WECHAT_APPID``; ``…_FILE`` names a file that holds the value.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from payments.key_files import read_secret, why_unsafe

PREFIX = "PAYMENTS_"
#: Kinds of channels and where the structure of their configuration is; None: it has none.
KINDS: Mapping[str, tuple[str, str] | None] = {
    "wechat": ("payments.channels.wechat_config", "WechatConfig"),
    "edupay": ("payments.channels.edupay", "EduPayConfig"),
    "alipay": ("payments.channels.alipay_config", "AlipayConfig"),
    "unionpay": ("payments.channels.unionpay_config", "UnionpayConfig"),
    "campus_card": ("payments.channels.campus_card_config", "CampusCardConfig"),
    "sandbox": None,
}
#: A file that holds one of these is no public thing.
_PRIVATE_MARKS = (b"PRIVATE KEY",)


class ChannelSetting(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as it is set up; ``config`` is of its own kind's structure."""

    code: str
    kind: str
    config: Any

    def __repr__(self) -> str:
        return f"ChannelSetting({self.code})"


def kind_of(code: str) -> str:
    """The kind of a channel's name. ValueError."""
    for kind in sorted(KINDS, key=len, reverse=True):
        if code == kind or code.startswith(f"{kind}_"):
            return kind
    raise ValueError(f"no such channel {code!r}; there are {', '.join(sorted(KINDS))}, each also with _more behind it")


def config_type(kind: str) -> type[msgspec.Struct] | None:
    """The structure of a kind's configuration."""
    where = KINDS[kind]
    return None if where is None else getattr(importlib.import_module(where[0]), where[1])


def field_names(kind: str) -> set[str]:
    """Every variable of a kind, without the prefix."""
    config = config_type(kind)
    return set() if config is None else {name.upper() for name, _, _ in _leaves(config)}


def _leaves(config: type[msgspec.Struct]) -> Iterator[tuple[str, Any, bool]]:
    """(name, type, whether it must be given) of every field; those of a structure inside stand beside the others."""
    hints = get_type_hints(config)
    for field in msgspec.structs.fields(config):
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _leaves(hint)
        else:
            yield field.name, hint, field.required


def read_channel(code: str, told: Mapping[str, str], environment: str) -> tuple[ChannelSetting | None, list[str]]:
    """The channel, or what is wrong with its variables; a value is never shown."""
    kind = kind_of(code)
    config = config_type(kind)
    if config is None:
        return ChannelSetting(code=code, kind=kind, config=None), []
    faults: list[str] = []
    given: dict[str, Any] = {"code": code, "environment": environment}
    for name, hint, is_required in _leaves(config):
        if name == "code":
            continue
        variable, text = _look_up(code, kind, name, told)
        if text is None:
            if is_required and name not in given:
                faults.append(f"{variable}: is needed for the channel {code}")
            continue
        try:
            given[name] = _typed(_from_file(variable, text), hint)
            _check_path(given[name])
        except ValueError as fault:
            faults.append(f"{variable}: {fault}")
    if faults:
        return None, faults
    try:
        return ChannelSetting(code=code, kind=kind, config=_make(config, given)), []
    except ValueError as fault:
        # A channel names its field; here it is the variable of that field.
        field, _, reason = str(fault).partition(": ")
        return None, [f"{variable_of(code, field)}: {reason}" if reason else f"{code}: {fault}"]


def variable_of(code: str, field: str) -> str:
    """The variable that sets a channel's field."""
    return f"{PREFIX}{code.upper()}_{field.upper()}"


def _look_up(code: str, kind: str, name: str, told: Mapping[str, str]) -> tuple[str, str | None]:
    for of in (code, kind):
        for suffix in ("", "_FILE"):
            variable = variable_of(of, name) + suffix
            if (text := told.get(variable, "").strip()) or variable in told:
                return variable, text
    return variable_of(code, name), None


def _from_file(variable: str, text: str) -> str:
    return read_secret(Path(text)) if variable.endswith("_FILE") else text


def _typed(text: str, hint: Any) -> Any:
    """The value of a text; lists may be separated by commas, everything else is JSON. ValueError without the text."""
    origin = get_origin(hint)
    if origin is Literal and text not in get_args(hint):
        # A decoder would quote what was written, which may be a secret that went astray.
        raise ValueError(f"must be one of {', '.join(map(str, get_args(hint)))}")
    try:
        if origin is tuple and not text.startswith("["):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if origin in (tuple, list, dict) or (origin is not None and issubclass_of_mapping(origin)):
            return msgspec.json.decode(text, type=hint)
        if origin in (Union, types.UnionType) and type(None) in get_args(hint) and not text:
            return None
        return msgspec.convert(text, type=hint, strict=False)
    except msgspec.DecodeError as fault:
        raise ValueError(f"is not what it must be ({_words(fault)})") from None


def issubclass_of_mapping(origin: Any) -> bool:
    """Whether a type's origin is a mapping."""
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _words(fault: Exception) -> str:
    """What a decoder says, less the value that it may quote."""
    return str(fault).split(", got")[0].split(" - at")[0][:80]


def _check_path(value: Any) -> None:
    """A file with a private key is open to its owner alone."""
    for each in value if isinstance(value, tuple) else (value,):
        if not isinstance(each, str) or not each.startswith("/"):
            continue
        path = Path(each)
        try:
            raw = path.read_bytes()
        except OSError:
            continue
        is_private = any(mark in raw for mark in _PRIVATE_MARKS) or path.suffix.lower() in (".p12", ".pfx")
        if is_private and (reason := why_unsafe(path)) is not None:
            raise ValueError(reason)


def _make(config: type[msgspec.Struct], given: Mapping[str, Any]) -> Any:
    hints = get_type_hints(config)
    fields = {}
    for field in msgspec.structs.fields(config):
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            fields[field.name] = _make(hint, given)
        elif field.name in given:
            fields[field.name] = given[field.name]
    return config(**fields)
