"""Faults injected into a running hub while runners stream and watchers watch, and a checker of what everybody saw."""
