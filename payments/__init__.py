"""Payments: an order's money in the keeping of a licensed institution, and the ledger that mirrors it."""
