"""``python -m payments``: what can be done with payments from a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence


def _verify_signature(arguments: Sequence[str]) -> int:
    from payments.signature.verify import main as verify

    return verify(arguments)


def _doctor(arguments: Sequence[str]) -> int:
    from payments.doctor import main as examine

    return examine(arguments)


def _serve(arguments: Sequence[str]) -> int:
    from payments.service.serve import main as serve

    return serve(arguments)


def _reconcile(arguments: Sequence[str]) -> int:
    from payments.reconcile.command import main as reconcile

    return reconcile(arguments)


def _vault(arguments: Sequence[str]) -> int:
    from payments.service.serve import vault_main

    return vault_main(arguments)


def _explore(arguments: Sequence[str]) -> int:
    from payments.explore.report import command as explore

    return explore(arguments)


def _states(arguments: Sequence[str]) -> int:
    from payments.states import as_markdown

    argparse.ArgumentParser(
        prog="python -m payments states",
        description="Print the table of a payment's five states as Markdown. · 以 Markdown 打印支付的五种状态。",
    ).parse_args(arguments)
    print(as_markdown())
    return 0


#: Each command: what it does in a line, and the function that takes the rest of the command line. The function imports
#: what it needs itself, so that one command does not wait for the libraries of another.
COMMANDS: dict[str, tuple[str, Callable[[Sequence[str]], int]]] = {
    "verify-signature": (
        "say what is wrong with a provider's or one's own signature · 检查签名错在哪里",
        _verify_signature,
    ),
    "explore": (
        "search every interleaving of the failover with a hostile world [--long] · 穷举支付切换的所有交错",
        _explore,
    ),
    "states": ("the table of a payment's five states · 支付的五种状态", _states),
    "doctor": ("the checklist before real money: environment, keys, certificates · 上线前检查清单", _doctor),
    "reconcile": (
        "a channel's day against its bill, now: --channel wechat --day 2026-03-02 [--csv FILE] · 对账",
        _reconcile,
    ),
    "serve": ("payments in a process of their own, behind a signed interface · 独立支付进程", _serve),
    "vault": ("rotate: seal what was entrusted with the newest key · 密钥轮换", _vault),
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
