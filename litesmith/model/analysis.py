"""What a model contains: :class:`ModelAnalysis` and its parts.

:mod:`litesmith.model.contents` reads them from a file.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from litesmith.model import schema
from litesmith.model.custom_options import decode_options
from litesmith.model.tables import Table

CUSTOM_CODE = 32
"""``BuiltinOperator_CUSTOM``: the op is found by its name, not by its code."""


@functools.cache
def dtype_numbers() -> Mapping[str, int]:
    """The numbers of ``TensorType`` by dtype: ``float32``, ``int8``, ``string`` …"""
    return {name.lower(): number for name, number in schema.enum("TensorType").items()}


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """How integers stand for numbers: ``(integer - zero point) * scale``.

    There is one scale for the whole tensor, or one for each channel of ``dimension``; none where it is not
    quantised.  In a ``blockwise`` tensor, each ``block_size`` values have a scale, kept in the tensor
    ``block_scales``.
    """

    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    dimension: int = 0
    blockwise: bool = False
    block_size: int = 0
    block_scales: int = -1


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor of a subgraph.

    ``shape`` has -1 for a dimension that is known only at run time; ``allocated_shape`` is what the runtime
    allocates by default.  ``weight_bytes`` is the size of its constant data in the file, 0 for an
    activation; ``buffer`` is the index of the buffer with that data, which several tensors may share.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    allocated_shape: tuple[int, ...]
    weight_bytes: int
    buffer: int
    variable: bool
    sparse: bool
    quantized: bool
    quantization: Quantization = Quantization()


@dataclass(frozen=True, kw_only=True)
class OperatorCode:
    """An entry of the operator-code table.  ``name`` is the name of a custom op (code 32), else None."""

    code: int
    name: str | None
    version: int

    @property
    def custom(self) -> bool:
        """Whether the op is found by its name."""
        return self.code == CUSTOM_CODE

    @property
    def op(self) -> str:
        """The op's name in the schema (``CONV_2D``), or that of a custom op."""
        return self.name or schema.enum_names("BuiltinOperator").get(self.code, f"op {self.code}")


@dataclass(frozen=True, kw_only=True, order=True)
class DepthwiseRow:
    """What the choice of a DEPTHWISE_CONV_2D's row kernel depends on; -1 where the shape is unknown.

    ``multiplier`` is the number of output channels for each input channel.
    """

    stride_width: int
    input_depth: int
    multiplier: int

    @property
    def known(self) -> bool:
        """Whether the model's shapes determine all of it."""
        return self.input_depth > 0 and self.multiplier > 0


UNKNOWN_ROW = DepthwiseRow(stride_width=-1, input_depth=-1, multiplier=-1)
"""The row of a depthwise convolution whose shapes are unknown: it may run any of its kernels."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """An operator in a subgraph; -1 among ``inputs`` is an optional tensor that is left out.

    ``options`` is the options table of a builtin op, of whatever kind the file has; absent where it has none.
    ``random`` marks a random op without a seed, which draws other numbers in each run.  ``depthwise`` is set
    for DEPTHWISE_CONV_2D.
    """

    opcode_index: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    custom_options: bytes
    options: Table = field(default_factory=Table.absent, repr=False, compare=False)
    random: bool
    depthwise: DepthwiseRow | None = None


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """A subgraph: the main one comes first, those of control flow and of signatures follow."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A named entry point: argument names to tensor indices of one subgraph."""

    key: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class OpUse:
    """How a model uses one op.

    ``count`` is 0 for an op that is in the operator-code table but in no node.  ``versions`` are the lowest
    and the highest in the table, ``used_versions`` those of nodes, None without one.  ``code`` is 32 for
    custom ops.  ``name`` is None for builtins, which the registry names.
    """

    code: int
    name: str | None
    versions: tuple[int, int]
    used_versions: tuple[int, int] | None
    count: int
    dtypes: tuple[str, ...]
    options: tuple[Any, ...] = field(default=())
    depthwise: frozenset[DepthwiseRow] = frozenset()

    @property
    def custom(self) -> bool:
        """Whether the op is found by its name."""
        return self.code == CUSTOM_CODE


def _range(versions: Set[int]) -> tuple[int, int]:
    return min(versions), max(versions)


@dataclass(frozen=True, kw_only=True)
class ModelAnalysis:
    """Everything that later stages need to know about a model."""

    path: str
    name: str
    sha256: str
    size: int
    description: str
    operator_codes: tuple[OperatorCode, ...]
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    metadata: tuple[str, ...]
    weight_bytes: Mapping[str, int]

    def ops(self) -> tuple[OpUse, ...]:
        """The ops of the operator-code table, as the nodes of all subgraphs use them."""
        dtypes: dict[tuple[int, str | None], set[str]] = {}
        versions: dict[tuple[int, str | None], set[int]] = {}
        used: dict[tuple[int, str | None], set[int]] = {}
        counts: Counter[tuple[int, str | None]] = Counter()
        options: dict[tuple[int, str | None], list[Any]] = {}
        rows: dict[tuple[int, str | None], set[DepthwiseRow]] = {}
        for entry in self.operator_codes:
            key = (entry.code, entry.name)
            dtypes.setdefault(key, set())
            options.setdefault(key, [])
            versions.setdefault(key, set()).add(entry.version)
        for subgraph in self.subgraphs:
            for node in subgraph.nodes:
                entry = self.operator_codes[node.opcode_index]
                key = (entry.code, entry.name)
                counts[key] += 1
                used.setdefault(key, set()).add(entry.version)
                for index in (*node.inputs, *node.outputs, *node.intermediates):
                    if index >= 0:
                        dtypes[key].add(subgraph.tensors[index].dtype)
                if node.depthwise is not None:
                    rows.setdefault(key, set()).add(node.depthwise)
                if node.custom_options:
                    options[key].append(decode_options(node.custom_options))
        return tuple(
            OpUse(
                code=code,
                name=name,
                versions=_range(versions[code, name]),
                used_versions=_range(used[code, name]) if (code, name) in used else None,
                count=counts[code, name],
                dtypes=tuple(sorted(dtypes[code, name])),
                options=tuple(options[code, name]),
                depthwise=frozenset(rows.get((code, name), ())),
            )
            for code, name in sorted(dtypes, key=lambda key: (key[0], key[1] or ""))
        )
