"""The simulated operator as a pure state machine: looks on, reassigns, takes back, answers alerts."""

from __future__ import annotations

from loadtest.actors import operator
from loadtest.actors.protocol import Answer, Call, Follow, Frame, Heard, Note, Started, Woke
from tests.actor_life import ORDER, Life, calls, event, of


def looking() -> Life:
    life = Life(operator, operator.Operator("acc_o", "cmp"))
    assert of(Follow, life.gets(Started())) == [Follow("console:cmp")]
    return life


def test_an_operator_reassigns_and_sometimes_takes_it_back() -> None:
    life = looking()
    assert calls(life.gets(Woke())) == ["console"], "nothing is carried yet"
    life.gets(event("task_assigned", "console:cmp"))
    seen: set[str] = set()
    for _ in range(60):
        seen |= set(calls(life.gets(Woke(), 150_000)))
    assert seen == {"options", "why", "search"}
    options = [
        {"runner_id": "acc_1", "is_current": True, "cost_s": 1},
        {"runner_id": "acc_2", "is_current": False, "cost_s": 50},
        {"runner_id": "acc_3", "is_current": False, "cost_s": 20, "excluded": "stale_position"},
    ]
    undone = 0
    for version in range(40):
        body = {"version": version, "options": options}
        (reassign,) = of(Call, life.gets(Answer("options", 200, body, ORDER)))
        assert reassign.body["runner_id"] == "acc_2" and reassign.body["version"] == version
        life.gets(Answer("reassign", 200, {"version": version + 1}, ORDER))
        if life.state.undo:
            (undo,) = of(Call, life.gets(Woke(), 5_000))
            assert (undo.name, undo.body) == ("undo", {"version": version + 1})
            undone += 1
    assert 3 < undone < 20
    assert life.gets(Answer("options", 200, {"version": 1, "options": options[:1]}, ORDER)) == ()
    assert of(Note, life.gets(Answer("reassign", 409, None, ORDER))) == [Note("reassign_lost", ORDER)]


def test_an_operator_answers_alerts_and_forgets_what_is_done() -> None:
    life = looking()
    data = {
        "orders": [{"id": "a", "status": "assigned"}, {"id": "b", "status": "open"}],
        "alerts": [{"id": "al_1", "is_acknowledged": False}, {"id": "al_2", "is_acknowledged": True}],
    }
    (seen,) = of(Call, life.gets(Frame({"t": "snapshot", "topic": "console:cmp", "data": data})))
    assert seen.path == "/alerts/al_1/acknowledge"
    assert life.state.live == ("a",)
    life.gets(Frame({"t": "event", "kind": "order_picked_up", "data": {"order_id": "a"}}))
    assert life.state.live == ()
    life.gets(Frame({"t": "event", "kind": "order_rated", "data": {"order_id": "a"}}))
    assert life.gets(Heard("a", None)) == () and life.gets(Frame({"t": "closed"})) == ()
