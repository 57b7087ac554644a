"""Simulated students, runners and operators that use the server over the wire like anybody else, and what they saw."""
