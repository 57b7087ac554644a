"""A mean that is learned bit by bit, forgets slowly, and believes a prior until it has seen enough."""

from __future__ import annotations

from typing import NamedTuple


class Mean(NamedTuple):
    """A weighted mean; ``weight`` is how many full observations it stands for."""

    weight: float = 0.0
    value: float = 0.0

    def seen(self, value: float, weight: float = 1.0, most: float = 50.0) -> Mean:
        """With one observation more. Beyond ``most`` observations the oldest count ever less."""
        total = self.weight + weight
        return Mean(min(total, most), self.value + (value - self.value) * weight / total)

    def towards(self, prior: float, strength: float) -> float:
        """The estimate: the prior counts as ``strength`` observations."""
        return (self.value * self.weight + prior * strength) / (self.weight + strength)
