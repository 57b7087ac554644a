"""The bench of the hub: what one fix, one event and one connection cost, beside servers written for comparison."""
