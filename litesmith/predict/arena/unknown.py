"""Why a prediction is not exact: nodes whose memory depends on data."""

from __future__ import annotations

from dataclasses import dataclass

from litesmith.predict.arena.kernels import KERNELS
from litesmith.runtime.graph import RuntimeNode


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A node whose memory is known only when it runs, and one of its tensors.

    ``at_most`` says that the plan has the largest possible size; otherwise it has the size in the file.
    ``on_heap`` says that the tensor itself lies in no arena, or has a known number of bytes: it matters for
    those that depend on it.
    """

    subgraph: int
    node: int
    op: str
    tensor: str
    reason: str
    at_most: bool
    on_heap: bool

    def line(self) -> str:
        """The same in one line."""
        return f"node {self.node} of subgraph {self.subgraph}, {self.op}, {self.tensor!r}: {self.reason}"


_OF_BRANCHES = frozenset({"IF", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE"})


def reason(node: RuntimeNode) -> str:
    """Why the size of a node's output is unknown although the sizes of its inputs are known."""
    if node.own:
        return "an op of your own, which may ask for more than the file says"
    if node.op == "WHILE":
        return "it may have another shape after each iteration; planned for the first one"
    if node.op not in _OF_BRANCHES and node.op not in KERNELS:
        return "an op that the runtime does not have"
    inputs = [tensor for position in range(len(node.inputs)) if (tensor := node.input(position)) is not None]
    deciding = [tensor.name for tensor in inputs[1:] or inputs if tensor.value is None]
    what = " and ".join(repr(name) for name in deciding[:2]) or "its inputs"
    planned = "its largest possible size" if node.at_most else "the size in the file"
    return f"its size depends on the contents of {what}; planned for {planned}"
