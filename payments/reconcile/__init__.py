"""Reconciliation: each provider's bill against our books, day by day, with what mends a mismatch."""
