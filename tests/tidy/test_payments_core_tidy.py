"""The core of payments reads what a channel can do, and never whose it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from payments.outcomes import Capabilities

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS = re.compile(r"wechat|weixin|wxpay|alipay|unionpay|edupay|campus_?card|sandbox", re.IGNORECASE)
#: Whose trade the providers are, and what puts everything together or speaks of it to people.
ROOMS_OF_PROVIDERS = {"channels", "simulator", "signature"}
JOINS = {"__main__.py", "assembly.py", "channel_settings.py", "sandboxed.py", "settings.py"}
#: Where an account is paid to needs a code to be changed, whoever asks for it; and an environment.
OTHER_THINGS = {("guards/guarded.py", "alipay_user_id"), ("guards/risk_desk.py", "sandbox")}


def core() -> list[Path]:
    home = ROOT / "payments"
    found = [path for path in home.rglob("*.py") if path.relative_to(home).parts[0] not in ROOMS_OF_PROVIDERS | JOINS]
    assert len(found) > 60
    return found


def words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name and text of a module, but for what explains it."""
    explains = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in explains:
                yield node.lineno, text
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.ImportFrom(module=str(name)):
                yield node.lineno, name


def test_no_providers_name_is_read() -> None:
    found = []
    for path in core():
        name = str(path.relative_to(ROOT / "payments"))
        for line, word in words(ast.parse(path.read_text())):
            if PROVIDERS.search(word) and (name, word) not in OTHER_THINGS:
                found.append(f"{name}:{line}: {word}")
    assert not found


def test_every_capability_is_read() -> None:
    read = {
        node.attr
        for path in core()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert {field.name for field in msgspec.structs.fields(Capabilities)} - read == set()
