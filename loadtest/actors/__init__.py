"""Simulated people as pure state machines: (state, what arrived, now, luck) -> (state, what they do next)."""
