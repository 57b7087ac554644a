"""The timeline of payments, and how callbacks fared hour by hour."""

from __future__ import annotations

#: A timeline grows with the payments, whose rows are kept for ever as the books are; what repeats is bounded per
#: attempt. Tallies are bounded by channels and hours, and old hours are dropped.
TIMELINE = (
    """
    CREATE TABLE timeline (
        seq {serial},
        at BIGINT NOT NULL,
        intent_id TEXT NOT NULL REFERENCES intents (id),
        subject TEXT NOT NULL,
        kind TEXT NOT NULL,
        code TEXT NOT NULL,
        channel TEXT NOT NULL,
        facts TEXT NOT NULL
    )
    """,
    "CREATE INDEX timeline_alarms ON timeline (at) WHERE code = 'alarm'",
    "CREATE INDEX timeline_intent ON timeline (intent_id, seq)",
    """
    CREATE INDEX timeline_repeating ON timeline (intent_id, subject)
        WHERE kind IN ('request', 'reply', 'exchange', 'callback')
    """,
    """
    CREATE TABLE callback_tallies (
        channel TEXT NOT NULL,
        hour BIGINT NOT NULL,
        outcome TEXT NOT NULL,
        count BIGINT NOT NULL CHECK (count > 0),
        newest_at BIGINT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (channel, hour, outcome)
    )
    """,
)
