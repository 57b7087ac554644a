"""The port as a table, taken from the Protocol itself: what each method takes and gives, as JSON; refusals by code."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

import msgspec

from payments.port import PaymentsError, PaymentsPort

PREFIX = "/internal/v1/"


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One method of the port. ``is_async``: one that is not is answered from what was heard last, so it has no
    arguments."""

    name: str
    is_async: bool
    signature: inspect.Signature
    arguments: type[msgspec.Struct]
    returns: Any

    @property
    def path(self) -> str:
        return PREFIX + self.name

    def encode_call(self, *args: Any, **kwargs: Any) -> bytes:
        """The arguments of a call, as it was written. TypeError, as for any call."""
        bound = self.signature.bind(None, *args, **kwargs)
        said = dict(list(bound.arguments.items())[1:])
        return msgspec.json.encode(said, enc_hook=_plain)

    def decode_call(self, body: bytes) -> dict[str, Any]:
        """The arguments by name. ValueError names what does not fit."""
        given = msgspec.json.decode(body, type=self.arguments)
        return {name: getattr(given, name) for name in self.arguments.__struct_fields__}

    def decode_answer(self, body: bytes) -> Any:
        """What the method gave."""
        return msgspec.json.decode(body, type=self.returns)


def _plain(value: Any) -> Any:
    """Mappings and iterables of any kind, as JSON has them."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"no JSON for a {type(value).__name__}")


def _read_protocol() -> dict[str, Method]:
    table = {}
    for name in dir(PaymentsPort):
        function = getattr(PaymentsPort, name)
        if not name.startswith("_") and inspect.isfunction(function):
            table[name] = _read_method(name, function)
    return table


def _read_method(name: str, function: Any) -> Method:
    hints = get_type_hints(function)
    signature = inspect.signature(function)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for parameter in list(signature.parameters.values())[1:]:
        kind = hints[parameter.name]
        has_default = parameter.default is not inspect.Parameter.empty
        fields.append((parameter.name, kind, parameter.default) if has_default else (parameter.name, kind))
    is_async = inspect.iscoroutinefunction(function)
    assert is_async or not fields, f"{name}: what takes arguments has to be awaited"
    return Method(
        name=name,
        is_async=is_async,
        signature=signature,
        arguments=msgspec.defstruct(f"{name}_arguments", fields, kw_only=True, forbid_unknown_fields=True, frozen=True),
        returns=hints["return"],
    )


#: Every method of the port by its name.
METHODS: Mapping[str, Method] = _read_protocol()


# -- what is said beside values -----------------------------------------------------------------------------------


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal on its way. ``code`` None: the call itself cannot be right (ValueError)."""

    code: str | None
    text: str


def refusal_of(error: PaymentsError | ValueError) -> Refusal:
    """The refusal as it travels."""
    code = error.code if isinstance(error, PaymentsError) else None
    return Refusal(code=code, text=str(error))


def raised(refusal: Refusal) -> PaymentsError | ValueError:
    """The refusal as it is raised: the class of its code."""
    if refusal.code is None:
        return ValueError(refusal.text)
    known = {kind.code: kind for kind in _below(PaymentsError)}
    return known.get(refusal.code, PaymentsError)(refusal.text)


def _below(kind: type[PaymentsError]) -> list[type[PaymentsError]]:
    return [found for each in kind.__subclasses__() for found in (each, *_below(each))]
