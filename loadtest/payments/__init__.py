"""Payments under load: a burst of orders that are all paid at once, and what becomes of each."""
