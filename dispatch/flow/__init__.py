"""Use cases: one module per verb; each reads top to bottom as the thing that happens."""
