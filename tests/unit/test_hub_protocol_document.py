"""docs/PROTOCOL.md says what the code does: every frame, field, code and bound, and nothing that is not there."""

from __future__ import annotations

import ast
import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from dispatch.hub import state_lane
from dispatch.hub.asyncapi import build
from dispatch.hub.codes import CloseCode, closing_reason, may_return
from dispatch.hub.frames import JSON, MAX_FIXES, ClientFrame, ServerFrame
from dispatch.hub.reporter import OFF_DUTY
from dispatch.hub.reporting import BUSY, IDLE, STRETCHES
from dispatch.hub.rules import Rules
from dispatch.live import resume_streams, tracks
from dispatch.model.event import EventKind
from dispatch.settings import Settings
from dispatch.wire import position_writer, protocol, websocket
from dispatch.wire.rooms import HubOptions
from geo.filters import DEFAULT_RULES, Reason

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "PROTOCOL.md").read_text()
DOCUMENT = build("test")
OPTIONS = HubOptions()


def section(title: str) -> str:
    """The text under a heading, down to the next of its rank or above."""
    rank, _, _ = title.partition(" ")
    found = re.search(rf"^{re.escape(title)}\n(.*?)(?=^#{{1,{len(rank)}}} |\Z)", TEXT, re.M | re.S)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    tables = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads = {index - 1 for index, row in enumerate(tables) if set(row[0]) <= {"-"}}
    return [row for index, row in enumerate(tables) if index not in heads and index - 1 not in heads]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --- frames


def frames(union: object) -> dict[str, msgspec.inspect.StructType]:
    types = [msgspec.inspect.type_info(frame) for frame in typing.get_args(union)]
    return {str(one.tag): one for one in types if isinstance(one, msgspec.inspect.StructType)}


@pytest.mark.parametrize(
    ("title", "union"), [("## From client to server", ClientFrame), ("## From server to client", ServerFrame)]
)
def test_each_frame_with_its_fields_and_nothing_else(title: str, union: object) -> None:
    told = {quoted(row[0])[0]: quoted(row[1]) for row in rows(section(title).partition("###")[0])}
    coded = {
        tag: [one.encode_name + ("" if one.required else "?") for one in frame.fields]
        for tag, frame in frames(union).items()
    }
    assert [*told] and {tag: sorted(fields) for tag, fields in told.items()} == {
        tag: sorted(fields) for tag, fields in coded.items()
    }
    assert all(row[2] for row in rows(section(title).partition("###")[0])), "each frame says for whom it is"


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every frame that is written out, as it stands and read."""
    for block in re.findall(r"^```json\n(.*?)^```", TEXT, re.M | re.S):
        for start in re.split(r"^(?=\{)", block, flags=re.M)[1:]:
            yield start, json.loads(start)
    for line in re.findall(r"^[→←] (\{.*)$", TEXT, re.M):
        yield line, json.loads(line)


def test_every_example_is_a_frame_of_its_kind() -> None:
    seen = set()
    schemas = DOCUMENT["components"]["schemas"]
    for text, frame in examples():
        payload = DOCUMENT["components"]["messages"][frame["t"]]["payload"]
        validator = jsonschema_rs.Draft7Validator({**payload, "components": DOCUMENT["components"]})
        assert [str(error) for error in validator.iter_errors(frame)] == [], text
        assert frame.keys() <= schemas[payload["$ref"].rpartition("/")[2]]["properties"].keys(), text
        if frame["t"] in frames(ClientFrame):
            JSON.decode(text.encode())
        seen.add(frame["t"])
    assert seen == {*frames(ClientFrame), *frames(ServerFrame)}


def test_the_session_goes_in_both_directions() -> None:
    for arrow, union in (("→", ClientFrame), ("←", ServerFrame)):
        told = [json.loads(line)["t"] for line in re.findall(rf"^{arrow} (.*)$", TEXT, re.M)]
        assert told and {*told} <= {*frames(union)}


# --- words


def test_kinds_of_events() -> None:
    told = [kind for row in rows(section("### Kinds of events")) for kind in quoted(row[0])]
    assert sorted(told) == sorted(map(str, EventKind))


def test_what_becomes_of_a_fix() -> None:
    told = [code for row in rows(section("### What becomes of a fix")) for code in quoted(row[0])]
    assert sorted(told) == sorted([*map(str, Reason), OFF_DUTY])


def test_close_codes() -> None:
    told = {int(code): quoted(row[1]) for row in rows(section("## Close codes")) for code in row[0].split(",")}
    assert told.keys() == {*map(int, CloseCode)}
    for code in CloseCode:
        if code >= 4000 or code is CloseCode.INTERNAL_ERROR:
            assert told[code] == [code.reason]
        assert may_return(code) is (4000 <= code < 4500 or code is CloseCode.INTERNAL_ERROR)
    assert f"`{closing_reason(CloseCode.SERVER_DRAIN, 2600)}`" in TEXT


def first_words(package: str, *names: str) -> set[str]:
    """The first (or, of a method's refusal, the second) constant that calls of these names are given."""
    found = set()
    for path in (ROOT / "dispatch" / package).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in names:
                    words = [one.value for one in node.args if isinstance(one, ast.Constant)]
                    found.update(word for word in words if isinstance(word, str) and re.fullmatch("[a-z_]+", word))
    return found


def test_errors() -> None:
    told = {code for row in rows(section("## Errors")) for code in quoted(row[0])}
    fields = {one.encode_name for frame in frames(ClientFrame).values() for one in frame.fields}
    coded = first_words("hub", "_error", "BadFrame") - fields
    # What the rooms refuse a topic with.
    assert told == coded | {"not_permitted", "not_found", "unavailable"}


def test_refusals_before_the_upgrade() -> None:
    told = {code: int(row[0]) for row in rows(section("## Opening")) if row[0].isdigit() for code in quoted(row[1])}
    assert told.keys() == first_words("wire", "Refusal")
    assert told["too_many"] == 503


def test_why_a_topic_ends() -> None:
    (closed,) = [row for row in rows(section("## From server to client")) if row[0] == "`closed`"]
    source = "".join(path.read_text() for path in (ROOT / "dispatch").rglob("*.py"))
    assert quoted(closed[3]) == ["order_ended", "not_permitted"]
    assert all(f'"{code}"' in source for code in quoted(closed[3]))


# --- bounds


def test_limits() -> None:
    rules = Rules()
    bounds: dict[str, float] = {
        "bytes of a message to the server": websocket.MAX_MESSAGE_BYTES,
        "fragments of a message": websocket._MAX_FRAGMENTS,
        "readings in `fixes`": MAX_FIXES,
        "seconds until `hello`": OPTIONS.hello_timeout_s,
        "frames of a connection in a second": OPTIONS.frames_per_s,
        "frames that cannot be understood": rules.bad_frames,
        "refused fixes that are told in a second": rules.refused_per_s,
        "topics of a connection": OPTIONS.topics_per_connection,
        "`follow` of a connection in ten seconds": OPTIONS.follows_per_window,
        "bytes of events that wait for a connection": OPTIONS.queue_bytes,
        "WebSocket pings answered between two of the server's own": protocol._PONGS_PER_ROUND,
        "connections of an account to a server process": default_of("connections_per_account"),
        "connections to a server process": default_of("connections_per_worker"),
        "handshakes of one address in a second": OPTIONS.upgrades_per_address_per_s,
        "handshakes in a second": OPTIONS.upgrades_per_s,
        "handshakes that wait": OPTIONS.upgrades_waiting,
    }
    assert {row[0]: row[1].partition(", ")[0] for row in rows(section("## Limits"))} == {
        name: f"{bound:,}" for name, bound in bounds.items()
    }


def default_of(name: str) -> int:
    return int(getattr(Settings(), name))


def test_other_figures() -> None:
    rules = Rules()
    for figure in (
        f"may wait up to {OPTIONS.upgrade_wait_s:.0f} seconds",
        f"within {OPTIONS.hello_timeout_s} seconds",
        f"every {BUSY.every_ms // 1000} seconds or {BUSY.distance_m} metres",
        f"every {IDLE.every_ms // 1000} seconds or {IDLE.distance_m} metres",
        f"times of each runner's last {DEFAULT_RULES.remembered} to {2 * DEFAULT_RULES.remembered} believed readings",
        f"up to {DEFAULT_RULES.max_age_s / 3600:.0f} hours old",
        f"{DEFAULT_RULES.max_speed_mps:.0f} m/s",
        f"at most {position_writer.MAX_TRACK_PENDING:,} wait",
        f"to the tracks every {('zero', 'one', 'two', 'three')[round(position_writer.TRACK_EVERY_S)]} seconds",
        f"shown {('no', 'one', 'two', 'three', 'four')[1000 // rules.console_every_ms]} frames a second",
        f"at most {state_lane.MAX_VIEWS} different views",
        "console the last {console:,}, of a hall {hall}, of a runner {runner}, of an order {order}".format(
            **resume_streams.CAPS
        ),
        f"ping every {OPTIONS.ping_every_s} seconds",
        f"for {OPTIONS.close_timeout_s} seconds at most",
    ):
        assert figure in " ".join(TEXT.split()), figure
    assert STRETCHES == (1, 2, 4) and "two or four times" in TEXT
    assert tracks.SPAN_MS == 3 * 3_600_000 and resume_streams.MAX_AGE_S == 3_600
    (every_ms, _) = [one.type for one in frames(ClientFrame)["view"].fields if one.encode_name in ("every_ms", "box")]
    assert isinstance(every_ms, msgspec.inspect.UnionType)
    (bounds,) = [one for one in every_ms.types if isinstance(one, msgspec.inspect.IntType)]
    assert f"`every_ms`, {bounds.ge} to {bounds.le}" in TEXT
