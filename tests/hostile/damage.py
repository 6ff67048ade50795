"""A model under change, and the numbers that mutations choose from."""

from __future__ import annotations

import random
from typing import Any

INT32 = (0, 1, -1, 2, 3, 4, 5, 7, 8, 127, 255, 256, 65535, 65536, 1 << 20, 1 << 30, (1 << 31) - 1, -(1 << 31))
UINT64 = (0, 1, 2, 3, 8, 100, 1 << 16, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 4, (1 << 64) - 1)
FLOATS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e-45,
    1e-30,
    1e30,
    3.4e38,
    float("inf"),
    float("-inf"),
    float("nan"),
    0.5,
    1e-3,
)


class Damage:
    """A model under change: random choices, and what they were."""

    def __init__(self, rng: random.Random, model: Any) -> None:
        self.rng, self.model = rng, model
        self.subgraph_index = rng.randrange(len(model.subgraphs))
        self.graph = model.subgraphs[self.subgraph_index]

    def int32(self, old: int = 0) -> int:
        """An integer that is often a limit, and often near the one that was there."""
        if self.rng.random() < 0.4:
            return max(-(1 << 31), min((1 << 31) - 1, old + self.rng.choice((-2, -1, 1, 2, 16, old))))
        return self.rng.choice(INT32)

    def index(self, count: int) -> int:
        """An index of a list: mostly of an element, else one that does not exist."""
        if count > 0 and self.rng.random() < 0.7:
            return self.rng.randrange(count)
        return self.rng.choice((-1, -2, count, count + 1, 1 << 20, (1 << 31) - 1, -(1 << 31)))

    def tensor(self) -> tuple[int, Any]:
        """One of the subgraph's tensors."""
        index = self.rng.randrange(len(self.graph.tensors))
        return index, self.graph.tensors[index]

    def node(self) -> tuple[int, Any]:
        """One of the subgraph's nodes."""
        index = self.rng.randrange(len(self.graph.operators))
        return index, self.graph.operators[index]

    def place(self, what: str, index: int) -> str:
        """Where something is, for the description."""
        return f"subgraph {self.subgraph_index} {what} {index}"
