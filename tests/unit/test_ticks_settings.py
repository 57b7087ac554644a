"""What the settings say about planning and recording, and what the planner tells of it in figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from dispatch.assign.params import Params
from dispatch.flow.assign_tasks import Tick
from dispatch.planner_metrics import PlannerMetrics
from dispatch.settings import SettingsError, read_settings
from dispatch.ticks.files import TickFiles
from dispatch.ticks.record import ShadowNote
from dispatch.ticks.recorder import Recorder
from dispatch.ticks.variant import parse_variant
from tests.tick_samples import Samples


def test_ticks_are_recorded_in_the_data_folder_unless_told_otherwise(tmp_path: Path) -> None:
    told = {"DISPATCH_DATA_DIR": str(tmp_path)}
    settings = read_settings(told, env_file=None)
    assert settings.effective_record_dir == tmp_path / "ticks"
    assert (settings.record_days, settings.record_mb, settings.plan_deadline_s) == (2, 512, 1.0)
    elsewhere = read_settings(told | {"DISPATCH_RECORD_DIR": str(tmp_path / "far"), "DISPATCH_RECORD_DAYS": "0"}, None)
    assert elsewhere.effective_record_dir == tmp_path / "far" and elsewhere.record_days == 0


def test_settings_of_the_optimizer_are_checked_at_the_start() -> None:
    told = {"DISPATCH_PLAN_PARAMS": "lateness_weight=3, nearest=40", "DISPATCH_SHADOW_PARAMS": "greedy"}
    settings = read_settings(told, env_file=None)
    assert parse_variant(settings.plan_params).params(Params()).nearest == 40
    assert parse_variant(settings.shadow_params).method == "greedy"
    wrong = {"DISPATCH_PLAN_PARAMS": "lateness=3", "DISPATCH_SHADOW_PARAMS": "nearest=few"}
    with pytest.raises(SettingsError) as fault:
        read_settings(wrong, env_file=None)
    assert "no setting 'lateness'" in str(fault.value) and "whole number" in str(fault.value)


class _Desk:
    """As much of a planner's desk as the figures need."""

    def __init__(self, recorder: Recorder | None) -> None:
        self.recorder = recorder


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_every_tick_is_counted(tmp_path: Path) -> None:
    recorder = Recorder(TickFiles(tmp_path), "x")
    metrics = PlannerMetrics(_Desk(recorder))  # type: ignore[arg-type]
    shadow = ShadowNote("greedy", different=3)
    tick = Tick(2, 1, {"ord_1": "planned", "ord_2": "planned", "ord_3": "outbid"}, method="greedy",
                fallback="deadline", stages_ms={"books": 5.0, "solve": 20.0}, shadow=shadow)  # fmt: skip
    before = {
        "ticks": _value("dispatch_ticks_total", method="greedy", fallback="deadline"),
        "offered": _value("dispatch_tick_offers_total", what="offered"),
        "differing": _value("dispatch_shadow_total", what="differing_decisions"),
        "whole": _value("dispatch_tick_stage_seconds_sum", stage="whole"),
        "written": _value("dispatch_tick_records_total", what="written"),
    }
    recorder.put(next(Samples().ticks(1)))
    recorder.flush()
    metrics.on_tick("cmp_1", tick)
    metrics.on_tick("cmp_1", replace(tick, waiting={"ord_3": "outbid"}, shadow=ShadowNote("greedy", skipped="load")))
    assert _value("dispatch_ticks_total", method="greedy", fallback="deadline") == before["ticks"] + 2
    assert _value("dispatch_tick_offers_total", what="offered") == before["offered"] + 4
    assert _value("dispatch_shadow_total", what="differing_decisions") == before["differing"] + 3
    assert _value("dispatch_shadow_total", what="skipped_load") >= 1
    assert _value("dispatch_tick_stage_seconds_sum", stage="whole") == pytest.approx(before["whole"] + 0.05)
    assert _value("dispatch_tick_records_total", what="written") == before["written"] + 1
    assert _value("dispatch_tasks_waiting", campus="cmp_1", reason="outbid") == 1
    assert _value("dispatch_tasks_waiting", campus="cmp_1", reason="planned") == 0, "none waits for that any more"
    recorder.close()
    PlannerMetrics(_Desk(None)).on_tick("cmp_1", Tick())  # type: ignore[arg-type]
