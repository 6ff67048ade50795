"""What XNNPACK allocates for the values between its nodes, in a program that runs a model with one thread.

Each subgraph has a workspace that the kernels of its partitions share; it grows to what the largest one
needs, while the model is loaded.  This is what ``xnnpack_delegate.cc`` of TensorFlow Lite 2.14.1 defines, and
XNNPACK's ``src/subgraph.c``, ``src/runtime.c`` and ``src/memory-planner.c``, with ``XNN_ENABLE_MEMOPT``; a
program says the same in ``workspace_bytes``.  Left out is what our programs cannot meet: variables, half
precision, sparse weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from litesmith.predict.arena import padding
from litesmith.predict.arena.ordering import LIBCXX, Library
from litesmith.predict.xnnpack.delegation import DelegatedSubgraph, Delegation
from litesmith.runtime.graph import MISSING, Memory, RuntimeGraph, RuntimeNode, RuntimeTensor, Subset
from litesmith.runtime.xnnpack import source_index
from litesmith.target.instruction_sets import KNOWN, Architecture

_ALIGNMENT = {"x86_64": 64}
_LEAST_ALIGNMENT = 16
_EXTRA = 16
_ACCUMULATOR = 4
_FLOAT = 4

_BINARY = {"ADD": True, "DIV": True, "MUL": True, "SUB": True}
_BINARY |= dict.fromkeys(("MAXIMUM", "MINIMUM", "PRELU", "SQUARED_DIFFERENCE"), False)
"""Whether a clamp may follow."""

_CLAMPS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1"})
_POOLS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})
_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})
_REDUCTIONS = frozenset({"MEAN", "SUM"})
_UNARY = frozenset(
    {
        *("ABS", "CEIL", "DEQUANTIZE", "ELU", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG"),
        *("QUANTIZE", "ROUND", "SQRT", "SQUARE", "TANH"),
    }
)

_IN_PLACE = frozenset({*_BINARY, *_CLAMPS, *_UNARY, "RESHAPE", "SOFTMAX"})
"""Whose result may take the place of an input: ``optimize_tensor_allocation_for_in_place_operations``."""

_CLAMPING = frozenset({*_CLAMPS, *_CONVOLUTIONS, *_POOLS, "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Which take over a clamp that follows: ``has_clamp``."""

_FIRST_ONLY = frozenset(
    {*_REDUCTIONS, "PAD", "RESHAPE", "RESIZE_BILINEAR", "SLICE", "STRIDED_SLICE", "TRANSPOSE"}
)
"""Whose other inputs are parameters, not values."""

_NOT_FIRST = frozenset({"SPLIT", "TRANSPOSE_CONV"})
"""Whose first input is a parameter."""

_TILE = 9
"""Pixels that all micro-kernels for averages sum up at once; of more they keep sums in the workspace."""

_EXTRA_SUMS = {"x86_64": 16}
_LEAST_EXTRA_SUMS = 4
"""``XNN_MULTIPASS_EXTRA_BYTES``, in floats."""

_SUMS_OF_AVERAGE = 4
"""How many times as much is kept for averages without padding; nobody reads more than the first part."""

_GEMM = re.compile(r"_gemm_minmax\w*?_ukernel_(\d+)x(\d+)(?:c(\d+))?(?:s(\d+))?__")


def workspace_bytes(
    delegation: Delegation,
    architecture: Architecture,
    levels: Sequence[str] = (),
    library: Library = LIBCXX,
) -> int:
    """Bytes of the workspaces of all subgraphs.

    ``levels`` are the instruction sets among which a program chooses, all of the architecture's unless given:
    fully connected nodes with weights that are computed depend on them, and the most is returned.
    ``library`` stands for the toolchain's libraries: the C library of zig leaves values of the same size in
    another order than glibc.
    """
    known = levels or [one.name for one in KNOWN[architecture]]
    return max(
        sum(
            _of_subgraph(graph, part, _Machine(architecture=architecture, level=level, library=library))
            for graph, part in zip(delegation.graphs, delegation.subgraphs, strict=True)
        )
        for level in known
    )


@dataclass(frozen=True, kw_only=True)
class _Machine:
    """What a program is built for, and the instruction set that it finds."""

    architecture: Architecture
    level: str
    library: Library

    def rounded(self, size: int) -> int:
        """``xnn_get_rounded_size``: our alignments are no less than what may be read beyond a value."""
        return _round_up(size, _ALIGNMENT.get(self.architecture, _LEAST_ALIGNMENT))

    def own(self, node: RuntimeNode, inputs: Iterable[_Value]) -> int:
        """What a node's operator asks for besides its values."""
        source, target = node.of(0), _only_output(node)
        if node.op in _REDUCTIONS and source.dtype != "float32":
            return target.elements * _ACCUMULATOR + _EXTRA
        if node.op == "AVERAGE_POOL_2D" and node.number(3) * node.number(4) > _TILE:
            extra = _EXTRA_SUMS.get(self.architecture, _LEAST_EXTRA_SUMS)
            sums = (source.dims[-1] + extra) * _FLOAT
            return self.rounded(sums if _is_same(node) else sums * _SUMS_OF_AVERAGE)
        if node.op == "FULLY_CONNECTED" and not all(one.static for one in list(inputs)[1:]):
            return self._packed(node.of(1))
        return 0

    def _packed(self, weights: RuntimeTensor) -> int:
        """Weights that are packed in every run, and their bias: ``dynamic-fully-connected-nc.c``."""
        symbols = source_index.load().hardware[self.architecture]["f32_gemm"][self.level]
        columns, depth = max(
            (int(m[2]), int(m[3] or 1) * int(m[4] or 1)) for m in map(_GEMM.search, symbols) if m
        )
        return _round_up(weights.dims[0], columns) * (1 + _round_up(weights.dims[1], depth)) * _FLOAT


def _of_subgraph(graph: RuntimeGraph, part: DelegatedSubgraph, machine: _Machine) -> int:
    return max((_Runtime(graph, part, one, machine).size() for one in part.plan if one.delegated), default=0)


@dataclass(slots=True, kw_only=True)
class _Value:
    """``xnn_value``; ``consumers`` counts the caller of the runtime, ``dead`` ones were cleared."""

    size: int
    static: bool = False
    given: bool = False
    returned: bool = False
    dead: bool = False
    producer: int = MISSING
    first_consumer: int = MISSING
    consumers: int = 0

    @property
    def internal(self) -> bool:
        """Whether its place is in the workspace."""
        return not (self.static or self.given or self.returned or self.dead)


@dataclass(slots=True, kw_only=True)
class _Node:
    """``xnn_node``: those that were fused or removed have no ``op`` any more, but keep their place.

    ``pads`` says that a convolution takes explicit padding, or that a padding is what one takes over.
    """

    op: str
    inputs: list[int]
    outputs: list[int]
    workspace: int = 0
    pads: bool = False

    def clear(self) -> None:
        """``xnn_node_clear``."""
        self.op, self.inputs, self.outputs, self.workspace = "", [], [], 0


@dataclass(slots=True, kw_only=True)
class _Usage:
    """``xnn_usage_record``: nodes from the first to the last one for which a value has its place."""

    size: int
    first: int
    last: int
    offset: int = 0

    def overlaps(self, other: _Usage) -> bool:
        """``value_lifecycle_overlap``."""
        return self.last >= other.first and other.last >= self.first


@dataclass
class _Runtime:
    """One partition: values by tensor, and behind the tensors those that only XNNPACK knows."""

    graph: RuntimeGraph
    part: DelegatedSubgraph
    subset: Subset
    machine: _Machine
    values: dict[int, _Value] = field(default_factory=dict)
    nodes: list[_Node] = field(default_factory=list)

    def size(self) -> int:
        """Bytes that its values need of the workspace."""
        unpacked = {*self.part.unpacked, *self.part.also_unpacked}
        taken = [self.graph.nodes[index] for index in self.subset.nodes if index not in unpacked]
        static = {out for index in unpacked for out in self.graph.nodes[index].outputs}
        # In the order of their numbers, as XNNPACK goes through them.
        for index in sorted({i for node in taken for i in (*_operands(node), *node.outputs) if i != MISSING}):
            self.values[index] = self._value(index, static)
        for node in taken:
            self._define(node)
        self._analyze()
        self._remove_unwanted()
        self._fuse()
        self._analyze()
        return self._planned()

    def _value(self, index: int, unpacked: Collection[int]) -> _Value:
        tensor = self.graph.tensors[index]
        return _Value(
            size=tensor.bytes,
            static=tensor.memory is Memory.CONSTANT or index in unpacked,
            given=index in self.subset.inputs,
            returned=index in self.subset.outputs and index not in unpacked,
        )

    def _define(self, node: RuntimeNode) -> None:
        inputs = [index for index in _operands(node) if index != MISSING]
        own = self.machine.own(node, (self.values[index] for index in inputs))
        made = _Node(op=node.op, inputs=inputs, outputs=[*node.outputs], workspace=own)
        self.nodes.append(made)
        if node.op in _POOLS and (node.number(3), node.number(4)) == (1, 1):
            made.op = "RELU"
        elif node.op in _CONVOLUTIONS:
            made.pads = not _is_same(node) or (node.number(1), node.number(2)) == (1, 1)
        elif node.op == "PAD":
            made.pads = _is_zero_around_pixels(node)
        elif _BINARY.get(node.op) and node.number(0, "b"):
            # ``xnn_insert_clamp_node``
            between = len(self.graph.tensors) + len(self.nodes)
            self.values[between] = _Value(size=self.values[made.outputs[0]].size)
            self.nodes.append(_Node(op="RELU", inputs=[between], outputs=made.outputs))
            made.outputs = [between]

    def _analyze(self) -> None:
        """``xnn_subgraph_analyze_consumers_and_producers``."""
        for value in self.values.values():
            value.producer = value.first_consumer = MISSING
            value.consumers = int(value.returned and not value.dead)
        for number, node in enumerate(self.nodes):
            for index in node.inputs:
                value = self.values[index]
                value.consumers += 1
                if value.first_consumer == MISSING:
                    value.first_consumer = number
            for index in node.outputs:
                self.values[index].producer = number

    def _remove_unwanted(self) -> None:
        """``xnn_subgraph_optimize``: what nobody reads, but not what only that was made of."""
        for value in self.values.values():
            if value.given or value.consumers:
                continue
            if value.producer != MISSING and len(self.nodes[value.producer].outputs) == 1:
                self.nodes[value.producer].clear()
            value.dead = True

    def _fuse(self) -> None:
        """``xnn_subgraph_fusion``."""
        for value in self.values.values():
            if value.consumers != 1 or MISSING in (value.producer, value.first_consumer):
                continue
            producer, consumer = self.nodes[value.producer], self.nodes[value.first_consumer]
            if not consumer.op:
                # A node that was removed: XNNPACK gives up here, and keeps what is fused so far.
                return
            if consumer.op in _CLAMPS and producer.op in _CLAMPING:
                producer.outputs[0] = consumer.outputs[0]
                self.values[consumer.outputs[0]].producer = value.producer
                consumer.clear()
                value.dead = True
            elif producer.op == "PAD" and producer.pads and consumer.op in _CONVOLUTIONS and consumer.pads:
                consumer.inputs[0] = producer.inputs[0]
                source = self.values[producer.inputs[0]]
                if source.first_consumer == value.producer:
                    source.first_consumer = value.first_consumer
                producer.clear()
                value.dead = True

    def _planned(self) -> int:
        """``xnn_plan_memory``."""
        usages = self._usages()
        self._run_in_place(usages)
        own = [
            _Usage(size=self.machine.rounded(node.workspace), first=number, last=number)
            for number, node in enumerate(self.nodes)
        ]
        placed = [usage for usage in (*usages.values(), *own) if usage.size]
        order = list(range(len(placed)))
        _qsort(self.machine.library)(order, [-usage.size for usage in placed])
        size = _place([placed[number] for number in order])
        return size + 2 * _EXTRA if size else 0

    def _usages(self) -> dict[int, _Usage]:
        """``populate_value_lifecycle``."""
        usages: dict[int, _Usage] = {}
        for number, node in enumerate(self.nodes):
            for index in (*node.inputs, *node.outputs):
                if self.values[index].internal:
                    size = self.machine.rounded(self.values[index].size)
                    usages.setdefault(index, _Usage(size=size, first=number, last=number)).last = number
        return dict(sorted(usages.items()))

    def _run_in_place(self, usages: dict[int, _Usage]) -> None:
        root: dict[int, int] = {}
        for node in self.nodes:
            source = next((i for i in node.inputs if self._gives_way(i, node)), None)
            if source is None:
                continue
            target = node.outputs[0]
            # Only the next reader of a value is known.
            if self.values[target].consumers == 1:
                root[target] = root.get(source, source)
                usages[target].size = 0
                usages[root[target]].last = self.values[target].first_consumer

    def _gives_way(self, index: int, node: _Node) -> bool:
        """``input_memory_can_be_reused``."""
        if node.op not in _IN_PLACE:
            return False
        source, target = self.values[index], self.values[node.outputs[0]]
        return source.internal and target.internal and source.consumers == 1 and source.size == target.size


def _place(usages: Sequence[_Usage]) -> int:
    """``xnn_plan_value_allocation_tracker``: each into the smallest gap that is wide enough."""
    size = 0
    for number, usage in enumerate(usages):
        blocks = [
            (other.offset, other.offset + other.size) for other in usages[:number] if other.overlaps(usage)
        ]
        usage.offset = _gap(sorted(blocks), usage.size)
        size = max(size, usage.offset + usage.size)
    return size


def _gap(blocks: Sequence[tuple[int, int]], size: int) -> int:
    """``find_value_alloc_offset``: a gap in front of the first block is not looked at."""
    if not blocks:
        return 0
    best, smallest = 0, math.inf
    end = blocks[0][1]
    for start, following in blocks:
        if size <= start - end < smallest:
            best, smallest = end, start - end
        end = max(end, following)
    return end if smallest == math.inf else best


def _operands(node: RuntimeNode) -> Sequence[int]:
    if node.op in _FIRST_ONLY:
        return node.inputs[:1]
    return node.inputs[1:] if node.op in _NOT_FIRST else node.inputs


def _only_output(node: RuntimeNode) -> RuntimeTensor:
    return node.tensors[node.outputs[0]]


def _is_same(node: RuntimeNode) -> bool:
    return node.number(0, "b") == padding.SAME


def _is_zero_around_pixels(node: RuntimeNode) -> bool:
    """Whether a convolution may take it over."""
    pads, target = node.value(1), _only_output(node)
    if pads is None or len(pads) != 4 or pads[0].any() or pads[3].any():
        return False
    # XNNPACK compares the zero point as eight bits with one that was sign-extended.
    points = target.quantization.integers("zero_point") if target.quantization is not None else ()
    return target.dtype != "int8" or points[0] >= 0


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _qsort(library: Library) -> Callable[[list[int], Sequence[int]], None]:
    """``qsort`` of the C library that comes with a C++ library: it sorts numbers by their keys, in place.

    glibc's keeps the order of equal ones, as it sorts by merging.
    """
    if library is LIBCXX:
        return lambda numbers, keys: _Pdq(numbers, keys).sort()
    return lambda numbers, keys: numbers.sort(key=lambda number: keys[number])


class _Pdq:
    """``qsort`` of zig 0.17: ``lib/std/sort/pdq.zig``; its way out, a heap sort, is left out."""

    _FEW = 24
    _MANY = 50
    _STEPS = 5
    _BLOCK = 64
    _SWAPS = 12

    def __init__(self, numbers: list[int], keys: Sequence[int]) -> None:
        self._v = numbers
        self._keys = keys

    def _less(self, left: int, right: int) -> bool:
        return self._keys[self._v[left]] < self._keys[self._v[right]]

    def _swap(self, left: int, right: int) -> None:
        self._v[left], self._v[right] = self._v[right], self._v[left]

    def sort(self) -> None:
        """Sorts everything."""
        self._range(0, len(self._v), balanced=True, partitioned=True)

    def _range(self, first: int, last: int, *, balanced: bool, partitioned: bool) -> None:
        while True:
            length = last - first
            if length <= self._FEW:
                self._v[first:last] = sorted(self._v[first:last], key=lambda number: self._keys[number])
                return
            if not balanced:
                self._break_patterns(first, last)
            pivot, swaps = self._choose(first, last)
            if swaps == self._SWAPS:
                self._v[first:last] = self._v[first:last][::-1]
                pivot, swaps = last - 1 - (pivot - first), 0
            if balanced and partitioned and swaps == 0 and self._is_soon_sorted(first, last):
                return
            if first > 0 and not self._less(first - 1, pivot):
                first = self._partition_equal(first, last, pivot)
                continue
            middle, partitioned = self._partition(first, last, pivot)
            left, right = (first, middle), (middle + 1, last)
            smaller, larger = (left, right) if middle - first < last - middle - 1 else (right, left)
            self._range(*smaller, balanced=True, partitioned=partitioned)
            balanced = smaller[1] - smaller[0] >= length // 8
            first, last = larger

    def _choose(self, first: int, last: int) -> tuple[int, int]:
        """The pivot, and how many had to change places to find it."""
        quarter = (last - first) // 4
        i, j, k = first + quarter, first + 2 * quarter, first + 3 * quarter
        swaps = 0
        if last - first >= self._MANY:
            swaps = sum(self._sort3(middle - 1, middle, middle + 1) for middle in (i, j, k))
        return j, swaps + self._sort3(i, j, k)

    def _sort3(self, a: int, b: int, c: int) -> int:
        swaps = 0
        for left, right in ((a, b), (b, c), (a, b)):
            if self._less(right, left):
                swaps += 1
                self._swap(left, right)
        return swaps

    def _is_soon_sorted(self, first: int, last: int) -> bool:
        """Moves some that are out of order; whether that was all."""
        i = first + 1
        for _ in range(self._STEPS):
            while i < last and not self._less(i, i - 1):
                i += 1
            if i == last:
                return True
            if last - first < self._MANY:
                return False
            self._swap(i, i - 1)
            for j in range(i - 1, first, -1):
                if not self._less(j, j - 1):
                    break
                self._swap(j, j - 1)
            for j in range(i + 1, last):
                if not self._less(j, j - 1):
                    break
                self._swap(j, j - 1)
        return False

    def _break_patterns(self, first: int, last: int) -> None:
        length = last - first
        random, mask = length, (1 << (length - 1).bit_length()) - 1
        middle = first + length // 4 * 2
        for i in (middle - 1, middle, middle + 1):
            random = (random ^ random << 13) & 0xFFFF_FFFF_FFFF_FFFF
            random ^= random >> 7
            random = (random ^ random << 17) & 0xFFFF_FFFF_FFFF_FFFF
            other = random & mask
            self._swap(i, first + (other - length if other >= length else other))

    def _partition_equal(self, first: int, last: int, pivot: int) -> int:
        self._swap(first, pivot)
        i, j = first + 1, last - 1
        while True:
            while i <= j and not self._less(first, i):
                i += 1
            while i <= j and self._less(first, j):
                j -= 1
            if i > j:
                return i
            self._swap(i, j)
            i, j = i + 1, j - 1

    def _partition(self, first: int, last: int, pivot: int) -> tuple[int, bool]:
        """The pivot's place between smaller and other ones, and whether they were parted already."""
        self._swap(first, pivot)
        i, j = first + 1, last - 1
        while i <= j and self._less(i, first):
            i += 1
        while i <= j and not self._less(j, first):
            j -= 1
        if i > j:
            self._swap(j, first)
            return j, True
        self._swap(i, j)
        i, j = i + 1, j - 1
        # Places whose numbers belong to the other side.
        left: list[int] = []
        right: list[int] = []
        while i <= j:
            unknown = j + 1 - i
            taken = 0 if left else min(self._BLOCK, unknown if right else unknown // 2)
            given = 0 if right else min(self._BLOCK, unknown - taken)
            left += [k for k in range(i, i + taken) if not self._less(k, first)]
            right += [k for k in range(j, j - given, -1) if self._less(k, first)]
            i, j = i + taken, j - given
            for one, other in zip(left, right, strict=False):
                self._swap(one, other)
            done = min(len(left), len(right))
            left, right = left[done:], right[done:]
        for place in reversed(left):
            self._swap(place, j)
            j -= 1
        for place in reversed(right):
            self._swap(place, i)
            i += 1
            j = i - 1
        self._swap(j, first)
        return j, False
