"""Whether what a model says of its tensors, nodes and subgraphs makes sense.

The runtime and its kernels rely on it without looking.  Built programs check the same
(``templates/runtime/graph_check.cc``, ``options_check.cc``).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator

from litesmith.model import schema
from litesmith.model.analysis import ModelAnalysis, Node, Subgraph, Tensor
from litesmith.model.flatbuffer import DamagedError
from litesmith.model.option_meanings import CALLS, DIVISORS
from litesmith.model.optional_tensors import OPTIONAL_INPUTS, OPTIONAL_OUTPUTS

_MOST_ELEMENTS = 2**31 - 1
_DEEPEST_CALL = 32
_ZERO_POINTS = {"int4": (-8, 7), "int8": (-128, 127), "uint8": (0, 255), "int16": (-(1 << 15), (1 << 15) - 1)}
_LARGEST_FLOAT = 3.4028234663852886e38


def require_sound(model: ModelAnalysis, content: Callable[[int], bytes]) -> None:
    """Checks a model; ``content`` gives the bytes of a buffer by its index.

    Raises:
        DamagedError: it contradicts itself; the message names subgraph, node and tensor.
    """
    for number, subgraph in enumerate(model.subgraphs):
        for index, tensor in enumerate(subgraph.tensors):
            problem = _tensor_problem(tensor, len(subgraph.tensors), content)
            if problem:
                raise DamagedError(f"tensor {index} of subgraph {number}, {tensor.name}, {problem}")
        _require_order(model, number, subgraph)
        for position, node in enumerate(subgraph.nodes):
            if _asks_for_another_size(subgraph, node, content):
                raise DamagedError(
                    f"{_place(model, number, position)}, asks for another size than its input has"
                )
    _require_calls(model)
    for signature in model.signatures:
        count = len(model.subgraphs[signature.subgraph].tensors)
        for index in (*signature.inputs.values(), *signature.outputs.values()):
            if index >= count:
                raise DamagedError(
                    f"the signature {signature.key!r} has tensor {index}, which does not exist"
                )


def _tensor_problem(tensor: Tensor, count: int, content: Callable[[int], bytes]) -> str:
    elements = math.prod(dimension or 1 for dimension in tensor.allocated_shape)
    if elements > _MOST_ELEMENTS:
        return f"has more than {_MOST_ELEMENTS} elements"
    constant_strings = tensor.weight_bytes and tensor.dtype == "string"
    if constant_strings and not _has_strings(tensor, content(tensor.buffer)):
        return "has strings that do not fit its shape"
    found = tensor.quantization
    if found.blockwise:
        sound = found.block_size > 0 and 0 <= found.block_scales < count
        return "" if sound else "has blocks without scales"
    for scale in found.scales:
        if not 0 <= scale <= _LARGEST_FLOAT:
            return f"has the scale {scale:g}"
    least, most = _ZERO_POINTS.get(tensor.dtype, (-(1 << 31), (1 << 31) - 1))
    for zero in found.zero_points:
        if not least <= zero <= most:
            return f"has the zero point {zero}"
    if not found.scales:
        return ""
    if len(found.zero_points) != len(found.scales):
        return f"has {len(found.scales)} scales and {len(found.zero_points)} zero points"
    shape = tensor.allocated_shape
    if found.dimension < 0 or (shape and found.dimension >= len(shape)):
        return f"has scales for dimension {found.dimension} of {len(shape)}"
    if shape and len(found.scales) not in {1, shape[found.dimension]}:
        return f"has {len(found.scales)} scales for {shape[found.dimension]} channels"
    return ""


def _has_strings(tensor: Tensor, data: bytes) -> bool:
    # NumPy takes as long to import as the rest of an analysis.
    from litesmith.model.tensors import from_bytes, numpy_dtype

    return from_bytes(data, numpy_dtype("string"), tensor.allocated_shape) is not None


def _require_order(model: ModelAnalysis, number: int, subgraph: Subgraph) -> None:
    """Each tensor has one writer, and is written to before it is read."""
    constant = {index for index, tensor in enumerate(subgraph.tensors) if tensor.weight_bytes}
    filled = constant | {index for index, tensor in enumerate(subgraph.tensors) if tensor.variable}
    # Files have the shape [0] for a tensor without elements, and for one whose shape a kernel sets.
    empty = {index for index, tensor in enumerate(subgraph.tensors) if 0 in tensor.allocated_shape}
    for index in subgraph.inputs:
        if index in constant:
            raise DamagedError(f"subgraph {number} has the constant {index} as an input")
        filled.add(index)
    for position, node in enumerate(subgraph.nodes):
        problem = _node_problem(model, node, filled, constant, empty)
        if problem:
            raise DamagedError(f"{_place(model, number, position)}, {problem}")
        filled.update(node.outputs)
    for index in subgraph.outputs:
        if index not in filled and index not in empty:
            raise DamagedError(f"subgraph {number} has the output {index}, to which no node writes")


def _place(model: ModelAnalysis, number: int, position: int) -> str:
    node = model.subgraphs[number].nodes[position]
    return f"node {position} of subgraph {number}, {model.operator_codes[node.opcode_index].op}"


def _node_problem(
    model: ModelAnalysis, node: Node, filled: set[int], constant: set[int], empty: set[int]
) -> str:
    code = model.operator_codes[node.opcode_index]
    op, custom = code.op, code.custom
    for position, index in enumerate(node.inputs):
        if index < 0 and not custom and position not in OPTIONAL_INPUTS.get(op, ()):
            return f"has no input {position}"
        if index >= 0 and index not in filled and index not in empty:
            return f"reads tensor {index} before a node writes to it"
    written: set[int] = set()
    for index in node.outputs:
        if index < 0 and not custom and op not in OPTIONAL_OUTPUTS:
            return "has no tensor for an output"
        if index in filled or index in written:
            what = "is constant" if index in constant else "is an input or written to already"
            return f"writes to tensor {index}, which {what}"
        if index >= 0:
            written.add(index)
    for known in () if custom else (DIVISORS, CALLS):
        kind, fields = known.get(op, ("", ()))
        if kind and node.options.kind != kind:
            return "has no options"
        if known is DIVISORS and any(node.options.integer(field) <= 0 for field in fields):
            return "has no stride, dilation or window"
    return ""


def _asks_for_another_size(subgraph: Subgraph, node: Node, content: Callable[[int], bytes]) -> bool:
    """Whether a STRIDED_SLICE whose ``end`` is a size asks for another size than its input has."""
    if node.options.kind != "StridedSliceOptions" or not node.options.boolean("offset"):
        return False
    ends = [subgraph.tensors[index] for index in node.inputs[:3]]
    if len(ends) < 3 or any(not one.weight_bytes or one.dtype != "int32" for one in ends[1:]):
        return False
    begins, sizes = (
        struct.unpack_from(f"<{one.weight_bytes // 4}i", content(one.buffer)) for one in ends[1:]
    )
    if node.options.integer("ellipsis_mask") or node.options.integer("new_axis_mask"):
        return False
    for axis, (begin, size, dimension) in enumerate(zip(begins, sizes, ends[0].shape, strict=False)):
        if dimension < 0 or node.options.integer("shrink_axis_mask") >> axis & 1:
            continue
        start = begin + dimension if begin < 0 else begin
        start = 0 if node.options.integer("begin_mask") >> axis & 1 else min(max(start, 0), dimension)
        end = dimension if node.options.integer("end_mask") >> axis & 1 else min(start + size, dimension)
        # The output has the size that is asked for, and the kernel copies what is there.
        if end - start != size:
            return True
    return False


def _called(node: Node) -> Iterator[int]:
    """The subgraphs that a node calls."""
    kind = node.options.kind
    for field in next((fields for known, fields in CALLS.values() if known == kind), ()):
        if schema.fields(kind)[field].vector:
            yield from node.options.integers(field)
        else:
            yield node.options.integer(field)


def _require_calls(model: ModelAnalysis) -> None:
    """No subgraph calls itself, or one that does not exist."""
    done: set[int] = set()

    def follow(number: int, above: tuple[int, ...]) -> None:
        if number in above:
            raise DamagedError(f"subgraph {number} calls itself")
        if len(above) > _DEEPEST_CALL:
            raise DamagedError(f"subgraph {number} is called through more than {_DEEPEST_CALL} others")
        for node in model.subgraphs[number].nodes:
            for called in _called(node):
                if not 0 <= called < len(model.subgraphs):
                    raise DamagedError(f"subgraph {number} calls subgraph {called}, which does not exist")
                if called not in done:
                    follow(called, (*above, number))
        done.add(number)

    for number in range(len(model.subgraphs)):
        if number not in done:
            follow(number, ())
