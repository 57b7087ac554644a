"""Payments in a process of their own: the door, the signed internal interface, and the body that asks over it."""
