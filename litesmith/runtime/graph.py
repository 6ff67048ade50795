"""The subgraphs of a model as the interpreter holds them: tensors with sizes and kinds of memory.

An analysis says what a file contains; this is what the interpreter makes of it, and changes while it
prepares the nodes (``TfLiteTensor`` and ``TfLiteNode`` of ``core/c/common.h``).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from litesmith.model import analysis, schema, tables
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.custom_options import decode_options
from litesmith.model.options_schema import UNIONS
from litesmith.model.tables import Table
from litesmith.model.tensors import Array, numpy_dtype
from litesmith.runtime.op_registry import Registry

Dims = tuple[int, ...]

MISSING = -1
"""``kTfLiteOptionalTensor``: an input that is left out, an output that is not used."""

DELEGATE = "DELEGATE"
"""The op of a node that stands for nodes taken by a delegate."""

_BYTES = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("bfloat16", "float16", "int16", "uint16"), 2),
    **dict.fromkeys(("float32", "int32", "uint32"), 4),
    **dict.fromkeys(("complex64", "float64", "int64", "uint64"), 8),
    **dict.fromkeys(("int4", "uint4", "int2"), 1),
    "complex128": 16,
}
_ELEMENTS_IN_A_BYTE = {"int4": 2, "uint4": 2, "int2": 4}

UNSIZED = frozenset({"string", "resource", "variant"})
"""Dtypes whose tensors the runtime never places in an arena."""


class Memory(enum.Enum):
    """Where a tensor's data lies: ``TfLiteAllocationType``."""

    NONE = "kTfLiteMemNone"
    CONSTANT = "kTfLiteMmapRo"
    ARENA = "kTfLiteArenaRw"
    PERSISTENT = "kTfLiteArenaRwPersistent"
    HEAP = "kTfLiteDynamic"
    COMPUTED = "kTfLitePersistentRo"
    BORROWED = "kTfLiteCustom"


_FIXED = (Memory.CONSTANT, Memory.COMPUTED)


def byte_size(dtype: str, dims: Dims) -> int:
    """Bytes of a tensor: ``BytesRequired`` of ``util.cc``; 0 for dtypes without a fixed size."""
    return -(-math.prod(dims) * _BYTES.get(dtype, 0) // _ELEMENTS_IN_A_BYTE.get(dtype, 1))


@dataclass(slots=True, kw_only=True, eq=False)
class RuntimeTensor:
    """A tensor of a running subgraph.

    ``known`` is false where ``dims`` or ``value`` depend on the data of a run, and are a guess.  ``value`` is
    set for constants and for small tensors that follow from constants and shapes.  ``handle`` names the
    variable that a resource refers to.
    """

    name: str
    dtype: str
    dims: Dims
    memory: Memory
    bytes: int = 0
    signature: Dims = ()
    variable: bool = False
    known: bool = True
    value: Array | None = None
    handle: str = ""
    quantization: Table | None = None
    sparsity: Table | None = None

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.dims)

    @property
    def fixed(self) -> bool:
        """``IsConstantOrPersistentTensor``: its contents are known before anything runs."""
        return self.memory in _FIXED

    @property
    def resizable(self) -> bool:
        """Whether a dimension is not specified in the file: ``HasUnspecifiedDimension``."""
        return -1 in self.signature

    def resize(self, dims: Dims) -> None:
        """``Subgraph::ResizeTensorImpl``."""
        self.dims = dims
        if self.dtype not in UNSIZED:
            self.bytes = byte_size(self.dtype, dims)

    def scales(self) -> tuple[float, ...]:
        """The scales of its quantisation: one, or one for each channel; empty where it has none."""
        return self.quantization.reals("scale") if self.quantization is not None else ()


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """A tensor that a kernel adds to its node: in the arena while the node runs, or in the persistent one."""

    label: str
    dtype: str
    dims: Dims
    memory: Memory = Memory.ARENA


@dataclass(slots=True, kw_only=True, eq=False)
class RuntimeNode:
    """A node of a running subgraph.

    ``tensors`` are those of its subgraph: inputs, outputs and temporaries are indices into it; so are
    ``reserved`` tensors, which the kernel may use as temporaries.  ``options`` is the op's options table,
    with all defaults where the file has none; ``custom`` are the options of a custom op.  ``pending`` are
    the shapes that outputs get only when the node runs, None where they are unknown, and whether they
    are certain.  ``at_most`` says that shapes that are not certain cannot be larger.  ``own`` marks the
    user's custom ops.  ``index`` is the node's place in the execution plan, ``in_file`` that in the file
    where a delegate has changed the plan.
    """

    op: str
    index: int
    inputs: tuple[int, ...]
    outputs: list[int]
    tensors: list[RuntimeTensor]
    options: Table = field(default_factory=Table.absent)
    custom: Mapping[str, Any] = field(default_factory=dict)
    intermediates: int = 0
    temporaries: list[int] = field(default_factory=list)
    reserved: list[int] = field(default_factory=list)
    pending: dict[int, tuple[Dims | None, bool]] = field(default_factory=dict)
    at_most: bool = False
    own: bool = False
    in_file: int | None = None

    def input(self, position: int) -> RuntimeTensor | None:
        """An input, or None if it is left out."""
        if position >= len(self.inputs) or self.inputs[position] == MISSING:
            return None
        return self.tensors[self.inputs[position]]

    def of(self, position: int) -> RuntimeTensor:
        """An input that the kernel requires.

        Raises:
            LookupError: the input is left out.
        """
        tensor = self.input(position)
        if tensor is None:
            raise LookupError(f"input {position} is missing")
        return tensor

    def output(self, position: int = 0) -> RuntimeTensor | None:
        """An output, None when it is not used."""
        if position >= len(self.outputs) or self.outputs[position] == MISSING:
            return None
        return self.tensors[self.outputs[position]]

    def dims(self, position: int) -> Dims:
        """The shape of an input."""
        return self.of(position).dims

    def fixed(self, *positions: int) -> bool:
        """Whether the contents of these inputs are known before anything runs."""
        return all(self.of(position).fixed for position in positions)

    def value(self, position: int) -> Array | None:
        """The contents of an input, None where they depend on a run."""
        tensor = self.input(position)
        return tensor.value if tensor is not None else None

    def ints(self, position: int) -> Dims | None:
        """The contents of an input as a flat tuple, None where they depend on a run."""
        value = self.value(position)
        return None if value is None else tuple(int(number) for number in value.ravel())

    @property
    def file_index(self) -> int:
        """The index of the node in the file, by which users know it."""
        return self.index if self.in_file is None else self.in_file

    @property
    def inputs_known(self) -> bool:
        """Whether the shapes of all inputs are certain."""
        return all(self.tensors[index].known for index in self.inputs if index != MISSING)

    def add_tensor(self) -> int:
        """Adds an empty tensor to the subgraph, and returns its index: ``AddTensors``."""
        self.tensors.append(RuntimeTensor(name="", dtype="", dims=(), memory=Memory.NONE))
        return len(self.tensors) - 1

    def resize(self, position: int, dims: Dims | None, *, known: bool | None = None) -> None:
        """Sizes an output while the node is prepared; None keeps the size in the file, as a guess."""
        tensor = self.output(position)
        if tensor is None:
            return
        if dims is not None:
            tensor.resize(dims)
        tensor.known = dims is not None and (self.inputs_known if known is None else known)

    def computed(self, position: int, dims: Dims | None) -> None:
        """Sizes an output whose contents the kernel computes while it is prepared."""
        tensor = self.output(position)
        if tensor is not None:
            tensor.memory = Memory.COMPUTED
            self.resize(position, dims)

    def later(self, position: int, dims: Dims | None, *, known: bool) -> None:
        """Gives an output as many bytes as the input has, and its shape when the node runs."""
        tensor = self.output(position)
        if tensor is not None:
            if tensor.memory is Memory.ARENA:
                tensor.bytes = self.of(0).bytes
            self.pending[position] = (dims, dims is not None and known)

    def heap(self, position: int, dims: Dims | None, *, known: bool | None = None) -> None:
        """Sizes an output when the node runs, with this shape then: ``SetTensorToDynamic``."""
        tensor = self.output(position)
        if tensor is not None:
            tensor.memory = Memory.HEAP
            certain = self.inputs_known if known is None else known
            self.pending[position] = (dims, dims is not None and certain)


def is_hybrid(activations: RuntimeTensor, weights: RuntimeTensor) -> bool:
    """``IsHybridOp`` of ``kernel_util.h``."""
    return activations.dtype == "float32" and weights.dtype in {"int8", "uint8"}


@dataclass(slots=True, kw_only=True, eq=False)
class RuntimeGraph:
    """A subgraph with its execution plan: the order of the file, unless a delegate changed it."""

    name: str
    tensors: list[RuntimeTensor]
    inputs: list[int]
    outputs: tuple[int, ...]
    nodes: list[RuntimeNode]

    @property
    def variables(self) -> list[int]:
        """Tensors that keep their contents between inferences."""
        return [index for index, tensor in enumerate(self.tensors) if tensor.variable]


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Nodes that run one after the other in a partitioned subgraph: ``NodeSubset``.

    ``nodes`` are indices in the file.  ``inputs`` are the tensors that they take from other nodes, and
    ``outputs`` those that other nodes take from them, sorted.  Where the nodes are ``delegated``, one kernel
    takes their place.
    """

    nodes: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    delegated: bool


def read(model: ModelAnalysis, content: bytes, registry: Registry) -> list[RuntimeGraph]:
    """All subgraphs of a model, in the interpreter's state before any node is prepared.

    ``content`` is the content of the file that ``model`` describes.
    """
    root = tables.root(content)
    buffers = [_contents(entry, content) for entry in root.tables("buffers")]
    kinds = [_Kind.of(code, registry) for code in model.operator_codes]
    return [
        _graph(entry, subgraph, buffers, kinds)
        for entry, subgraph in zip(root.tables("subgraphs"), model.subgraphs, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """An entry of the operator-code table; ``options`` names the op's options table, if it has one.

    ``union`` is the field of ``Operator`` with the table.
    """

    name: str
    own: bool
    union: str
    options: str

    @classmethod
    def of(cls, code: analysis.OperatorCode, registry: Registry) -> _Kind:
        op = registry.builtins.get(code.code)
        return cls(
            name=registry.name_of(code),
            own=code.custom and code.name not in registry.customs,
            union=UNIONS[op.options.union] if op and op.options else "",
            options=schema.union(op.options.union)[op.options.number] if op and op.options else "",
        )


def _contents(entry: Table, content: bytes) -> memoryview | None:
    """The bytes of a buffer; None where the field is absent, which differs from an empty one."""
    span = entry.span("data")
    view = memoryview(content)
    if span is not None:
        return view[span.start : span.start + span.size]
    offset, size = entry.integer("offset"), entry.integer("size")
    return view[offset : offset + size] if offset > 1 else None


def _graph(
    entry: Table,
    subgraph: analysis.Subgraph,
    buffers: list[memoryview | None],
    kinds: list[_Kind],
) -> RuntimeGraph:
    tensors = [
        _tensor(table, tensor, buffers)
        for table, tensor in zip(entry.tables("tensors"), subgraph.tensors, strict=True)
    ]
    nodes = [
        RuntimeNode(
            op=kinds[node.opcode_index].name,
            index=index,
            inputs=node.inputs,
            outputs=list(node.outputs),
            tensors=tensors,
            options=_options(table, kinds[node.opcode_index]),
            custom=_custom_options(node.custom_options),
            intermediates=len(node.intermediates),
            own=kinds[node.opcode_index].own,
        )
        for index, (table, node) in enumerate(zip(entry.tables("operators"), subgraph.nodes, strict=True))
    ]
    return RuntimeGraph(
        name=subgraph.name,
        tensors=tensors,
        inputs=list(subgraph.inputs),
        outputs=subgraph.outputs,
        nodes=nodes,
    )


def _options(operator: Table, kind: _Kind) -> Table:
    return operator.union_as(kind.union, kind.options) if kind.options else Table.absent()


def _custom_options(options: bytes) -> Mapping[str, Any]:
    decoded = decode_options(options) if options else None
    return decoded if isinstance(decoded, dict) else {}


def _tensor(table: Table, tensor: analysis.Tensor, buffers: list[memoryview | None]) -> RuntimeTensor:
    """``InterpreterBuilder::ParseTensors``: buffer 0 is always empty, one with contents makes a constant."""
    number = table.integer("buffer")
    content = buffers[number] if number else None
    if content is not None:
        memory = Memory.CONSTANT
    elif tensor.dtype in UNSIZED:
        memory = Memory.HEAP
    else:
        memory = Memory.PERSISTENT if tensor.variable else Memory.ARENA
    made = RuntimeTensor(
        name=tensor.name,
        dtype=tensor.dtype,
        dims=tensor.allocated_shape,
        memory=memory,
        signature=table.integers("shape_signature"),
        variable=tensor.variable,
        quantization=table.table("quantization"),
        sparsity=table.table("sparsity"),
    )
    made.bytes = byte_size(made.dtype, made.dims) if content is None else len(content)
    if content is not None:
        made.value = _values(made, content)
    return made


def _values(tensor: RuntimeTensor, content: memoryview) -> Array | None:
    try:
        dtype = numpy_dtype(tensor.dtype)
    except TypeError:
        return None
    if dtype.kind == "O" or len(content) != tensor.elements * dtype.itemsize:
        return None
    return np.frombuffer(content, dtype).reshape(tensor.dims)
