"""Figures, reports, tracks and the tally of a replay."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from geo.point import Point
from loadtest.__main__ import main
from loadtest.check import Finding
from loadtest.crowd import small_png
from loadtest.figures import Durations, Figures, TopicOrder, Usage
from loadtest.lunch_peak import Options, Outcome, lunch_pace, profile_of
from loadtest.people import PROFILES, read_plan
from loadtest.replay import Options as ReplayOptions
from loadtest.replay_account import Streamed, Watched, faults_of, printed, tally_of
from loadtest.report import as_html, as_json, as_text, text_table
from loadtest.server_clock import first_answer
from loadtest.tracks import PersonDay, Reading, box_campus, read_tracks, without_long_gaps


class Watch:
    """A watch that is moved by hand."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def __call__(self) -> float:
        return self.at_s


def seen_run() -> Figures:
    watch = Watch()
    figures = Figures(watch)
    figures.begin()
    figures.fix_sent("r1", 1000)
    watch.at_s += 0.030
    assert figures.seen("r1", 1000) == pytest.approx(30)
    assert figures.seen("r1", 999) is None and figures.seen("nobody", 1) is None
    figures.called("place", 202, 0.020, "", ())
    figures.called("grab", 409, 0.020, "already_taken", (409,))
    figures.called("quote", 500, 0.020, "internal", ())
    figures.note("placed", "o1", None, "", 10_000)
    figures.note("paying", "o1", None, "", 12_000)
    watch.at_s += 0.1
    figures.note("event_order_paid", "o1", 13_000, "", 13_050)
    figures.note("offered", "o1", None, "", 14_000)
    figures.note("event_task_assigned", "o1", 21_000, "", 21_050)
    figures.note("event_task_assigned", "o1", 99_000, "", 99_000)
    figures.note("event_order_delivered", "o1", 610_000, "", 610_000)
    figures.note("status", "o1", None, "delivered", 610_000)
    figures.note("wish_dropped", "", None, "", 1)
    figures.note("problem", "", None, "a stumble", 1)
    figures.note("order_refused", "", None, "outside_area", 1)
    figures.usage += [Usage(at_s, "web", 7, at_s / 4, 100 << 20) for at_s in (0.0, 2.0, 4.0)]
    return figures


def test_figures_follow_an_order_from_placing_to_the_door() -> None:
    figures = seen_run()
    assert figures.outcomes() == {"delivered": 1}
    assert figures.assign_s.percentile(0.5) == pytest.approx(8, rel=0.05)
    assert figures.deliver_s.percentile(0.5) == pytest.approx(600, rel=0.05)
    assert figures.pay_ms.percentile(0.5) == pytest.approx(100, rel=0.05)
    assert figures.counts["http_errors"] == 1 and figures.counts["http_expected"] == 1
    assert set(figures.errors) == {"quote: 500 internal", "a stumble", "an order was refused: outside_area"}


def test_figures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.figures.MOST_ORDERS", 3)
    monkeypatch.setattr("loadtest.figures.MOST_PROBLEMS", 4)
    monkeypatch.setattr("loadtest.figures.MOST_FIXES_PER_RUNNER", 2)
    figures = Figures(Watch())
    for i in range(10):
        figures.order(f"o{i}")
        figures.problem(f"p{i}")
        figures.fix_sent("r", i)
    assert list(figures.orders) == ["o7", "o8", "o9"] and len(figures.errors) == 4 and len(figures.problems) == 4
    assert figures.seen("r", 7) is None and figures.seen("r", 8) is not None


def test_durations_of_nothing() -> None:
    assert (Durations().percentile(0.99), Durations().mean, Durations().buckets()) == (0.0, 0.0, [])


def test_a_topic_taken_up_again_is_no_hole() -> None:
    watch = TopicOrder()
    assert watch.event("t", 5), "before the first answer nothing is known"
    watch.followed("t", "e1", 5, is_recovered=False)
    assert watch.event("t", 6)
    watch.followed("t", "e1", 9, is_recovered=True)
    assert watch.event("t", 7) and watch.event("t", 8) and watch.event("t", 9)
    watch.followed("t", "e2", 2, is_recovered=False)
    assert watch.position("t") == ("e2", 2) and watch.event("t", 3)
    assert (watch.holes, watch.epochs) == (0, 1)
    watch.forget("t")
    assert watch.position("t") is None


def outcome() -> Outcome:
    options = Options(PROFILES["XS"], 1.0, 10.0)
    findings = [Finding("all is well", 3), Finding("nothing is lost", 2, ["o1 <lost>"], "a note")]
    return Outcome(options, seen_run(), {"holes": 0, "out_of_order": 0}, 60.0, 600.0, findings, None)


def test_a_peak_is_well_when_books_topics_and_answers_are() -> None:
    quiet = Outcome(Options(PROFILES["XS"], 1.0, 10.0), Figures(Watch()), {"holes": 0, "new_epochs": 3}, 1, 1, [], None)
    assert quiet.faults() == [] and "all is well" in as_text(quiet)
    quiet.findings.append(Finding("nothing is lost", 2, ["o1"]))
    quiet.holes["holes"] = 2
    quiet.figures.problem("place: 500 internal")
    quiet.figures.tick("wishes")
    faults = [
        "books: nothing is lost",
        "topics: 2 holes",
        "1 errors that were not expected",
        "nobody who wished for something could order it",
    ]
    assert quiet.faults() == faults
    assert all(f"FAULT {fault}" in as_text(quiet) for fault in faults)
    assert json.loads(as_json(quiet))["faults"] == faults


@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--check",), 1)])
def test_a_missed_bound_is_told_and_fails_only_where_it_is_asked_for(
    flags: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peak = Outcome(Options(PROFILES["XS"], 1.0, 10.0), Figures(Watch()), {"holes": 0}, 1, 1, [], None)
    eta = {"from_ms": 1, "at_ms": 2, "to_ms": 3, "warnings": []}
    named = [f"o{n}" for n in range(300)]
    orders = [{"id": n, "status": "assigned", "eta": eta, "placed_at_ms": 0, "promised_at_ms": 9} for n in named]
    peak.arrivals.see({"now_ms": 0, "orders": orders})
    for name in named:
        peak.figures.note("event_order_delivered", name, 9, "", 9)

    async def played(options: Options) -> Outcome:
        return peak

    monkeypatch.setattr("loadtest.__main__.lunch_peak", played)
    assert main(["lunch-peak", *flags]) == code
    told = capsys.readouterr().out
    assert "75–85 %   misses" in told and "all is well" in told
    assert json.loads(as_json(peak))["checks"][0] | {"what": ""} == {
        "what": "", "share": 0.0, "least": 0.75, "most": 0.85, "of": 300, "verdict": "misses",
    }  # fmt: skip


def test_the_report_is_readable_as_text_and_as_one_html_file() -> None:
    text = as_text(outcome())
    assert (
        "fix sent to viewer's receipt, one clock, real ms" in text
        and "FAULT nothing is lost: 2 checked, 1 faults (a note)" in text
    )
    assert "delivered       1" in text.replace("  ", "  ")
    page = as_html(outcome())
    assert page.count("<svg") == 6 and "o1 <lost>" not in page and "http://" not in page.split("</style>")[0]
    told = json.loads(as_json(outcome()))
    assert told["ages_ms"]["n"] == 1 and told["findings"][1]["faults"] == ["o1 <lost>"]


def test_a_report_of_nothing_is_a_report() -> None:
    empty = outcome()
    empty.figures = Figures(Watch())
    empty.findings = []
    assert "none" in as_text(empty)
    assert "<svg" not in as_html(empty)


def test_tables_align_figures_to_the_right() -> None:
    assert text_table("T", ("a", "n"), [("x", "1"), ("yy", "22")]) == "T\n-\na    n\nx    1\nyy  22"


def test_the_peak_rises_bursts_and_falls() -> None:
    pace = lunch_pace(PROFILES["S"], 6000)
    assert pace(0) < pace(3000) == 300 and pace(0.55 * 6000 + 30) == 1200 and pace(5990) < 60
    with pytest.raises(ValueError, match="XS, S, M, T"):
        profile_of("Z")


def test_the_quickest_answer_sets_the_clock() -> None:
    watch = Watch()
    clock = first_answer(99.0, 100.0, 1_000_000, 10.0)
    clock.watch = watch
    assert clock.now_ms() == 1_005_000
    clock.hear(100.0, 102.0, 9_999_999)
    assert clock.now_ms() == 1_005_000, "a slower answer knows less"
    clock.hear(99.9, 100.0, 1_010_000)
    assert clock.now_ms() == 1_010_500
    assert clock.real_s(1_020_500) == pytest.approx(1.0) and clock.real_s(0) == 0.0


def test_a_plan_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    with pytest.raises(ValueError, match=r"plan\.json"):
        read_plan(path)
    path.write_text('{"campus_id": "c", "password": "p", "accounts": [{"role": "runner", "phone": "1"}], "links": {}}')
    assert read_plan(path).of_role("runner")[0].vehicle == "walk"
    assert read_plan(path).of_role("student") == []


def test_the_photo_is_a_picture() -> None:
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(small_png()))
    picture.load()
    assert picture.size == (64, 48)


# --- tracks

HEAD = "lat,lng,datetime,uid\n"


def test_tracks_are_cut_to_the_box_and_sorted(tmp_path: Path) -> None:
    path = tmp_path / "t.txt.gz"
    rows = [
        "40.0,116.31,2008-10-23 05:53:09,001",
        "40.0,116.32,2008-10-23 05:53:05,001",
        "39.0,116.32,2008-10-23 05:53:06,001",
        "40.0,116.32,2008-10-24 00:00:01,001",
        "40.0,116.32,2008-10-24 00:00:01,002",
    ]
    path.write_bytes(gzip.compress((HEAD + "\n".join(rows)).encode()))
    days = read_tracks(path)
    assert [(day.name, len(day.readings)) for day in days] == [
        ("001 2008-10-23", 2),
        ("001 2008-10-24", 1),
        ("002 2008-10-24", 1),
    ]
    assert days[0].length_s == 4.0 and days[0].readings[0].lon == 116.32
    plain = tmp_path / "t.csv"
    plain.write_text(HEAD + rows[0])
    assert len(read_tracks(plain)) == 1
    plain.write_text(HEAD + "1.0,2.0,2008-10-23 05:53:09,001")
    with pytest.raises(ValueError, match="no reading lies in"):
        read_tracks(plain)
    plain.write_text(HEAD + "here,116.31,2008-10-23 05:53:09,001")
    with pytest.raises(ValueError, match="line 2 is no reading"):
        read_tracks(plain)


def test_long_pauses_are_cut_and_nothing_else() -> None:
    at = (0, 5, 10_005, 10_010)
    day = PersonDay("d", tuple(Reading(s * 1000, 40.0, 116.31) for s in at))
    assert [r.at_ms // 1000 for r in without_long_gaps(day, 300).readings] == [0, 5, 305, 310]


def test_the_box_is_a_campus_that_can_be_imported() -> None:
    from geo.geojson_import import import_geojson

    campus, _ = import_geojson(box_campus().encode(), "Box")
    assert campus.contains(Point(40.0, 116.32)) and not campus.contains(Point(39.98, 116.32))


# --- the tally of a replay


def streamed(sent_ms: list[int], **refused: str) -> Streamed:
    stream = Streamed(PersonDay("day", ()), "r1")
    for i, at in enumerate(sent_ms):
        stream.sent_s.setdefault(at, i * 0.1)
        stream.sent += 1
    stream.refused = {int(at[1:]): reason for at, reason in refused.items()}
    stream.acked_refused = len(stream.refused) + stream.doubles
    stream.acked = stream.sent - stream.acked_refused
    return stream


def watched(*seen_ms: int) -> Watched:
    made = Watched()
    for at in seen_ms:
        made.frame({"t": "pos", "p": [["r1", 0.0, 0.0, at, None, None, None, 0]]}, at / 10_000 + 0.02)
    made.frame({"t": "gone"}, 0.0)
    return made


def test_each_fix_is_delivered_conflated_or_lost() -> None:
    tally = tally_of([streamed([1000, 2000, 3000, 4000, 5000], _2000="impossible_jump")], [watched(1000, 4000)])
    assert (tally.sent, tally.acked, tally.refused["impossible_jump"]) == (5, 4, 1)
    assert (tally.due, tally.one_by_one, tally.conflated, tally.lost) == (4, 2, 1, 1)
    assert (tally.slow_runners, tally.spaced_due, tally.spaced_seen) == (1, 3, 2)
    assert faults_of(tally) == [
        "1 accepted fixes were lost",
        "of runners slower than a flush less than 99 % were delivered one by one",
    ]


def test_doubles_and_unnamed_refusals_are_counted_apart() -> None:
    stream = streamed([1000, 1000, 2000, 3000])
    stream.acked, stream.acked_refused = 2, 2
    assert (stream.doubles, stream.unnamed) == (1, 1)
    tally = tally_of([stream], [watched(1000, 3000)])
    assert (tally.conflated, tally.lost, tally.due, tally.unnamed) == (0, 0, 2, 1)
    assert tally.refused["duplicate"] == 1
    assert faults_of(tally) == ["1 fixes were refused without being named"]


def test_every_way_in_which_a_replay_is_not_well_is_said() -> None:
    whole = tally_of([streamed([1000, 2000, 3000])], [watched(1000, 2000, 3000)])
    assert faults_of(whole) == []
    conflated = tally_of([streamed([1000, 2000, 3000])], [watched(1000, 3000)])
    assert faults_of(conflated) == ["of runners slower than a flush less than 99 % were delivered one by one"]
    assert faults_of(conflated, 0.5) == []
    silent, cut_off, unasked = (streamed([1000, 2000]) for _ in range(3))
    silent.acked, cut_off.unsent, unasked.is_index_due = 1, 3, True
    for stream, says in (
        (silent, "1 fixes were neither accepted nor refused"),
        (cut_off, "3 fixes had no connection to be sent over"),
        (unasked, "the index was not asked about 1 runners"),
    ):
        assert faults_of(tally_of([stream], [watched(1000, 2000)])) == [says]
    assert faults_of(tally_of([], [])) == ["nothing was sent"]


def test_the_report_says_what_was_done_to_the_tracks() -> None:
    tally = tally_of([streamed([1000, 2000])], [watched(1000)])
    text = printed(tally, ReplayOptions(Path("t"), longest_gap_s=300, spread_s=240, most_fixes=50))
    assert "pauses cut to 300 s, begun within 240 s, ended after 50 fixes" in text
    assert "FAULT 1 accepted fixes were lost" in text


def test_a_dot_that_goes_back_is_seen() -> None:
    tally = tally_of([streamed([1000, 2000])], [watched(2000, 1000)])
    assert tally.out_of_order == 1 and faults_of(tally) == ["1 positions came out of order"]


def test_the_index_is_held_to_a_metre() -> None:
    near, far, gone, unasked = (streamed([1000]) for _ in range(4))
    near.index_off_m, far.index_off_m, gone.index_missing = 0.3, 7.0, True
    tally = tally_of([near, far, gone, unasked], [watched(1000)])
    assert tally.index_checked == 3 and len(tally.index_wrong) == 2 and tally.index_off_m == 7.0
    text = printed(tally, ReplayOptions(Path("t")))
    assert "3 asked, at most 7.00 m off, 2 wrong" in text and "lost                         0" in text
