"""Records of ticks: what is written is read again, whatever happened to the file between."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dispatch.assign.params import Params
from dispatch.assign.state import Assignment, Exclusion, Plan
from dispatch.ticks.files import WHOLE_EVERY, Head, NoTicks, TickFiles, TickReader, TickWriter, hour_of, read_map
from dispatch.ticks.record import BadRecord, ShadowNote, TickRecord, pack, plan_digest, unpack
from dispatch.ticks.recorder import MOST_WAITING, Recorder, recorder_of
from tests.tick_samples import CAMPUS, Samples

HEAD = Head(CAMPUS, "m1", {"dispatch": "1"})


def _written(path: Path, count: int) -> list[TickRecord]:
    ticks = list(Samples().ticks(count))
    writer = TickWriter(path, HEAD)
    for tick in ticks:
        writer.append(tick)
    writer.close()
    return ticks


def _read(path: Path) -> tuple[list[TickRecord], int]:
    reader = TickReader(path)
    found = list(reader.records())
    reader.close()
    return found, reader.torn


def test_a_record_is_read_as_it_was_written() -> None:
    tick = next(Samples().ticks(1))
    shadow = ShadowNote("greedy", digest="x", chosen=(("t", "r"),), different=2, ms=3.5)
    excluded = replace(tick.runners[0], excluded=Exclusion.OFF_SHIFT, until_ms=5)
    full = replace(tick, shadow=shadow, fallback="deadline", runners=(excluded, *tick.runners[1:]))
    for each in (tick, full, replace(tick, tasks=(), runners=())):
        assert unpack(pack(each)) == each
        assert pack(unpack(pack(each))) == pack(each)


def test_settings_that_this_version_does_not_know_are_passed_over_and_missing_ones_are_the_defaults() -> None:
    tick = next(Samples().ticks(1))
    read = msgspec.msgpack.decode(pack(tick))
    read[1] = {"seed": 7, "of_another_version": 1.0}
    read[6] = [each for each in read[6] if each[0] != "weight_g"] + [["of_another_version", [0] * len(tick.tasks)]]
    found = unpack(msgspec.msgpack.encode(read))
    assert found.params == Params(seed=7)
    assert found.tasks == tuple(replace(task, weight_g=0) for task in tick.tasks)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"nonsense", msgspec.msgpack.encode([99, {}, {}, [], [], [], []]), msgspec.msgpack.encode({"a": 1})],
)
def test_what_is_no_record_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(BadRecord):
        unpack(body)


def test_a_record_with_a_column_cut_short_is_none() -> None:
    read = msgspec.msgpack.decode(pack(next(Samples().ticks(1))))
    name, values = read[6][-1]
    read[6][-1] = [name, values[:-1]]
    with pytest.raises(BadRecord):
        unpack(msgspec.msgpack.encode(read))


def test_the_digest_of_a_plan_sees_every_number() -> None:
    one = Assignment("t", "r", 1.0, {"b": 1.0, "a": 2.0}, 5.0, 1, 1, None, None, (), {})
    same = replace(one, terms={"a": 2.0, "b": 1.0})
    assert plan_digest(Plan((one,))) == plan_digest(Plan((same,)))
    assert plan_digest(Plan((one,))) != plan_digest(Plan((replace(one, cost_s=1.0000000001),)))


def test_a_file_gives_its_ticks_in_order_and_each_by_its_id(tmp_path: Path) -> None:
    path = tmp_path / CAMPUS / f"{hour_of(next(Samples().ticks(1)).now_ms)}-a-0001.ticks"
    ticks = _written(path, 2 * WHOLE_EVERY + 3)
    assert _read(path) == (ticks, 0)
    files = TickFiles(tmp_path)
    for number in (0, 1, WHOLE_EVERY - 1, WHOLE_EVERY, 2 * WHOLE_EVERY + 2):
        tick = ticks[number]
        assert files.find(CAMPUS, tick.id) == tick
    assert files.find(CAMPUS, "tic_" + "0" * 26) is None
    assert files.find(CAMPUS, "no id") is None
    assert files.find("cmp_other", ticks[0].id) is None
    assert path.stat().st_mode & 0o077 == 0, "positions of people are in it"


def test_records_lean_on_the_one_before_and_are_small(tmp_path: Path) -> None:
    path = tmp_path / "x.ticks"
    _written(path, WHOLE_EVERY)
    whole = len(pack(next(Samples().ticks(1))))
    assert path.stat().st_size < WHOLE_EVERY * whole / 2


def test_a_torn_end_costs_the_last_record_only(tmp_path: Path) -> None:
    path = tmp_path / "x.ticks"
    ticks = _written(path, 5)
    size = path.stat().st_size
    for cut in (1, 40, 200):
        os.truncate(path, size - cut)
        assert _read(path) == (ticks[:4], 1)


def test_spoilt_bytes_cost_what_leans_on_them_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.ticks"
    ticks = _written(path, WHOLE_EVERY + 4)
    reader = TickReader(path)
    frames = list(reader.frames())
    reader.close()
    body = bytearray(path.read_bytes())
    body[frames[2].offset + 60] ^= 0xFF
    path.write_bytes(body)
    assert _read(path) == (ticks[:2] + ticks[3:], 1), "one that others do not lean on"
    body[frames[0].offset + 60] ^= 0xFF
    path.write_bytes(body)
    found, torn = _read(path)
    assert found == ticks[WHOLE_EVERY:] and torn >= WHOLE_EVERY - 1
    body[frames[1].offset : frames[1].offset + 4] = b"gone"
    path.write_bytes(body)
    assert _read(path)[0] == ticks[WHOLE_EVERY:], "the next mark is looked for"


def test_a_length_beyond_reason_is_a_torn_record(tmp_path: Path) -> None:
    path = tmp_path / "x.ticks"
    ticks = _written(path, 2)
    with path.open("ab") as file:
        file.write(b"tick" + b"\xff" * 40)
    assert _read(path) == (ticks, 1)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    for number, body in enumerate((b"", b"hello", b"TICKS\x00\x01\n", b"TICKS\x00\x01\n\x03\x00\x00\x00abc")):
        path = tmp_path / f"{number}.ticks"
        path.write_bytes(body)
        with pytest.raises(NoTicks):
            TickReader(path)
    with pytest.raises(NoTicks):
        read_map(tmp_path / "none.map")


def test_maps_are_kept_as_long_as_a_file_needs_them(tmp_path: Path) -> None:
    files = TickFiles(tmp_path)
    for name in ("m1", "m2"):
        files.keep_map(CAMPUS, name, b"map of " + name.encode())
    files.keep_map(CAMPUS, "m1", b"never written twice")
    assert read_map(files.map_path(CAMPUS, "m1")) == b"map of m1"
    _written(tmp_path / CAMPUS / "20260302T04-a-0001.ticks", 1)
    old = tmp_path / CAMPUS / "20260302T03-a-0001.ticks"
    _written(old, 1)
    os.utime(old, (1, 1))
    assert files.sweep(CAMPUS, time.time() - 3600, 10**9) == 1
    assert not old.exists()
    assert [path.name for path in (tmp_path / CAMPUS).glob("*.map")] == ["m1.map"]


def test_the_oldest_files_go_first_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    files = TickFiles(tmp_path)
    paths = [tmp_path / CAMPUS / f"20260302T0{hour}-a-0001.ticks" for hour in range(4)]
    for age, path in enumerate(reversed(paths)):
        _written(path, 2)
        os.utime(path, (10**9 - age, 10**9 - age))
    size = paths[0].stat().st_size
    assert files.sweep(CAMPUS, 0, 2 * size + 1) == 2
    assert files.of_campus(CAMPUS) == paths[2:]
    assert files.sweep(CAMPUS, 0, 2 * size + 1) == 0


def test_a_recorder_begins_a_file_each_hour_and_for_each_map(tmp_path: Path) -> None:
    recorder = Recorder(TickFiles(tmp_path), "planner:1")
    first = next(Samples().ticks(1))
    later = replace(first, now_ms=first.now_ms + 3_600_000)
    here, there = object(), object()
    assert recorder.map_id(CAMPUS, here) is None
    name = recorder.keep_map(CAMPUS, here, b"m")
    assert recorder.map_id(CAMPUS, here) == name and recorder.map_id(CAMPUS, there) is None
    assert read_map(recorder.files.map_path(CAMPUS, name)) == b"m"
    for tick in (first, first, later, replace(later, map_id="m2")):
        assert recorder.put(tick)
    recorder.flush()
    recorder.close()
    assert [path.name for path in recorder.files.of_campus(CAMPUS)] == [
        "20260302T04-planner-1-0001.ticks", "20260302T05-planner-1-0002.ticks", "20260302T05-planner-1-0003.ticks",
    ]  # fmt: skip
    assert recorder.counts.written == 4 and recorder.counts.bytes > 0


def test_what_is_too_old_goes_even_where_nothing_comes(tmp_path: Path) -> None:
    old = tmp_path / CAMPUS / "20260302T03-a-0001.ticks"
    _written(old, 1)
    os.utime(old, (1, 1))
    recorder = Recorder(TickFiles(tmp_path), "a", days=1, sweep_s=0.01)
    deadline = time.monotonic() + 20
    while old.exists():
        assert time.monotonic() < deadline
    recorder.close()


def test_a_recorder_keeps_within_its_bytes(tmp_path: Path) -> None:
    most = 40_000
    recorder = Recorder(TickFiles(tmp_path), "a", most_bytes=most)
    for tick in Samples(tasks=40, runners=40).ticks(60):
        while not recorder.put(tick):
            recorder.flush()
    recorder.close()
    kept = sum(path.stat().st_size for path in recorder.files.of_campus(CAMPUS))
    assert recorder.counts.bytes > 2 * most and kept <= most * 1.25


def test_a_disk_that_refuses_costs_records_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "ticks"
    folder.write_text("a file where a folder should be")
    recorder = Recorder(TickFiles(folder), "a")
    ticks = list(Samples().ticks(3))
    for tick in ticks[:2]:
        recorder.put(tick)
    recorder.flush()
    assert recorder.counts.failed == 2 and recorder.counts.written == 0
    folder.unlink()
    recorder.put(ticks[2])
    recorder.flush()
    recorder.close()
    assert recorder.counts.written == 1, "it goes on once there is room"


def test_a_recorder_that_cannot_keep_up_drops_and_counts(tmp_path: Path) -> None:
    pipe = tmp_path / CAMPUS
    pipe.mkdir(parents=True)
    recorder = Recorder(TickFiles(tmp_path), "a")
    big = next(Samples(tasks=3_000, runners=1_000).ticks(1))
    taken = sum(recorder.put(big) for _ in range(4 * MOST_WAITING))
    assert taken < 4 * MOST_WAITING and recorder.counts.dropped == 4 * MOST_WAITING - taken
    recorder.close()


def test_no_days_no_recorder(tmp_path: Path) -> None:
    assert recorder_of(tmp_path, "a", 0, 10) is None
    recorder = recorder_of(tmp_path, "a", 1, 10)
    assert recorder is not None
    recorder.close()
