"""What payments tells with each kind of alarm, for tests of what is made of it."""

from __future__ import annotations

WAITING: dict[str, str | int] = {"count": 3, "oldest": "ord_7", "hours": 30}
PARAMETERS: dict[str, dict[str, str | int]] = {
    "quiet": {"minutes": 15, "asked": 2, "paid_last_week": 4},
    "suspicious_payments": {**WAITING},
    "callbacks_missing": {"channel": "wechat", "ghosts": 5, "payments": 6, "advice": "notify_url"},
    "callbacks_refused": {"channel": "wechat", "refused": 7, "advice": "clock"},
    "breaker_open": {"channel": "wechat", "operation": "create", "minutes": 6},
    "provider_refuses": {"channel": "wechat", "refused": 4, "reason": "http_401"},
    "reconciliation_differs": {"channel": "wechat", "items": 2},
    "bill_missing": {**WAITING, "channel": "wechat"},
    "certificate_expires": {"name": "wechat", "days": 14, "is_over": 0},
    "hold_expires": {**WAITING},
    "refund_overdue": {**WAITING},
}
