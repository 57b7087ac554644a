"""What Prometheus gets to see of payments: every breaker and its calls, counted once."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from dispatch.payment_metrics import EVERY_S, PaymentMetrics
from payments.breaker import FAILURES_TO_OPEN, OPEN_S
from payments.channels.sandbox import shape
from payments.health import SLOW_S, Health
from payments.outcomes import Issued, NotIssued

OF = {"channel": "metered", "operation": "create"}


class Clock:
    at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def figure(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"dispatch_payment_{name}", {**OF, **labels})
    assert value is not None, f"{name} is not shown"
    return value


def test_a_breaker_and_its_calls_are_shown_and_counted_once(clock: Clock) -> None:
    health = Health({"metered": shape("metered")}, clock)
    metrics = PaymentMetrics(health.view, clock)
    health.end("metered", "create", health.begin("metered", "create"), Issued({}))
    health.begin("metered", "create")
    clock.at_s = SLOW_S["create"]
    metrics.look()
    assert (figure("breaker"), figure("breaker_open_seconds")) == (0, 0)
    assert (figure("calls_under_way"), figure("calls_slow")) == (1, 1)
    assert (figure("calls_total", outcome="worked"), figure("calls_total", outcome="failed")) == (1, 0)

    for _ in range(FAILURES_TO_OPEN):
        health.end("metered", "create", health.begin("metered", "create"), NotIssued("SIGN_ERROR", is_alarm=True))
    metrics.look()
    assert figure("calls_total", outcome="failed") == 0, "a moment ago is soon enough"
    clock.at_s += EVERY_S
    for _ in range(2):
        metrics.look()
        clock.at_s += EVERY_S
    assert (figure("breaker"), figure("calls_total", outcome="failed")) == (2, FAILURES_TO_OPEN)
    complaints = REGISTRY.get_sample_value(
        "dispatch_payment_complaints_total", {"channel": "metered", "reason": "SIGN_ERROR"}
    )
    assert complaints == FAILURES_TO_OPEN

    clock.at_s += OPEN_S
    metrics.look()
    assert figure("breaker") == 1
    assert figure("breaker_open_seconds") > OPEN_S
