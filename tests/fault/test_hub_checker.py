"""The storm's checker complains: of events missing, doubled, out of order or made up, of a dot that steps back."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtest.hub_storm.check_events import Findings, check_events
from loadtest.hub_storm.check_positions import check_positions
from loadtest.hub_storm.check_sizes import Bounds, check_ages, check_sizes
from loadtest.hub_storm.dots import Dots
from loadtest.hub_storm.histories import (
    Ages,
    Happened,
    History,
    ProcessSize,
    Reported,
    Seen,
    Snapshot,
    Span,
    keep,
    read,
)
from loadtest.hub_storm.report import as_json, as_text
from loadtest.hub_storm.truth import Truth, truth_of

CAMPUS, ORDER, ANNA, BERT = "cmp_1", "ord_1", "acc_anna", "acc_bert"
TOPIC, CONSOLE, HALL = f"order:{ORDER}", f"console:{CAMPUS}", f"hall:{CAMPUS}"


def row(
    seq: int, kind: str, version: int, status: str, runner: str | None, former: str | None = None
) -> dict[str, Any]:
    task_status = {"awaiting_payment": None, "open": "open", "delivered": "done"}.get(status, "assigned")
    return {
        "seq": seq, "id": f"evt_{seq}", "kind": kind, "subject_id": ORDER, "version": version, "at": seq * 1_000_000,
        "payload": json.dumps({"status": status, "task_status": task_status}), "runner_id": runner,
        "former_runner_id": former, "published_at": 1,
    }  # fmt: skip


def truth() -> Truth:
    """Six events of one order; an order's topic tells all, the console too, the hall and the runners some."""
    return truth_of(
        [
            row(1, "order_placed", 1, "awaiting_payment", None),
            row(2, "order_paid", 2, "open", None),
            row(3, "task_assigned", 3, "assigned", ANNA),
            row(4, "task_reassigned", 4, "assigned", BERT, ANNA),
            row(5, "runner_arrived", 5, "assigned", BERT),
            row(6, "order_picked_up", 6, "carrying", BERT),
        ],
        CAMPUS,
    )


def span(offset: int, *told: int, version: int | None = None, epoch: str = "a", at_ms: int = 0) -> Span:
    """From a snapshot at this version of the order on, or recovered; event n of the books has offset n here."""
    snapshot = None if version is None else Snapshot(at_ms or version * 1000, {ORDER: version})
    return Span(snapshot is None, epoch, offset, None, True, snapshot, list(told), [f"evt_{n}" for n in told])


def history(*spans: Span, topic: str = TOPIC, first_seq: int = 2) -> History:
    seen = Seen("tab", "acc_student", topics={topic: list(spans)}, is_connected=True)
    return History(CAMPUS, 1, 1, 1, first_seq=first_seq, seen=[seen])


def faults(told: History, books: Truth | None = None) -> list[str]:
    return check_events(told, books or truth()).faults


def test_the_rules_of_the_topics_are_those_of_the_protocol() -> None:
    told = {topic: [fact.kind for fact in facts] for topic, facts in truth().topics.items()}
    assert len(told[TOPIC]) == len(told[CONSOLE]) == 6
    assert told[HALL] == ["order_paid", "task_assigned", "task_reassigned"]
    assert told[f"runner:{ANNA}"] == ["task_assigned", "task_reassigned"]
    assert told[f"runner:{BERT}"] == ["task_reassigned", "runner_arrived", "order_picked_up"]


def test_a_whole_history_is_well() -> None:
    assert faults(history(span(2, 3, 4, version=2), span(6, 5, 6))) == []


def test_a_snapshot_makes_up_for_what_was_missed() -> None:
    found = check_events(history(span(2, 3, version=2), span(5, version=5, epoch="b"), span(6, 6, epoch="b")), truth())
    assert found.faults == []
    assert found.counts["events in a later snapshot only"] == 2
    assert found.counts["snapshot, new epoch"] == 1


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        (history(span(2, 3, 4, 5, version=2)), "evt_6 (order_picked_up of ord_1, version 6) is missing"),
        (history(span(2, 3, 5, 6, version=2)), "offset 5 after 3"),
        (history(span(2, 3, 4, 5, 6, version=2), span(6, 6)), "evt_6 was told twice"),
        (history(span(2, 3, version=2), span(4, version=4, epoch="b"), span(6, 6, epoch="b")), "evt_5"),
        (history(span(2, version=2), span(6, version=4, epoch="b")), "is missing"),
        (history(span(2, 3, 4, version=2), span(6, 5, 6, epoch="b")), "recovered into epoch b"),
        (history(span(2, 3, 4, version=2), Span(True, "a", 3, None, True)), "recovered to offset 3, behind 4"),
        (history(Span(False, "a", 2, None, True, None, [3], ["evt_3"])), "instead of the snapshot"),
        (history(), "was never followed"),
    ],
    ids=["missing", "a hole", "doubled", "lost with an epoch", "old snapshot", "wrong epoch", "back", "no snapshot",
         "never followed"],
)  # fmt: skip
def test_it_complains(told: History, complaint: str) -> None:
    assert any(complaint in text for text in faults(told)), faults(told)


def test_it_complains_of_events_out_of_order() -> None:
    told = history(span(2, 3, 4, 5, 6, version=2))
    ids = told.seen[0].topics[TOPIC][0].ids
    ids[1], ids[2] = ids[2], ids[1]
    assert any("version 4 of ord_1 after 5" in text for text in faults(told))


def test_it_complains_of_what_never_became_true() -> None:
    told = history(span(2, 3, 4, 5, 6, version=2))
    told.seen[0].topics[TOPIC][0].ids[0] = "evt_made_up"
    assert any("evt_made_up is no event of this topic" in text for text in faults(told))


def test_it_complains_of_a_snapshot_within_the_window() -> None:
    """Whoever comes back a little later in the same epoch is told what was missed, not sent to a snapshot."""
    again = span(6, version=6)
    again.asked = ("a", 4)
    assert any("only 2 events behind" in text for text in faults(history(span(2, 3, 4, version=2), again)))
    again.asked = ("a", -200)
    assert faults(history(span(2, 3, 4, version=2), again)) == []


def test_it_complains_when_two_were_told_different_numbers() -> None:
    told = history(span(2, 3, 4, 5, 6, version=2))
    other = copy.deepcopy(told.seen[0])
    other.name = "other tab"
    other.topics[TOPIC][0].ids[0] = "evt_9"
    told.seen.append(other)
    assert any("offset 3 of epoch a is evt_9 here and evt_3 elsewhere" in text for text in faults(told))


def test_it_complains_of_who_stayed_away_and_of_what_was_never_published() -> None:
    told = history(span(2, 3, 4, 5, 6, version=2))
    told.seen[0].is_connected = False
    told.seen[0].errors = {"too_many console": 2, "unavailable order": 1, "not_permitted order": 1}
    books = truth()
    books.unpublished = 1
    assert len(faults(told, books)) == 3


def test_what_a_snapshot_does_not_show_must_be_hidden_there() -> None:
    """The hall shows no taken orders, a runner no other's: that explains what is absent, and nothing else."""
    taken = Span(False, "b", 9, None, True, Snapshot(4_000, {}))
    hall = history(Span(False, "a", 1, None, True, Snapshot(1_000, {})), taken, topic=HALL, first_seq=1)
    assert faults(hall) == []
    early = Span(False, "b", 9, None, True, Snapshot(2_000, {}))
    found = faults(history(Span(False, "a", 1, None, True, Snapshot(1_000, {})), early, topic=HALL, first_seq=1))
    assert [text.split(" ")[3] for text in found] == ["evt_2", "evt_3", "evt_4"]
    gone = history(Span(False, "a", 1, None, True, Snapshot(4_500, {})), topic=f"runner:{ANNA}", first_seq=1)
    assert faults(gone) == []
    mine = history(Span(False, "a", 1, None, True, Snapshot(6_500, {})), topic=f"runner:{BERT}", first_seq=1)
    assert len(faults(mine)) == 3
    console = history(Span(False, "a", 1, None, True, Snapshot(9_000, {})), topic=CONSOLE, first_seq=1)
    assert len(faults(console)) == 5


# --- dots


def test_a_dot_that_steps_back_is_noted() -> None:
    dots = Dots()
    assert dots.show(TOPIC, [(ANNA, 1.0, 2.0, 100)]) == []
    assert dots.show(TOPIC, [(ANNA, 1.0, 2.0, 200)]) == [(ANNA, 200)]
    assert dots.show(TOPIC, [(ANNA, 1.0, 2.0, 150)]) == []
    assert dots.steps_back == [f"{TOPIC}: {ANNA} from 200 back to 150"]
    assert dots.shown[TOPIC][ANNA] == (200, 1.0, 2.0)
    dots.gone(TOPIC, [ANNA, BERT])
    assert dots.shown[TOPIC] == {}


def test_a_map_begins_anew_and_may_begin_older() -> None:
    dots = Dots()
    dots.show(TOPIC, [(ANNA, 1.0, 2.0, 200), (BERT, 1.0, 2.0, 200)])
    dots.begin(TOPIC)
    dots.show(TOPIC, [(ANNA, 1.0, 2.0, 150)])
    assert (dots.steps_back, dots.older_after_return) == ([], 1)
    assert dots.shown[TOPIC] == {ANNA: (150, 1.0, 2.0)}


def placed(shown: dict[str, tuple[int, float, float]]) -> History:
    """Bert has the order and was last accepted at 100."""
    told = history(span(2, 3, 4, 5, 6, version=2))
    told.seen[0].shown = {TOPIC: shown}
    told.reported = [Reported(BERT, accepted=(100, 30.5, 114.4))]
    told.presence, told.places = {BERT: (100, 30.5, 114.4)}, {BERT: (30.500002, 114.400002)}
    return told


def test_dots_are_the_last_accepted_fixes() -> None:
    fix = (100, 30.5, 114.4)
    assert check_positions(placed({BERT: fix}), truth()).faults == []
    assert len(check_positions(placed({BERT: (99, 30.5, 114.4)}), truth()).faults) == 1
    assert len(check_positions(placed({BERT: fix, ANNA: fix}), truth()).faults) == 1
    assert len(check_positions(placed({}), truth()).faults) == 1


def test_it_complains_of_what_redis_keeps_and_of_runners_locked_out() -> None:
    told = placed({BERT: (100, 30.5, 114.4)})
    told.presence, told.places = {BERT: (90, 30.5, 114.4)}, {BERT: (30.5001, 114.4)}
    told.reported[0].unexpected = {"impossible_jump": 3}
    told.reported[0].stuck_after_jump = ["locked out"]
    told.seen[0].steps_back = ["back"]
    assert len(check_positions(told, truth()).faults) == 5
    told.reported = [Reported(BERT)]
    assert any("no fix was ever accepted" in text for text in check_positions(told, truth()).faults)


# --- sizes and ages


def sized(rss_mb: int, files: int = 20, tasks: int = 5) -> History:
    told = History(CAMPUS, 1, 1, 1)
    told.before = [ProcessSize("web", 0, 10, 100_000_000, 20, 5), ProcessSize("web", 1, 11, 100_000_000, 20, 5)]
    told.after = [ProcessSize("web", 0, 12, rss_mb * 1_000_000, files, tasks), *told.before[1:]]
    return told


def test_it_complains_of_growth() -> None:
    assert check_sizes(sized(150), Bounds()).faults == []
    assert len(check_sizes(sized(250), Bounds()).faults) == 1
    assert len(check_sizes(sized(100, files=100), Bounds()).faults) == 1
    assert len(check_sizes(sized(100, tasks=100), Bounds()).faults) == 1
    since = sized(150)
    since.between = [ProcessSize("web", 0, 12, 80_000_000, 20, 5)]
    assert any("since its replacement" in text for text in check_sizes(since, Bounds()).faults)
    gone = sized(100)
    gone.after, gone.log_faults, gone.strays = [], ["1 x web-0: a flush failed"], ["77 dispatch worker"]
    assert len(check_sizes(gone, Bounds()).faults) == 3


def test_it_complains_of_old_positions_and_of_who_did_not_return() -> None:
    told = History(CAMPUS, 1, 1, 1)
    told.ages = [
        Ages("steady", "positions", 10, 50.0, 90.0, 99_000.0, 99_000.0),
        Ages("worker killed", "positions", 10, 50.0, 90.0, 99_000.0, 99_000.0),
    ]
    told.happened = [Happened("worker killed", 1.0, 2.0, None, "", ["3 are not back"])]
    found = check_ages(told, Bounds())
    assert found.fault_count == len(found.faults) == 3


# --- the file and the table


def test_a_history_is_kept_and_told(tmp_path: Path) -> None:
    told = placed({BERT: (100, 30.5, 114.4)})
    told.happened, told.before = [Happened("worker killed", 1.0, 2.0, 3.0)], sized(1).before
    told.after = told.before
    keep(told, tmp_path / "history.bin")
    again = read(tmp_path / "history.bin")
    assert again == told
    findings = {"events": check_events(again, truth()), "none": Findings()}
    findings["none"].fault("something")
    text = as_text(again, findings)
    assert "events: well" in text and "none: 1 FAULTS" in text and "FAULT something" in text
    figures = msgspec.json.decode(as_json(again, findings))
    assert figures["findings"]["events"]["fault_count"] == 0
    (tmp_path / "no.bin").write_bytes(b"no")
    with pytest.raises(ValueError, match="no history"):
        read(tmp_path / "no.bin")
