"""What holds for any tick, however odd: the plan keeps the rules, greedy is no better, and nothing depends on luck."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatch.assign import Params, Plan, plan
from dispatch.assign.state import Method
from tests.plan_checker import faults
from tests.plan_instances import Instance, Town, Traits

small = st.builds(
    Traits,
    tasks=st.integers(0, 9),
    runners=st.integers(0, 6),
    grid=st.sampled_from((2, 6, 12)),
    holes=st.sampled_from((0, 0, 7, 3)),
    rules=st.booleans(),
    routes=st.booleans(),
    tight=st.booleans(),
)
settings_of_a_tick = st.builds(
    Params,
    merchant_bundles=st.booleans(),
    max_pickup_m=st.sampled_from((4000.0, 900.0)),
    nearest=st.sampled_from((60, 2)),
    rounds=st.sampled_from((1, 3)),
    iterations=st.sampled_from((0, 30)),
    same_counter_s=st.sampled_from((20.0, 0.0)),
    commit_ahead_s=st.sampled_from((60.0, 0.0, 1e9)),
    lateness_weight=st.sampled_from((2.0, 0.0)),
    explained=st.sampled_from((10, 2)),
    dense_cells=st.sampled_from((250_000, 0)),
    exact_pairs=st.sampled_from((60_000, 0)),
)
instances = st.builds(
    lambda seed, traits, params: Town(seed, traits).instance(params), st.integers(0, 2**32), small, settings_of_a_tick
)
thoroughly = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def planned(one: Instance, method: Method = "optimizer", **changes: object) -> Plan:
    params = replace(one.params, **changes)  # type: ignore[arg-type]
    return plan(one.tasks, one.runners, one.ways, one.now_ms, params, method)


def canonical(made: Plan) -> bytes:
    """The same bytes for the same plan."""
    return msgspec.json.encode(made, order="sorted")


@pytest.mark.parametrize("method", ["optimizer", "greedy"])
@thoroughly
@given(one=instances)
def test_every_plan_keeps_every_rule_and_says_what_is_so(method: Method, one: Instance) -> None:
    made = planned(one, method)
    assert faults(one.tasks, one.runners, one.ways, one.now_ms, one.params, made) == []


@thoroughly
@given(one=instances)
def test_the_optimizer_is_never_worse_than_greedy(one: Instance) -> None:
    assert planned(one).worth_s <= planned(one, "greedy").worth_s + 1e-3


@thoroughly
@given(one=instances, seed=st.integers())
def test_the_order_of_the_input_means_nothing(one: Instance, seed: int) -> None:
    luck = random.Random(seed)
    mixed = replace(
        one,
        tasks=tuple(luck.sample(one.tasks, len(one.tasks))),
        runners=tuple(luck.sample(one.runners, len(one.runners))),
    )
    assert canonical(planned(mixed)) == canonical(planned(one))


@settings(thoroughly, max_examples=60)
@given(one=instances)
def test_the_same_seed_gives_the_same_plan_byte_for_byte(one: Instance) -> None:
    assert canonical(planned(one)) == canonical(planned(one))


@thoroughly
@given(one=instances)
def test_the_search_never_makes_a_plan_worse(one: Instance) -> None:
    assert planned(one, iterations=30).worth_s <= planned(one, iterations=0).worth_s + 1e-3


@thoroughly
@given(one=instances)
def test_sparse_and_dense_matching_are_worth_the_same(one: Instance) -> None:
    # One round: of several equally good matchings the two may choose different ones, and then go on differently.
    sparse = planned(one, dense_cells=0, exact_pairs=10**9, iterations=0, rounds=1)
    dense = planned(one, dense_cells=10**9, exact_pairs=10**9, iterations=0, rounds=1)
    assert sparse.worth_s == pytest.approx(dense.worth_s, abs=2e-3)
