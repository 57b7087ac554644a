"""``python -m payments``: what can be done with payments from a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence


def _verify_signature(arguments: Sequence[str]) -> int:
    from payments.verify_signature import main as verify

    return verify(arguments)


#: Each command: what it does in a line, and the function that takes the rest of the command line. The function imports
#: what it needs itself, so that one command does not wait for the libraries of another.
COMMANDS: dict[str, tuple[str, Callable[[Sequence[str]], int]]] = {
    "verify-signature": (
        "say what is wrong with a provider's or one's own signature · 检查签名错在哪里",
        _verify_signature,
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return COMMANDS[given[0]][1](given[1:])
    is_asked = bool(given) and given[0] in ("-h", "--help")
    lines = [
        "usage: python -m payments COMMAND …",
        "",
        *(f"  {name:<18} {what}" for name, (what, _) in COMMANDS.items()),
    ]
    print("\n".join(lines), file=sys.stdout if is_asked else sys.stderr)
    return 0 if is_asked else 2


if __name__ == "__main__":
    raise SystemExit(main())
