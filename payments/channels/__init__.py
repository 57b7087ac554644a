"""The ways to pay: one module per provider, each behind the same protocol."""
